package vmem_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

// randomBytes returns n bytes that are the same in every run.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b)
	return b
}

func TestPhysicalAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	m := new(pagetest.Memory)
	const base, size = 0x3000, 6 * vmem.PageSize
	m.Write(base, randomBytes(size))
	for range 24 {
		m.Forget(base+vmem.PhysAddr(rng.IntN(size)), rng.IntN(300))
	}
	p := vmem.NewPhysical(m)
	if diff := cmp.Diff(m.Ranges(), p.Ranges()); diff != "" {
		t.Errorf("Ranges (-want +got):\n%s", diff)
	}
	for range 20000 {
		pa := base - 0x100 + vmem.PhysAddr(rng.IntN(size+0x200))
		checkPhysicalRead(t, m, p, pa, rng.IntN(3*vmem.PageSize)>>rng.IntN(14))
		checkPhysicalScalars(t, m, p, pa)
	}
}

func checkPhysicalRead(t *testing.T, m *pagetest.Memory, p *vmem.Physical, pa vmem.PhysAddr, size int) {
	t.Helper()
	got, want := make([]byte, size), make([]byte, size)
	wantN, _ := m.ReadAt(want, int64(pa))
	n, err := p.ReadAt(got, int64(pa))
	if n != wantN || !bytes.Equal(got[:n], want[:n]) || (err == nil) != (n == size) {
		t.Fatalf("ReadAt(%d bytes, %v) = %d, %v, want %d", size, pa, n, err, wantN)
	}
	if err == nil {
		return
	}
	lost := &fault{Phys: pa + vmem.PhysAddr(n), Err: vmem.ErrNotCaptured}
	if diff := cmp.Diff(lost, asFault(t, err), equateErrors); diff != "" {
		t.Fatalf("ReadAt(%d bytes, %v) (-want +got):\n%s", size, pa, diff)
	}
}

// scalars returns what the four scalar reads give, widened, by size in bytes.
func scalars[A vmem.Addr](r interface {
	Uint8(A) (uint8, error)
	Uint16(A) (uint16, error)
	Uint32(A) (uint32, error)
	Uint64(A) (uint64, error)
}, at A) (values map[int]uint64, errs map[int]error) {
	v8, err8 := r.Uint8(at)
	v16, err16 := r.Uint16(at)
	v32, err32 := r.Uint32(at)
	v64, err64 := r.Uint64(at)
	return map[int]uint64{1: uint64(v8), 2: uint64(v16), 4: uint64(v32), 8: v64},
		map[int]error{1: err8, 2: err16, 4: err32, 8: err64}
}

func checkPhysicalScalars(t *testing.T, m *pagetest.Memory, p *vmem.Physical, pa vmem.PhysAddr) {
	t.Helper()
	values, errs := scalars(p, pa)
	for size, got := range values {
		var b [8]byte
		n, _ := m.ReadAt(b[:size], int64(pa))
		if n < size {
			lost := &fault{Phys: pa + vmem.PhysAddr(n), Err: vmem.ErrNotCaptured}
			if diff := cmp.Diff(lost, asFault(t, errs[size]), equateErrors); diff != "" {
				t.Fatalf("Uint%d(%v) (-want +got):\n%s", 8*size, pa, diff)
			}
			continue
		}
		if want := binary.LittleEndian.Uint64(b[:]); got != want || errs[size] != nil {
			t.Fatalf("Uint%d(%v) = %#x, %v, want %#x", 8*size, pa, got, errs[size], want)
		}
	}
}

// AVML leaves the last byte of every range of RAM out of its images, also where
// two ranges meet inside a page.
func TestPhysicalKeepsAllButTheMissingByte(t *testing.T) {
	m := new(pagetest.Memory)
	m.Write(0x1000, bytes.Repeat([]byte{0xaa}, 0x2000))
	m.Forget(0x1fff, 1)
	m.Forget(0x2017, 1)
	p := vmem.NewPhysical(m)
	got, want := make([]bool, 0x2000), make([]bool, 0x2000)
	for i := range got {
		v, err := p.Uint8(0x1000 + vmem.PhysAddr(i))
		got[i] = err == nil && v == 0xaa
		want[i] = i != 0xfff && i != 0x1017
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readable bytes (-want +got):\n%s", diff)
	}
}

// counting counts the reads that reach the memory.
type counting struct {
	vmem.Memory
	reads atomic.Int64
}

func (c *counting) ReadAt(b []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.Memory.ReadAt(b, off)
}

func TestPhysicalReadsAFrameOnce(t *testing.T) {
	c := &counting{Memory: make(flat, 64<<20)}
	p := vmem.NewPhysical(c)
	const frames = 4096 // as many as the cache holds
	for range 3 {
		for i := range vmem.PhysAddr(frames) {
			if _, err := p.Uint64(i*vmem.PageSize + 0x10); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := c.reads.Load(); got != frames {
		t.Errorf("%d reads for %d frames read three times", got, frames)
	}
	for i := range vmem.PhysAddr(3 * frames) { // displaces what is there
		if v, err := p.Uint64(i * vmem.PageSize); v != 0 || err != nil {
			t.Fatalf("Uint64 of frame %d = %d, %v", i, v, err)
		}
	}
	before := c.reads.Load()
	if _, err := p.Uint64((3*frames - 1) * vmem.PageSize); err != nil || c.reads.Load() != before {
		t.Errorf("the frame read last is not in the cache: %d more reads, error %v", c.reads.Load()-before, err)
	}
}

func TestPhysicalOfPhysicalIsTheSame(t *testing.T) {
	p := vmem.NewPhysical(make(flat, 1<<20))
	if vmem.NewPhysical(p) != p {
		t.Error("NewPhysical put a second cache in front of the first")
	}
}

// broken fails to read some ranges of addresses, as a reader of a compressed image
// does that meets a damaged block.
type broken struct {
	flat
	bad []physRange
	err error
}

func (m broken) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		for _, r := range m.bad {
			if r.Contains(vmem.PhysAddr(off) + vmem.PhysAddr(i)) {
				n, _ := m.flat.ReadAt(b[:i], off)
				return n, m.err
			}
		}
	}
	return m.flat.ReadAt(b, off)
}

func TestPhysicalBehindAReadError(t *testing.T) {
	errBlock := errors.New("checksum of block 7 is wrong")
	m := broken{flat: randomBytes(0x3000), err: errBlock, bad: []physRange{{Start: 0xf80, Size: 0x700}, {Start: 0x1c01, Size: 1}}}
	p := vmem.NewPhysical(m)
	// Reading goes on at the next multiple of 512.
	lost := []physRange{{Start: 0xf80, Size: 0x880}, {Start: 0x1c01, Size: 0x1ff}}
	for pa := range vmem.PhysAddr(0x3000) {
		v, err := p.Uint8(pa)
		want := m.flat[pa]
		if _, bad := vmem.SearchRanges(lost, pa); bad {
			if diff := cmp.Diff(&fault{Phys: pa, Err: errBlock}, asFault(t, err), equateErrors); diff != "" {
				t.Fatalf("Uint8(%v) (-want +got):\n%s", pa, diff)
			}
		} else if err != nil || v != want {
			t.Fatalf("Uint8(%v) = %d, %v, want %d", pa, v, err, want)
		}
	}
}

// promising claims more than its file holds, as the header of a truncated image
// does.
type promising struct {
	io.ReaderAt
	size uint64
}

func (m promising) Ranges() []physRange { return []physRange{{Start: 0, Size: m.size}} }

func TestPhysicalOfTruncatedFile(t *testing.T) {
	const held = 0x2345
	p := vmem.NewPhysical(promising{bytes.NewReader(randomBytes(held)), 0x8000})
	for _, size := range []int{0x100, 0x4000} {
		n, err := p.ReadAt(make([]byte, size), held-0x80)
		if n != 0x80 || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Errorf("ReadAt(%#x bytes) across the end = %#x, %v", size, n, err)
		}
	}
}

func TestPhysicalOutsideOfAllAddresses(t *testing.T) {
	p := vmem.NewPhysical(make(flat, 0x1000))
	if n, err := p.ReadAt(make([]byte, 8), -4); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("ReadAt(-4) = %d, %v", n, err)
	}
	if _, err := p.Uint64(^vmem.PhysAddr(0) - 3); !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("Uint64 at the last address: %v", err)
	}
}

// silent reads nothing and gives no error, which io.ReaderAt forbids.
type silent struct{ flat }

func (silent) ReadAt([]byte, int64) (int, error) { return 0, nil }

func TestPhysicalOfSilentReader(t *testing.T) {
	p := vmem.NewPhysical(silent{make(flat, 0x1000)})
	if _, err := p.Uint64(0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Uint64 = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestFaultError(t *testing.T) {
	for want, f := range map[string]vmem.Fault{
		"vmem: physical 0x1000: not captured":                                                       {Phys: 0x1000, Err: vmem.ErrNotCaptured},
		"vmem: virtual 0x800000000000: non-canonical address":                                       {Virt: 0x8000_0000_0000, Err: vmem.ErrNonCanonical},
		"vmem: virtual 0x7f0000001000: swapped out (level 1 entry 0x3e at physical 0x5008)":         {0x7f00_0000_1000, 0x5008, 1, 0x3e, vmem.ErrSwapped},
		"vmem: virtual 0x7f0000001000: not captured (physical 0x9000)":                              {0x7f00_0000_1000, 0x9000, 0, 0x9067, vmem.ErrNotCaptured},
		"vmem: virtual 0x0: malformed page-table entry: why (level 4 entry 0x1 at physical 0x5000)": {0, 0x5000, 4, 1, fmt.Errorf("%w: why", vmem.ErrBadEntry)},
	} {
		if got := f.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
}
