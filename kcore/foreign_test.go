package kcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/unpack"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// fixture unpacks a file of testdata.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	r, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := unpack.NewReader(r, "xz")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(x)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkPages compares memory with what testdata/make-core.py.txt put there.
func checkPages(t *testing.T, f *File, r rng) {
	t.Helper()
	var want []byte
	for a := r.Start; r.Contains(a); a += 16 {
		want = fmt.Appendf(want, "page %08x\n..", uint64(a))
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, int64(r.Start)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("memory %v: %d bytes, %v, or others than the machine had", r, n, err)
	}
}

// checkUnnamed checks that the gaps are of bytes that no program header names, so many each.
func checkUnnamed(t *testing.T, f *File, sizes ...string) {
	t.Helper()
	gaps := f.Gaps()
	if len(gaps) != len(sizes) {
		t.Fatalf("gaps %v", gaps)
	}
	for i, g := range gaps {
		if !errors.Is(g, ErrNoAddress) || !strings.Contains(g.Error(), sizes[i]+" bytes") {
			t.Errorf("gap %v, want %s bytes", g, sizes[i])
		}
	}
}

// QEMU's segments of a machine with page tables overlap. What these map nowhere, it writes
// too, and no header says where that is.
func TestQEMUPaging(t *testing.T) {
	f := open(t, fixture(t, "paging.elf.xz"))
	pages, last := rng{Start: 0x100000, Size: 64 << 12}, rng{Start: 0x180000, Size: 1 << 12}
	if d := cmp.Diff([]rng{pages, last}, f.Ranges()); d != "" || len(f.Excluded()) > 0 {
		t.Errorf("excluded %v; ranges (-want +got):\n%s", f.Excluded(), d)
	}
	checkUnnamed(t, f, "1048576", "262144", "2682880")
	checkPages(t, f, pages)
	text := make([]byte, 16)
	if _, err := f.ReadAt(text, 0x180000); err != nil || string(text) != "the last of all." {
		t.Errorf("the last page: %q, %v", text, err)
	}
	if n := len(f.Segments()); n != 68 {
		t.Errorf("%d segments, want 68", n)
	}
	want := []vmcoreinfo.CPU{{CR0: 0x80000011, CR3: 0x1000, CR4: 0x20}}
	if d := cmp.Diff(want, f.CPUs()); d != "" {
		t.Errorf("CPUs (-want +got):\n%s", d)
	}
}

// The number of segments is in section 0 (PN_XNUM).
func TestQEMUManySegments(t *testing.T) {
	b := fixture(t, "xnum.elf.xz")
	if n := binary.LittleEndian.Uint16(b[56:]); n != pnXnum {
		t.Fatalf("e_phnum is %#x: not the file that is meant", n)
	}
	f := open(t, b)
	pages := rng{Start: 0x100000, Size: 4 << 12}
	if d := cmp.Diff([]rng{pages}, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	checkUnnamed(t, f, "1048576", "3194880")
	checkPages(t, f, pages)
	if n := len(f.Segments()); n != 65792+1 {
		t.Errorf("%d segments, want %d", n, 65792+1)
	}
}

func TestExcluded(t *testing.T) {
	c := coretest.Core{Segments: []coretest.Segment{
		coretest.Load(0x8000, coretest.DataAt, 0x10, 0x40), coretest.Load(0x1000, coretest.DataAt, 0x10, 0x40), coretest.Load(0x1030, coretest.DataAt, 0x10, 0x10), coretest.Load(0x2000, coretest.DataAt, 0, 0x1000),
		coretest.Load(0x1040, coretest.DataAt, 0, 0x10),
	}, Data: make([]byte, 0x10)}
	f := open(t, c.Bytes())
	want := []rng{{Start: 0x1010, Size: 0x20}, {Start: 0x1040, Size: 0x10}, {Start: 0x2000, Size: 0x1000}, {Start: 0x8010, Size: 0x30}}
	if d := cmp.Diff(want, f.Excluded()); d != "" || len(f.Gaps()) > 0 {
		t.Errorf("gaps %v; excluded (-want +got):\n%s", f.Gaps(), d)
	}
	if n, err := f.ReadAt(make([]byte, 0x20), 0x1008); n != 8 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("across the begin of what is excluded: %d, %v", n, err)
	}
}

// headersFirst copies a core of QEMU, with the program headers right behind the ELF
// header: makedumpfile looks for them there.
func headersFirst(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	off, size := le.Uint64(b[32:]), phdrSize*uint64(le.Uint16(b[56:]))
	if first := le.Uint64(b[off+8:]); first < ehdrSize+size {
		t.Skipf("no room for %d bytes of program headers before offset %#x", size, first)
	}
	copy(b[ehdrSize:], b[off:off+size])
	le.PutUint64(b[32:], ehdrSize)
	le.PutUint64(b[40:], 0)
	le.PutUint32(b[60:], 0)
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// makedumpfile leaves pages of zeros out of QEMU's core, and says where by p_memsz.
func TestRealImageMakedumpfile(t *testing.T) {
	makedumpfile, err := exec.LookPath("makedumpfile")
	if err != nil {
		t.Skip("no makedumpfile command here:", err)
	}
	image := testimages.Named(t, "s-6.12-la57")
	dir := t.TempDir()
	whole, small := filepath.Join(dir, "whole"), filepath.Join(dir, "small")
	headersFirst(t, image.Path, whole)
	if out, err := exec.Command(makedumpfile, "-E", "-d", "1", whole, small).CombinedOutput(); err != nil {
		t.Fatalf("makedumpfile: %v: %s", err, out)
	}
	f, err := Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	original, err := Open(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	left := f.Excluded()
	if d := cmp.Diff(original.Ranges(), vmem.NormalizeRanges(append(left, f.Ranges()...))); d != "" || len(left) == 0 || len(f.Gaps()) > 0 {
		t.Errorf("excluded %v, gaps %v; ranges with what is excluded (-want +got):\n%s", left, f.Gaps(), d)
	}
	for _, r := range f.Ranges() {
		if !bytes.Equal(contents(t, f, r), contents(t, original, r)) {
			t.Errorf("memory %v: other bytes than the original has", r)
		}
	}
	for _, r := range left {
		// It leaves out what is no RAM, too.
		if r.Start < 0xfd000000 && len(bytes.Trim(contents(t, original, r), "\x00")) > 0 {
			t.Errorf("memory %v is excluded, and not zeros", r)
		}
	}
}

func contents(t *testing.T, m vmem.Memory, r rng) []byte {
	t.Helper()
	b := make([]byte, r.Size)
	if n, err := m.ReadAt(b, int64(r.Start)); err != nil {
		t.Fatalf("memory %v: %d bytes, %v", r, n, err)
	}
	return b
}
