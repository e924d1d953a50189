// Package coretest makes ELF cores of physical memory and running machines that have one,
// by the tables of elf(5) and proc(5), for tests of what reads them.
package coretest

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A Segment is a program header. It converts to a kcore.Segment.
type Segment struct {
	Type, Flags   uint32
	Offset        uint64
	Virt          vmem.VirtAddr
	Phys          vmem.PhysAddr
	FileSz, MemSz uint64
}

// A Core is an ELF core in the making, written by the tables of elf(5).
type Core struct {
	Segments []Segment
	Data     []byte // what follows the headers, from offset DataAt on
	XNum     bool   // count program headers in section 0
}

// DataAt is the offset of a Core's Data, in bytes.
const DataAt = 0x1000

// Bytes returns the file.
func (c *Core) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, DataAt)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 4)  // ET_CORE
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint64(b[32:], 64) // e_phoff
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(len(c.Segments)))
	if c.XNum {
		le.PutUint16(b[56:], 0xffff)
		le.PutUint64(b[40:], 0xf00) // e_shoff
		le.PutUint32(b[0xf00+44:], uint32(len(c.Segments)))
	}
	for i, s := range c.Segments {
		p := b[64+56*i:]
		le.PutUint32(p, s.Type)
		le.PutUint64(p[8:], s.Offset)
		le.PutUint64(p[16:], uint64(s.Virt))
		le.PutUint64(p[24:], uint64(s.Phys))
		le.PutUint64(p[32:], s.FileSz)
		le.PutUint64(p[40:], s.MemSz)
	}
	return append(b, c.Data...)
}

// Load returns a PT_LOAD header, without a virtual address.
func Load(phys, off, filesz, memsz uint64) Segment {
	return Segment{Type: 1, Phys: vmem.PhysAddr(phys), Offset: off, FileSz: filesz, MemSz: memsz}
}

// Note returns an Elf64_Nhdr with its name and descriptor.
func Note(name string, typ uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, typ)
	b = append(append(b, name...), 0)
	b = append(b, make([]byte, -len(b)&3)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(b)&3)...)
}
