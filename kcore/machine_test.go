package kcore

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/nodelens/nodelens/vmem"
)

// A machine is a running machine as a capture sees it: what /proc says, and RAM.
type machine struct {
	files fstest.MapFS
	ram   map[vmem.PhysAddr][]byte // what the direct map shows, by the start of segments
	bad   []vmem.PhysAddr          // pages at which reading fails
}

// iomem is like that of a virtual machine with hotplugged memory.
const iomem = `00000000-00000fff : Reserved
00001000-00009bff : System RAM
00009c00-0009ffff : Reserved
000f0000-000fffff : System ROM
00100000-0013ffff : System RAM
  00110000-00111fff : Kernel code
  00112000-00113fff : Kernel data
00140000-0014ffff : Reserved
00200000-002fffff : virtio0
  00200000-0020ffff : System RAM (virtio_mem)
`

// newMachine returns a machine with the RAM of iomem. Its kernel image is at 0x110000 and
// was unmapped in part: the image's mapping reads as zeros.
func newMachine() *machine {
	fill := func(seed byte, size int) []byte {
		b := make([]byte, size)
		rand.NewChaCha8([32]byte{seed}).Read(b[:size/2])
		return b
	}
	m := &machine{ram: map[vmem.PhysAddr][]byte{
		0x1000: fill(1, 0x8000), 0x100000: fill(2, 0x40000), 0x200000: fill(3, 0x10000),
	}}
	note := note("VMCOREINFO", 0, []byte("OSRELEASE=6.1.0\n"))
	c := core{data: make([]byte, 0x4000)}
	c.segments = []Segment{
		{Type: 4, Offset: 0x800, FileSz: uint64(len(note))},
		{Type: 1, Flags: 7, Offset: dataAt, Virt: 0xffffffff81000000, Phys: 0x110000, FileSz: 0x4000, MemSz: 0x4000},
		{Type: 1, Flags: 7, Offset: 1 << 46, Virt: 0xffffc90000000000, Phys: noPhys, FileSz: 1 << 45, MemSz: 1 << 45},
	}
	for _, start := range []vmem.PhysAddr{0x1000, 0x100000, 0x200000} {
		b := m.ram[start]
		c.segments = append(c.segments, Segment{Type: 1, Flags: 7, Offset: uint64(dataAt + len(c.data)),
			Virt: 0xffff888000000000 + vmem.VirtAddr(start), Phys: start, FileSz: uint64(len(b)), MemSz: uint64(len(b))})
		c.data = append(c.data, b...)
	}
	image := c.bytes()
	copy(image[0x800:], note)
	m.files = fstest.MapFS{
		"proc/kcore":                     {Data: image},
		"proc/iomem":                     {Data: []byte(iomem)},
		"proc/self/status":               {Data: []byte("Name:\tcapture\nCapEff:\t000001ffffffffff\n")},
		"proc/sys/kernel/hostname":       {Data: []byte("node-1\n")},
		"proc/sys/kernel/osrelease":      {Data: []byte("6.1.0\n")},
		"proc/sys/kernel/random/boot_id": {Data: []byte("0d3b0f0e-0001-4a4b-8c8d-000000000001\n")},
		"proc/version":                   {Data: []byte("Linux version 6.1.0 (gcc)\n")},
		"proc/cmdline":                   {Data: []byte("root=/dev/vda\n")},
		"etc/machine-id":                 {Data: []byte("0123456789abcdef0123456789abcdef\n")},
		"etc/os-release":                 {Data: []byte("# comment\nID=cos\nNAME=\"Container-Optimized \\\"OS\\\"\"\nVERSION='113'\n")},
		"sys/kernel/security/lockdown":   {Data: []byte("none [integrity] confidentiality\n")},
		"proc/self/attr/current":         {Data: []byte("unconfined\n")},
	}
	return m
}

// all returns what a whole image of the machine holds: RAM by page.
func (m *machine) all() map[vmem.PhysAddr][]byte {
	pages := map[vmem.PhysAddr][]byte{}
	for start, b := range m.ram {
		for off := 0; off < len(b); off += pageSize {
			pages[start+vmem.PhysAddr(off)] = b[off : off+pageSize]
		}
	}
	return pages
}

// Open implements [fs.FS].
func (m *machine) Open(name string) (fs.File, error) {
	f, err := m.files.Open(name)
	if err != nil || name != kcoreName {
		return f, err
	}
	return &liveFile{f, f.(io.ReaderAt), m}, nil
}

// A liveFile fails as /proc/kcore does: where one page can't be read, a read gives
// nothing.
type liveFile struct {
	fs.File
	r io.ReaderAt
	m *machine
}

func (f *liveFile) ReadAt(b []byte, off int64) (int, error) {
	if len(f.m.bad) == 0 {
		return f.r.ReadAt(b, off)
	}
	core, err := NewFile(f.r, 1<<62)
	if err != nil {
		return 0, err
	}
	for _, bad := range f.m.bad {
		for _, r := range core.table.Physical(off, int64(len(b))) {
			if r.Contains(bad) {
				return 0, &fs.PathError{Op: "read", Path: kcoreName, Err: syscall.EFAULT}
			}
		}
	}
	return f.r.ReadAt(b, off)
}

// parseRecords reads an image by the tables of LiME's and AVML's formats: pages by their
// address, and the addresses in the order of the file.
func parseRecords(t *testing.T, image []byte, decode func(b []byte, size int) (data []byte, used int)) (map[vmem.PhysAddr][]byte, []vmem.PhysAddr) {
	t.Helper()
	le := binary.LittleEndian
	pages := map[vmem.PhysAddr][]byte{}
	var order []vmem.PhysAddr
	for len(image) > 0 {
		if len(image) < 32 || le.Uint64(image[24:]) != 0 {
			t.Fatalf("no header in % x", image[:min(len(image), 32)])
		}
		first, last := le.Uint64(image[8:]), le.Uint64(image[16:])
		data, used := decode(image, int(last-first+1))
		if uint64(len(data)) != last-first+1 || len(data)%pageSize != 0 || len(data) > maxRecord {
			t.Fatalf("record of %#x to %#x has %#x bytes", first, last, len(data))
		}
		for off := 0; off < len(data); off += pageSize {
			at := vmem.PhysAddr(first) + vmem.PhysAddr(off)
			if pages[at] != nil {
				t.Errorf("page %v is in the image twice", at)
			}
			pages[at] = data[off : off+pageSize]
			order = append(order, at)
		}
		image = image[used:]
	}
	return pages, order
}

func parseLiME(t *testing.T, image []byte) (map[vmem.PhysAddr][]byte, []vmem.PhysAddr) {
	t.Helper()
	return parseRecords(t, image, func(b []byte, size int) ([]byte, int) {
		if !bytes.HasPrefix(b, []byte("EMiL\x01\x00\x00\x00")) {
			t.Fatalf("header % x", b[:8])
		}
		return b[32 : 32+size], 32 + size
	})
}
