package vmem_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

// patchwork maps six pages from user on, out of order in physical memory: the third
// is not mapped, the fifth lacks bytes 0x100 to 0x1ff, of the sixth nothing was
// captured.
func patchwork(t *testing.T) (as *vmem.AddressSpace, content []byte) {
	m, tables := newTables(4)
	content = randomBytes(6 * vmem.PageSize)
	for i, frame := range []vmem.PhysAddr{7, 3, 0, 4, 9, 5} {
		va := user + vmem.VirtAddr(i)*vmem.PageSize
		tables.Map(va, frame*vmem.PageSize, 1, pt.Present)
		m.Write(frame*vmem.PageSize, content[i*vmem.PageSize:][:vmem.PageSize])
	}
	tables.Set(user+2*vmem.PageSize, 1, 0)
	m.Forget(9*vmem.PageSize+0x100, 0x100)
	m.Forget(5*vmem.PageSize, vmem.PageSize)
	return openSpace(t, m, tables.Root(), nil), content
}

// patchworkLost are the parts of the patchwork that can't be read, from its start.
var patchworkLost = []physRange{{Start: 0x2000, Size: 0x1000}, {Start: 0x4100, Size: 0x100}, {Start: 0x5000, Size: 0x1000}}

// readable returns how many of size bytes at off come before the first lost one.
func readable(off, size int) int {
	for i := range size {
		if _, lost := vmem.SearchRanges(patchworkLost, vmem.PhysAddr(off+i)); lost || off+i >= 0x6000 {
			return i
		}
	}
	return size
}

func TestReadVirtUpToTheFirstUnreadableByte(t *testing.T) {
	as, content := patchwork(t)
	for _, off := range []int{0, 1, 0x7f8, 0xfff, 0x1000, 0x1800, 0x2fff, 0x3000, 0x40f8, 0x41ff, 0x4200, 0x4fff, 0x5fff} {
		for _, size := range []int{0, 1, 7, 0x100, 0xfff, 0x1000, 0x1001, 0x2800, 0x6000} {
			got := make([]byte, size)
			n, err := as.ReadVirt(got, user+vmem.VirtAddr(off))
			want := readable(off, size)
			if n != want || !bytes.Equal(got[:n], content[off:off+n]) {
				t.Fatalf("ReadVirt(%#x bytes at +%#x) = %#x, want %#x", size, off, n, want)
			}
			if (err == nil) != (n == size) {
				t.Fatalf("ReadVirt(%#x bytes at +%#x): error %v after %#x", size, off, err, n)
			}
			if err != nil && asFault(t, err).Virt != user+vmem.VirtAddr(off+n) {
				t.Fatalf("ReadVirt(%#x bytes at +%#x): %v, want the fault at +%#x", size, off, err, off+n)
			}
		}
	}
}

func TestReadVirtFaults(t *testing.T) {
	as, _ := patchwork(t)
	for off, want := range map[vmem.VirtAddr]fault{
		0x1800: {Virt: user + 0x2000, Phys: 0x10_3010, Level: 1, Err: vmem.ErrNotPresent},
		0x4000: {Virt: user + 0x4100, Phys: 0x9100, Entry: 0x9001, Err: vmem.ErrNotCaptured},
		0x5000: {Virt: user + 0x5000, Phys: 0x5000, Entry: 0x5001, Err: vmem.ErrNotCaptured},
		0x5008: {Virt: user + 0x5008, Phys: 0x5008, Entry: 0x5001, Err: vmem.ErrNotCaptured},
	} {
		_, err := as.ReadVirt(make([]byte, 0x1800), user+off)
		if diff := cmp.Diff(&want, asFault(t, err), equateErrors); diff != "" {
			t.Errorf("ReadVirt at +%#x (-want +got):\n%s", off, diff)
		}
	}
}

func TestScalars(t *testing.T) {
	as, content := patchwork(t)
	for off := range 0x6000 {
		if off%0x1000 > 0x210 && off%0x1000 < 0xff0 {
			continue
		}
		for range 2 { // by the tables, then by the caches
			values, errs := scalars(as, user+vmem.VirtAddr(off))
			for size, got := range values {
				var want [8]byte
				n := readable(off, size)
				if n < size {
					if f := asFault(t, errs[size]); f.Virt != user+vmem.VirtAddr(off+n) {
						t.Fatalf("Uint%d at +%#x: fault at %v, want +%#x", size*8, off, f.Virt, off+n)
					}
					continue
				}
				copy(want[:size], content[off:])
				if errs[size] != nil || got != binary.LittleEndian.Uint64(want[:]) {
					t.Fatalf("Uint%d at +%#x = %#x, %v, want %#x", size*8, off, got, errs[size], want)
				}
			}
		}
	}
}

// Behind the last address there is nothing, not address 0.
func TestReadsEndWithTheAddressSpace(t *testing.T) {
	m, tables := newTables(4)
	m.Write(0x5000, bytes.Repeat([]byte{'x'}, vmem.PageSize))
	tables.Map(0xffff_ffff_ffff_f000, 0x5000, 1, pt.Present)
	tables.Map(0, 0x5000, 1, pt.Present)
	as := openSpace(t, m, tables.Root(), nil)
	want := &fault{Err: vmem.ErrNonCanonical}
	n, err := as.ReadVirt(make([]byte, 0x3000), 0xffff_ffff_ffff_f800)
	if diff := cmp.Diff(want, asFault(t, err), equateErrors); n != 0x800 || diff != "" {
		t.Errorf("ReadVirt = %#x (-want +got):\n%s", n, diff)
	}
	_, err = as.Uint64(0xffff_ffff_ffff_fffc)
	if diff := cmp.Diff(want, asFault(t, err), equateErrors); diff != "" {
		t.Errorf("Uint64 (-want +got):\n%s", diff)
	}
	s, err := as.CString(0xffff_ffff_ffff_fffc, 16)
	if diff := cmp.Diff(want, asFault(t, err), equateErrors); s != "xxxx" || diff != "" {
		t.Errorf("CString = %q (-want +got):\n%s", s, diff)
	}
}

// The kernel maps holes of physical memory with large pages; what lies beside the
// hole is readable.
func TestLargePageOverAMemoryHole(t *testing.T) {
	m, tables := newTables(4)
	content := randomBytes(0x6000)
	m.Write(0x4000_0000, content[:0x3000])
	m.Write(0x4000_4000, content[0x4000:])
	tables.Map(kernel, 0x4000_0000, 3, pt.Present)
	as := openSpace(t, m, tables.Root(), nil)
	got := make([]byte, 0x6000)
	n, err := as.ReadVirt(got, kernel)
	want := &fault{Virt: kernel + 0x3000, Phys: 0x4000_3000, Entry: 0x4000_0000 | pt.Present | pt.Large, Err: vmem.ErrNotCaptured}
	if diff := cmp.Diff(want, asFault(t, err), equateErrors); n != 0x3000 || diff != "" {
		t.Errorf("ReadVirt = %#x (-want +got):\n%s", n, diff)
	}
	if n, err := as.ReadVirt(got[0x4000:], kernel+0x4000); err != nil {
		t.Errorf("ReadVirt behind the hole = %#x, %v", n, err)
	}
	copy(content[0x3000:0x4000], make([]byte, 0x1000))
	if !bytes.Equal(got, content) {
		t.Error("the bytes around the hole differ")
	}
}

func TestCString(t *testing.T) {
	m, tables := newTables(4)
	for i := range vmem.PhysAddr(3) {
		tables.Map(user+vmem.VirtAddr(i)<<12, (9-2*i)<<12, 1, pt.Present) // 9, 7, 5
	}
	m.Zero(0x9000, vmem.PageSize)
	m.Write(0x9010, []byte("kworker/u4:2\x00junk"))
	m.Write(0x9ff8, []byte("a\xffbcdefg"))
	m.Write(0x7000, bytes.Repeat([]byte("0123456789abcdef"), 256))
	m.Write(0x5000, []byte("end\x00"))
	m.Write(0x5100, []byte("cut off"))
	as := openSpace(t, m, tables.Root(), nil)
	long := strings.Repeat("0123456789abcdef", 256)
	for _, test := range []struct {
		off   vmem.VirtAddr
		limit int
		want  string
		err   error
	}{
		{0x10, 16, "kworker/u4:2", nil},
		{0x10, 7, "kworker", nil},
		{0x10, 0, "", nil},
		{0x10, -1, "", nil},
		{0x1c, 16, "", nil},
		{0xff8, 1 << 30, "a\xffbcdefg" + long + "end", nil},
		{0xff8, 12, "a\xffbcdefg0123", nil},
		{0x1000, vmem.PageSize, long, nil},
		{0x2100, 64, "cut off", vmem.ErrNotCaptured},
		{0x2100, 7, "cut off", nil},
		{0x3000, 64, "", vmem.ErrNotPresent},
	} {
		got, err := as.CString(user+test.off, test.limit)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("CString(+%#x, %d) = %q, %v, want %q, %v", test.off, test.limit, got, err, test.want, test.err)
		}
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	const pages = 1024 // four times what the TLB holds
	m, tables := newTables(4)
	for i := range vmem.VirtAddr(pages) {
		tables.Map(user+i<<12, 0x5000+vmem.PhysAddr(i%8)<<12, 1, pt.Present)
	}
	m.Zero(0x5000, 8*vmem.PageSize)
	as := openSpace(t, m, tables.Root(), nil)
	buf := make([]byte, 2*vmem.PageSize)
	i := vmem.VirtAddr(0)
	for name, read := range map[string]func() error{
		"hit":         func() error { _, err := as.Uint64(user + 8); return err },
		"miss":        func() error { i++; _, err := as.Uint32(user + i%pages<<12); return err },
		"miss, uint8": func() error { i++; _, err := as.Uint8(user + i%pages<<12); return err },
		"across":      func() error { i++; _, err := as.Uint16(user + i%(pages-1)<<12 + 0xfff); return err },
		"ReadVirt":    func() error { _, err := as.ReadVirt(buf, user+0x123); return err },
		"Translate":   func() error { _, err := as.Translate(user + 0x123); return err },
	} {
		for range pages {
			if err := read(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := testing.AllocsPerRun(2*pages, func() { _ = read() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	p := vmem.NewPhysical(m)
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Uint64(0x5ffc) }); n != 0 {
		t.Errorf("Physical.Uint64 across frames: %v allocations", n)
	}
}

// A whole page is read past the frame cache; the memory may fail there.
func TestReadVirtPassesOnErrorsOfTheMemory(t *testing.T) {
	m, tables := newTables(4)
	tables.Map(user, 0x5000, 1, pt.Present)
	mem := make(flat, tables.End())
	if _, err := m.ReadAt(mem[1<<20:], 1<<20); err != nil {
		t.Fatal(err)
	}
	as := openSpace(t, broken{flat: mem, bad: []physRange{{Start: 0x5400, Size: 1}}, err: io.ErrNoProgress}, tables.Root(), nil)
	for _, size := range []int{0x800, 0x1000} {
		n, err := as.ReadVirt(make([]byte, size), user)
		want := &fault{Virt: user + 0x400, Phys: 0x5400, Entry: 0x5001, Err: io.ErrNoProgress}
		if diff := cmp.Diff(want, asFault(t, err), equateErrors); n != 0x400 || diff != "" {
			t.Errorf("ReadVirt(%#x bytes) = %#x (-want +got):\n%s", size, n, diff)
		}
	}
}
