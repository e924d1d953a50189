package coretest

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing/fstest"

	"github.com/nodelens/nodelens/vmem"
)

// A Machine is a running machine as a capture sees it: what /proc says, and RAM.
type Machine struct {
	Files fstest.MapFS
	RAM   map[vmem.PhysAddr][]byte // what the direct map shows, by the start of segments
	Bad   []vmem.PhysAddr          // pages at which reading fails

	core Core
}

// IOMem is like that of a virtual machine with hotplugged memory.
const IOMem = `00000000-00000fff : Reserved
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

// NewMachine returns a machine with the RAM of IOMem. Its kernel image is at 0x110000 and
// was unmapped in part: the image's mapping reads as zeros.
func NewMachine() *Machine {
	fill := func(seed byte, size int) []byte {
		b := make([]byte, size)
		rand.NewChaCha8([32]byte{seed}).Read(b[:size/2])
		return b
	}
	m := &Machine{RAM: map[vmem.PhysAddr][]byte{
		0x1000: fill(1, 0x8000), 0x100000: fill(2, 0x40000), 0x200000: fill(3, 0x10000),
	}}
	note := Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1.0\n"))
	c := Core{Data: make([]byte, 0x4000)}
	c.Segments = []Segment{
		{Type: 4, Offset: 0x800, FileSz: uint64(len(note))},
		{Type: 1, Flags: 7, Offset: DataAt, Virt: 0xffffffff81000000, Phys: 0x110000, FileSz: 0x4000, MemSz: 0x4000},
		{Type: 1, Flags: 7, Offset: 1 << 46, Virt: 0xffffc90000000000, Phys: ^vmem.PhysAddr(0), FileSz: 1 << 45, MemSz: 1 << 45},
	}
	for _, start := range []vmem.PhysAddr{0x1000, 0x100000, 0x200000} {
		b := m.RAM[start]
		c.Segments = append(c.Segments, Segment{Type: 1, Flags: 7, Offset: uint64(DataAt + len(c.Data)),
			Virt: 0xffff888000000000 + vmem.VirtAddr(start), Phys: start, FileSz: uint64(len(b)), MemSz: uint64(len(b))})
		c.Data = append(c.Data, b...)
	}
	m.core = c
	image := c.Bytes()
	copy(image[0x800:], note)
	m.Files = fstest.MapFS{
		"proc/kcore":                     {Data: image},
		"proc/iomem":                     {Data: []byte(IOMem)},
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

// All returns what a whole image of the machine holds: RAM by page.
func (m *Machine) All() map[vmem.PhysAddr][]byte {
	pages := map[vmem.PhysAddr][]byte{}
	for start, b := range m.RAM {
		for off := 0; off < len(b); off += vmem.PageSize {
			pages[start+vmem.PhysAddr(off)] = b[off : off+vmem.PageSize]
		}
	}
	return pages
}

// Open implements [fs.FS].
func (m *Machine) Open(name string) (fs.File, error) {
	f, err := m.Files.Open(name)
	if err != nil || name != "proc/kcore" {
		return f, err
	}
	return &liveFile{f, f.(io.ReaderAt), m}, nil
}

// A liveFile fails as /proc/kcore does: where one page can't be read, a read gives
// nothing.
type liveFile struct {
	fs.File
	r io.ReaderAt
	m *Machine
}

func (f *liveFile) ReadAt(b []byte, off int64) (int, error) {
	if len(f.m.Bad) == 0 {
		return f.r.ReadAt(b, off)
	}
	for _, bad := range f.m.Bad {
		if at, ok := f.m.core.offsetOf(bad); ok && at >= off && at < off+int64(len(b)) {
			return 0, &fs.PathError{Op: "read", Path: "proc/kcore", Err: syscall.EFAULT}
		}
	}
	return f.r.ReadAt(b, off)
}

// offsetOf returns where in the file memory is, in the segment that was listed last.
func (c *Core) offsetOf(a vmem.PhysAddr) (int64, bool) {
	for _, s := range slices.Backward(c.Segments) {
		if s.Type == 1 && uint64(a-s.Phys) < s.FileSz {
			return int64(s.Offset) + int64(a-s.Phys), true
		}
	}
	return 0, false
}
