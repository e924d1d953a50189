package vmcoreinfo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

// text is the start of what a 6.1 kernel wrote, with a mask as confidential VMs have it.
const text = `OSRELEASE=6.1.0-50-cloud-amd64
BUILD-ID=7e1b1e0fb36f8a5b0d33e5b8e9f42a5a4c6d1234
PAGESIZE=4096
SYMBOL(init_uts_ns)=ffffffff9a016220
OFFSET(uts_namespace.name)=0
SYMBOL(swapper_pg_dir)=ffffffff99a10000
LENGTH(mem_section)=4096
SIZE(list_head)=16
NUMBER(phys_base)=-146800640
NUMBER(sme_mask)=2251799813685248
NUMBER(top)=18446744073709551615
KERNELOFFSET=f800000
PAGESIZE=8192
`

func TestInfo(t *testing.T) {
	v, err := Parse([]byte(text + "\x00garbage"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Text() != text || v.Release() != "6.1.0-50-cloud-amd64" || v.BuildID() != "7e1b1e0fb36f8a5b0d33e5b8e9f42a5a4c6d1234" {
		t.Errorf("text %q, release %q, build id %q", v.Text(), v.Release(), v.BuildID())
	}
	unsigned := map[string]struct {
		got  func() (uint64, error)
		want uint64
	}{
		"symbol": {func() (uint64, error) { return v.Symbol("swapper_pg_dir") }, 0xffffffff99a10000},
		"page":   {v.PageSize, 4096}, // the first of two
		"kernel": {v.KernelOffset, 0xf800000},
		"offset": {func() (uint64, error) { return v.Offset("uts_namespace.name") }, 0},
		"length": {func() (uint64, error) { return v.Length("mem_section") }, 4096},
		"size":   {func() (uint64, error) { return v.Size("list_head") }, 16},
	}
	for name, tt := range unsigned {
		if got, err := tt.got(); got != tt.want || err != nil {
			t.Errorf("%s: %#x, %v, want %#x", name, got, err, tt.want)
		}
	}
	for name, want := range map[string]int64{"phys_base": -146800640, "sme_mask": 1 << 51, "top": -1} {
		if got, err := v.Number(name); got != want || err != nil {
			t.Errorf("NUMBER(%s): %d, %v, want %d", name, got, err, want)
		}
	}
	if _, err := v.Symbol("none"); !errors.Is(err, ErrNoKey) {
		t.Errorf("missing symbol: %v", err)
	}
	if _, err := v.Number("none"); !errors.Is(err, ErrNoKey) {
		t.Errorf("missing number: %v", err)
	}
	if _, err := Parse([]byte("CRASHTIME=1\n")); !errors.Is(err, ErrFormat) {
		t.Errorf("no release: %v", err)
	}
}

func note(name string, typ uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, typ)
	b = append(append(b, name...), 0)
	b = append(b, make([]byte, -len(b)&3)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(b)&3)...)
}

func TestFind(t *testing.T) {
	mem := new(pagetest.Memory)
	mem.Zero(0x1000, 0x9000)
	mem.Write(0x2000, note("VMCOREINFO", 0, []byte(text)))
	mem.Write(0x4000, []byte(text)) // vmcoreinfo_data: the same
	mem.Write(0x5010, []byte(text)) // inside a page: a log
	stale := strings.Replace(text, "6.1.0", "5.10.0", 1)
	mem.Write(0x6000, []byte(stale))
	mem.Write(0x7000, []byte("OSRELEASE")) // not quite
	mem.Write(0x9ff8, []byte("OSRELEAS"))
	var got []vmem.PhysAddr
	for f, err := range Find(context.Background(), mem) {
		if err != nil {
			t.Fatal(err)
		}
		if want := text; f.Addr != 0x6000 && f.Info.Text() != want {
			t.Errorf("at %v: %q", f.Addr, f.Info.Text())
		}
		got = append(got, f.Addr)
	}
	if d := cmp.Diff([]vmem.PhysAddr{0x2018, 0x6000}, got); d != "" {
		t.Errorf("found (-want +got):\n%s", d)
	}
}

// asked is memory that counts how many pages were asked for.
type asked struct {
	*pagetest.Memory
	ranges []physRange
	pages  map[int64]bool
}

func (a *asked) Ranges() []physRange { return a.ranges }

func (a *asked) ReadAt(p []byte, off int64) (int, error) {
	a.pages[off/pageSize] = true
	n, _ := a.Memory.ReadAt(p, off)
	clear(p[n:]) // the rest of the machine is zeros
	return len(p), nil
}

// Of a large machine little is read before VMCOREINFO is found where kernels have it; and
// all of it if it is not there, each page once.
func TestFindLikely(t *testing.T) {
	t.Parallel()
	small, large := []physRange{{Start: 0x1000, Size: 1 << 30}}, []physRange{{Start: 0x1000, Size: 3 << 30}, {Start: 4 << 30, Size: 1 << 30}}
	for name, test := range map[string]struct {
		ranges []physRange
		at     vmem.PhysAddr
		most   int // MiB
	}{
		"small machine": {small, 25<<20 + 0x2000, 10},
		"large machine": {large, 4<<30 + 18<<20, 19},
		"elsewhere":     {small, 700 << 20, 701},
	} {
		mem := &asked{new(pagetest.Memory), test.ranges, map[int64]bool{}}
		mem.Write(test.at, []byte(text))
		found := false
		for f, err := range Find(t.Context(), mem) {
			if found = err == nil && f.Addr == test.at; found {
				break
			}
		}
		if got := len(mem.pages) >> 8; !found || got > test.most {
			t.Errorf("%s: found %v after %d MiB, want at most %d", name, found, got, test.most)
		}
	}
	var total uint64
	order := searchOrder(large)
	for i, r := range order {
		total += r.Size
		for _, other := range order[:i] {
			if r.Intersect(other).Size > 0 {
				t.Errorf("%v is searched twice", r)
			}
		}
	}
	if total != 4<<30 {
		t.Errorf("%#x bytes are searched, want %#x", total, int64(4<<30))
	}
}

func TestFindCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	mem := new(pagetest.Memory)
	mem.Write(0, []byte(text))
	var got []error
	for _, err := range Find(ctx, mem) {
		got = append(got, err)
	}
	if len(got) != 1 || !errors.Is(got[0], context.Canceled) {
		t.Errorf("got %v", got)
	}
}

// However many texts there are, none is kept: a program can fill its memory with them.
func TestFindMany(t *testing.T) {
	const copies = 2000
	mem := new(pagetest.Memory)
	for i := range vmem.PhysAddr(copies) {
		mem.Write(i*pageSize, note(NoteName, 0, fmt.Appendf(nil, "OSRELEASE=%d\n%s", i, strings.Repeat("x", 3000))))
	}
	n, before, after := 0, runtime.MemStats{}, runtime.MemStats{}
	heap := func(m *runtime.MemStats) { runtime.GC(); runtime.ReadMemStats(m) }
	heap(&before)
	for _, err := range Find(t.Context(), mem) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == copies {
			heap(&after)
		}
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); n != copies || kept > copies*1000 {
		t.Errorf("found %d, with %d bytes kept", n, kept)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("OSRELEASE=\nNUMBER(phys_base)=-\nSYMBOL(x)=zz\n=\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if (v == nil) == (err == nil) {
			t.Fatalf("%v, %v", v, err)
		}
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(v.Text())) {
			t.Fatalf("text %q is not how %q begins", v.Text(), b)
		}
		for key, value := range v.lines {
			if !slices.Contains(strings.Split(v.Text(), "\n"), key+"="+value) {
				t.Fatalf("no line %s=%s in %q", key, value, v.Text())
			}
		}
		_, _ = v.Number("phys_base")
		_, _ = v.Symbol("x")
	})
}

func BenchmarkFind(b *testing.B) {
	mem := new(pagetest.Memory)
	mem.Zero(0, 4<<20)
	mem.Write(4<<20-0x2000, []byte(text))
	b.SetBytes(4 << 20)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Find(context.Background(), mem) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
