package memory

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Core says what is in a core that was written.
type Core struct {
	Threads  int        // with their registers
	Segments int        // mappings
	Bytes    uint64     // of memory
	Lost     uint64     // bytes that should be in memory and could not be read: their segments have a p_filesz of 0, or, where that showed while they were copied, zeros
	Gaps     []vmem.Gap // what could not be read
}

// Sizes of ELF structures, and what a core says of itself.
const (
	ehdrSize, phdrSize, shdrSize = 64, 56, 64
	etCore, emX86_64             = 4, 62
	ptLoad, ptNote               = 1, 4
	pnXNum                       = 0xffff // more program headers than fit: section 0 says how many
)

// A coreLoad is a program header of type PT_LOAD.
type coreLoad struct {
	area  vmem.Range[vmem.VirtAddr]
	flags uint32
	file  bool // its bytes are in the file
}

// WriteCore writes the process of a task as an ELF core, in the form of the kernel's own (elf_core_dump of fs/binfmt_elf.c),
// in one pass: registers of all threads, the process's name and arguments, the auxiliary vector, mapped files, and all memory that is there.
//
// Memory that is not there has a program header with a p_filesz of 0: untouched memory, which is zeros; pages of files that are not mapped in, which
// debuggers take from the files, and take for zeros where they don't have these; and what was lost. The last is in a note of the owner Nodelens
// and type 1: numbers of 64 bits, the start and the size of each part.
//
// The error is that of w, [linux.ErrNone] for a task without memory of its own, the context's own, or that the memory can't be read at all. Whatever
// else was lost is among the Gaps.
func (r *Reader) WriteCore(ctx context.Context, w io.Writer, t *linux.Task) (*Core, error) {
	mm, err := t.MM()
	if err != nil {
		return nil, err
	}
	segments, gaps, err := r.Segments(ctx, t)
	if err != nil {
		return nil, err
	}
	core := &Core{Segments: len(segments), Gaps: gaps}
	notes := r.notes(ctx, t, mm, segments, core)
	loads := loadsOf(segments)
	out := bufio.NewWriterSize(w, 1<<20)
	at := writeHeaders(out, loads, len(notes))
	out.Write(notes)                                                        //nolint:errcheck // it sticks
	out.Write(make([]byte, (vmem.PageSize-at%vmem.PageSize)%vmem.PageSize)) //nolint:errcheck // likewise
	buf := make([]byte, copyBytes)
	for _, l := range loads {
		if !l.file {
			continue
		}
		if err := r.copyLoad(ctx, out, mm, t, l, buf, core); err != nil {
			return core, err
		}
	}
	if err := out.Flush(); err != nil {
		return core, fmt.Errorf("memory: core of %v: %w", t, err)
	}
	return core, nil
}

// copyBytes is how much is copied at a time.
const copyBytes = 1 << 20

// copyLoad writes the bytes of a part of memory. What can't be read now, though its page tables say that it is there, is zeros and a Gap.
func (r *Reader) copyLoad(ctx context.Context, w io.Writer, mm *linux.MM, t *linux.Task, l coreLoad, buf []byte, core *Core) error {
	for done := uint64(0); done < l.area.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(uint64(len(buf)), l.area.Size-done)]
		at := l.area.Start + vmem.VirtAddr(done)
		n, err := r.ReadVirt(mm, b, at)
		if err != nil && n < len(b) {
			lost := min(len(b)-n, vmem.PageSize-int(uint64(at)+uint64(n))%vmem.PageSize)
			clear(b[n : n+lost])
			core.Gaps = append(core.Gaps, vmem.NewGap("core of "+t.String(), vmem.UserPlace(at+vmem.VirtAddr(n), t.PID), err))
			core.Lost += uint64(lost)
			b = b[:n+lost]
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("memory: core of %v: %w", t, err)
		}
		core.Bytes += uint64(len(b))
		done += uint64(len(b))
	}
	return nil
}

// loadsOf makes program headers of segments: of each what is there, and what is not.
func loadsOf(segments []Segment) (loads []coreLoad) {
	for i := range segments {
		s := &segments[i]
		var flags uint32
		for bit, flag := range map[linux.VMAFlags]uint32{linux.VMExec: 1, linux.VMWrite: 2, linux.VMRead: 4} {
			if s.Flags&bit != 0 {
				flags |= flag
			}
		}
		at := s.Range.Start
		add := func(end vmem.VirtAddr, file bool) {
			if end <= at {
				return
			}
			if n := len(loads); n > 0 && file && loads[n-1].file && loads[n-1].flags == flags && loads[n-1].area.Start+vmem.VirtAddr(loads[n-1].area.Size) == at && at != s.Range.Start {
				loads[n-1].area.Size += uint64(end - at)
			} else {
				loads = append(loads, coreLoad{vmem.Range[vmem.VirtAddr]{Start: at, Size: uint64(end - at)}, flags, file})
			}
			at = end
		}
		for _, run := range s.Runs {
			if run.Err == nil {
				add(run.Range.Start, false)
				add(run.Range.Start+vmem.VirtAddr(run.Range.Size), true)
			}
		}
		add(s.Range.Start+vmem.VirtAddr(s.Range.Size), false)
	}
	return loads
}

// writeHeaders writes the headers of a core, and returns where the notes end.
func writeHeaders(w io.Writer, loads []coreLoad, notes int) uint64 {
	count := len(loads) + 1
	phnum, shnum := count, 0
	if count >= pnXNum {
		phnum, shnum = pnXNum, 1
	}
	start := uint64(ehdrSize + phdrSize*count + shdrSize*shnum)
	end := start + uint64(notes)
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	le := binary.LittleEndian
	b = le.AppendUint16(b, etCore)
	b = le.AppendUint16(b, emX86_64)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, ehdrSize)
	b = le.AppendUint64(b, uint64(shnum)*uint64(ehdrSize+phdrSize*count))
	b = le.AppendUint32(b, 0)
	for _, v := range []int{ehdrSize, phdrSize, phnum, shdrSize * shnum, shnum, 0} {
		b = le.AppendUint16(b, uint16(v))
	}
	header := func(typ, flags uint32, offset, addr, filesz, memsz, align uint64) {
		b = le.AppendUint32(b, typ)
		b = le.AppendUint32(b, flags)
		for _, v := range []uint64{offset, addr, 0, filesz, memsz, align} {
			b = le.AppendUint64(b, v)
		}
	}
	header(ptNote, 0, start, 0, uint64(notes), 0, 4)
	offset := (end + vmem.PageSize - 1) &^ (vmem.PageSize - 1)
	for _, l := range loads {
		size := uint64(0)
		if l.file {
			size = l.area.Size
		}
		header(ptLoad, l.flags, offset, uint64(l.area.Start), size, l.area.Size, vmem.PageSize)
		offset += size
	}
	if shnum > 0 { // sh_info of section 0 is the number of program headers
		section := make([]byte, shdrSize)
		le.PutUint32(section[44:], uint32(count))
		b = append(b, section...)
	}
	w.Write(b) //nolint:errcheck // the writer keeps it
	return end
}

// keep adds a loss to what a core lacks.
func (c *Core) keep(err error) {
	if err == nil || errors.Is(err, linux.ErrNone) {
		return
	}
	c.Gaps = append(c.Gaps, vmem.NewGap("core", vmem.Place{}, err))
}
