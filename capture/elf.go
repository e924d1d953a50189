package capture

import (
	"encoding/binary"
	"io"

	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/vmem"
)

// Of elf(5): the sizes of headers, the types of segments, and the number of program headers that says that section 0 has it.
const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
	ptNull   = 0
	ptLoad   = 1
	ptNote   = 4
	pnXnum   = 0xffff

	noPhys = ^vmem.PhysAddr(0) // what /proc/kcore has for memory that is nowhere in particular
)

// An elfWriter writes an ELF core of physical memory in one go. What it holds is known when all was read, so the program headers are behind the memory; where that is,
// the header at the beginning has to say, so they are where the memory would end if all of it could be read.
type elfWriter struct {
	w        io.Writer
	off      uint64 // of what is written next
	headers  uint64 // where section 0 is, which counts the program headers, and behind it those
	segments []kcore.Segment
	virt     func(vmem.PhysAddr) vmem.VirtAddr
}

// newELFWriter writes the ELF header and the note. total is how much memory there is at most; virt returns where the kernel maps it.
func newELFWriter(w io.Writer, total uint64, vmcoreInfo string, virt func(vmem.PhysAddr) vmem.VirtAddr) (*elfWriter, error) {
	e := &elfWriter{w: w, virt: virt}
	note := elfNote(vmcoreInfo)
	data := (ehdrSize + uint64(len(note)) + pageSize - 1) &^ (pageSize - 1)
	e.headers = data + total
	if len(note) > 0 {
		e.segments = append(e.segments, kcore.Segment{Type: ptNote, Offset: ehdrSize, FileSz: uint64(len(note))})
	}
	head := make([]byte, data)
	copy(head, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(head[16:], 4)  // ET_CORE
	le.PutUint16(head[18:], 62) // EM_X86_64
	le.PutUint32(head[20:], 1)  // EV_CURRENT
	le.PutUint64(head[32:], e.headers+shdrSize)
	le.PutUint64(head[40:], e.headers)
	le.PutUint16(head[52:], ehdrSize)
	le.PutUint16(head[54:], phdrSize)
	le.PutUint16(head[56:], pnXnum)
	le.PutUint16(head[58:], shdrSize)
	le.PutUint16(head[60:], 1)
	copy(head[ehdrSize:], note)
	return e, e.write(head)
}

// elfNote returns the note VMCOREINFO; nothing where the kernel gave none.
func elfNote(text string) []byte {
	if text == "" {
		return nil
	}
	name := "VMCOREINFO\x00"
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(name)))
	b = le.AppendUint32(b, uint32(len(text)))
	b = le.AppendUint32(b, 0)
	b = append(b, name...)
	b = append(b, make([]byte, -len(b)&3)...)
	b = append(b, text...)
	return append(b, make([]byte, -len(b)&3)...)
}

func (e *elfWriter) write(b []byte) error {
	n, err := e.w.Write(b)
	e.off += uint64(n)
	return err
}

// WriteBytes writes the memory that begins at start.
func (e *elfWriter) WriteBytes(start vmem.PhysAddr, data []byte) error {
	size, virt := uint64(len(data)), e.virt(start)
	if n := len(e.segments); n > 0 && follows(&e.segments[n-1], start, virt) {
		e.segments[n-1].FileSz += size
		e.segments[n-1].MemSz += size
	} else {
		e.segments = append(e.segments, kcore.Segment{Type: ptLoad, Flags: 7, Offset: e.off, Virt: virt, Phys: start, FileSz: size, MemSz: size})
	}
	return e.write(data)
}

// follows reports whether memory goes on where a segment ends.
func follows(s *kcore.Segment, start vmem.PhysAddr, virt vmem.VirtAddr) bool {
	return s.Type == ptLoad && s.Phys+vmem.PhysAddr(s.MemSz) == start && s.Virt+vmem.VirtAddr(s.MemSz) == virt
}

// end writes zeros in place of what could not be read, which belong to no address, and the headers.
func (e *elfWriter) end() error {
	if e.off < e.headers {
		e.segments = append(e.segments, kcore.Segment{Type: ptNull, Offset: e.off, FileSz: e.headers - e.off})
	}
	for zeros := make([]byte, zstdGather); e.off < e.headers; {
		if err := e.write(zeros[:min(uint64(len(zeros)), e.headers-e.off)]); err != nil {
			return err
		}
	}
	le := binary.LittleEndian
	b := make([]byte, shdrSize, shdrSize+len(e.segments)*phdrSize)
	le.PutUint32(b[44:], uint32(len(e.segments))) // sh_info
	for _, s := range e.segments {
		b = le.AppendUint32(le.AppendUint32(b, s.Type), s.Flags)
		for _, v := range []uint64{s.Offset, uint64(s.Virt), uint64(s.Phys), s.FileSz, s.MemSz, 0} {
			b = le.AppendUint64(b, v)
		}
	}
	return e.write(b)
}

// directMap returns what tells where the kernel maps physical memory, as the segments of /proc/kcore have it.
func directMap(segments []kcore.Segment) func(vmem.PhysAddr) vmem.VirtAddr {
	return func(a vmem.PhysAddr) vmem.VirtAddr {
		for _, s := range segments {
			if s.Type == ptLoad && !s.InKernelImage() && s.Phys != noPhys && uint64(a-s.Phys) < s.MemSz {
				return s.Virt + vmem.VirtAddr(a-s.Phys)
			}
		}
		return 0
	}
}
