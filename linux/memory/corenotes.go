package memory

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Types of notes of a core (include/uapi/linux/elf.h), and our own.
const (
	ntPRStatus = 1
	ntPRPSInfo = 3
	ntAuxv     = 6
	ntFile     = 0x46494c45
	ntHoles    = 1 // of the owner Nodelens
)

// appendNote adds a note.
func appendNote(b []byte, owner string, typ uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(owner)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, typ)
	b = padded(append(append(b, owner...), 0))
	return padded(append(b, desc...))
}

func padded(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// notes makes the notes of a core, in the order in which the kernel has them: those of the process behind the first thread.
func (r *Reader) notes(ctx context.Context, t *linux.Task, mm *linux.MM, segments []Segment, core *Core) (b []byte) {
	var threads []*linux.Task
	for thread, err := range t.Threads(ctx) {
		core.keep(err)
		if err == nil {
			threads = append(threads, thread)
		}
	}
	slices.SortStableFunc(threads, func(a, b *linux.Task) int { // the leader first
		return int(boolInt(a.PID != t.TGID) - boolInt(b.PID != t.TGID))
	})
	first := true
	for _, thread := range threads {
		regs, err := r.Registers(thread)
		core.keep(err)
		if err != nil {
			continue
		}
		core.Threads++
		b = appendNote(b, "CORE", ntPRStatus, r.prStatus(ctx, thread, &regs, core))
		if first {
			b = r.processNotes(ctx, b, t, mm, segments, core)
			first = false
		}
	}
	if first {
		b = r.processNotes(ctx, b, t, mm, segments, core)
	}
	return b
}

func boolInt(is bool) int32 {
	if is {
		return 1
	}
	return 0
}

// processNotes adds the notes that a process has once.
func (r *Reader) processNotes(ctx context.Context, b []byte, t *linux.Task, mm *linux.MM, segments []Segment, core *Core) []byte {
	b = appendNote(b, "CORE", ntPRPSInfo, r.prPSInfo(ctx, t, mm, core))
	auxv, err := r.Auxv(t)
	core.keep(err)
	b = appendNote(b, "CORE", ntAuxv, auxv)
	b = appendNote(b, "CORE", ntFile, fileNote(segments))
	var holes []byte
	for i := range segments {
		for _, run := range segments[i].Runs {
			if run.Err != nil {
				holes = binary.LittleEndian.AppendUint64(holes, uint64(run.Range.Start))
				holes = binary.LittleEndian.AppendUint64(holes, run.Range.Size)
				core.Lost += run.Range.Size
				core.Gaps = append(core.Gaps, vmem.NewGap("core of "+t.String(), vmem.UserPlace(run.Range.Start, t.PID), run.Err))
			}
		}
	}
	return appendNote(b, "Nodelens", ntHoles, holes)
}

// Auxv returns the auxiliary vector that the kernel gave the program, as /proc/PID/auxv: pairs of words, of which the last has the type 0
// (mm_struct.saved_auxv). The error is [linux.ErrNone] for a task without memory of its own, and a [vmem.Gap] otherwise.
func (r *Reader) Auxv(t *linux.Task) ([]byte, error) {
	mm, err := r.views.mm.Load(r.mem, t.Addr)
	if err == nil && (mm == 0 || t.KernelThread) {
		return nil, linux.ErrNone
	}
	b := make([]byte, min(r.views.auxv.Size(), vmem.PageSize))
	if err == nil {
		_, err = r.mem.ReadVirt(b, r.views.auxv.Of(mm))
	}
	if err != nil {
		return nil, lost(t, "auxiliary vector", t.Addr, cause(err, r.views.err))
	}
	for at := 0; at+16 <= len(b); at += 16 {
		if binary.LittleEndian.Uint64(b[at:]) == 0 {
			return b[:at+16], nil
		}
	}
	return b, nil
}

// prStatus makes a struct elf_prstatus (include/linux/elfcore.h).
func (r *Reader) prStatus(ctx context.Context, t *linux.Task, regs *Registers, core *Core) []byte {
	signals, err := r.process.Signals(ctx, t)
	core.keep(err)
	rel, err := r.process.Relations(ctx, t)
	core.keep(err)
	times, err := r.process.ThreadTimes(t)
	core.keep(err)
	le := binary.LittleEndian
	b := make([]byte, 16)
	b = le.AppendUint64(b, uint64(signals.Pending))
	b = le.AppendUint64(b, uint64(signals.Blocked))
	for _, id := range []int32{t.PID, t.PPID, rel.Group, rel.Session} {
		b = le.AppendUint32(b, uint32(id))
	}
	for _, d := range []time.Duration{times.User, times.System, 0, 0} {
		b = le.AppendUint64(b, uint64(d/time.Second))
		b = le.AppendUint64(b, uint64(d%time.Second/time.Microsecond))
	}
	for _, v := range []uint64{
		regs.R15, regs.R14, regs.R13, regs.R12, regs.RBP, regs.RBX, regs.R11, regs.R10, regs.R9, regs.R8, regs.RAX, regs.RCX, regs.RDX, regs.RSI, regs.RDI,
		regs.OrigRAX, regs.RIP, regs.CS, regs.Flags, regs.RSP, regs.SS, regs.FSBase, regs.GSBase, regs.DS, regs.ES, regs.FS, regs.GS,
	} {
		b = le.AppendUint64(b, v)
	}
	return le.AppendUint64(b, 0) // no registers of the floating-point unit
}

// prPSInfo makes a struct elf_prpsinfo.
func (r *Reader) prPSInfo(ctx context.Context, t *linux.Task, mm *linux.MM, core *Core) []byte {
	c, err := r.process.Credentials(t)
	core.keep(err)
	rel, err := r.process.Relations(ctx, t)
	core.keep(err)
	sched, err := r.process.Scheduling(t)
	core.keep(err)
	var args []string
	for arg, err := range mm.Args(ctx) {
		core.keep(err)
		if err == nil && len(args) < 80 {
			args = append(args, arg)
		}
	}
	le := binary.LittleEndian
	state := strings.IndexByte("RSDTZW", byte(t.State))
	b := []byte{byte(max(state, 0)), byte(t.State), byte(boolInt(t.State == 'Z')), byte(int8(sched.Nice)), 0, 0, 0, 0}
	b = le.AppendUint64(b, uint64(t.Flags))
	for _, id := range []int32{int32(c.UID), int32(c.GID), t.PID, t.PPID, rel.Group, rel.Session} {
		b = le.AppendUint32(b, uint32(id))
	}
	b = appendText(b, t.Comm, 16)
	return appendText(b, strings.Join(args, " "), 80)
}

// appendText adds a text in so many bytes, the last of which is zero.
func appendText(b []byte, s string, size int) []byte {
	s = s[:min(len(s), size-1)]
	return append(append(b, s...), make([]byte, size-len(s))...)
}

// fileNote makes the note that says which files are mapped where (fill_files_note of fs/binfmt_elf.c). Names in brackets are no files.
func fileNote(segments []Segment) []byte {
	var b, names []byte
	n := 0
	le := binary.LittleEndian
	for i := range segments {
		s := &segments[i]
		if s.Path == "" || s.Path[0] == '[' {
			continue
		}
		n++
		for _, v := range []uint64{uint64(s.Range.Start), uint64(s.Range.Start) + s.Range.Size, s.Offset / vmem.PageSize} {
			b = le.AppendUint64(b, v)
		}
		names = append(append(names, s.Path...), 0)
	}
	head := le.AppendUint64(le.AppendUint64(nil, uint64(n)), vmem.PageSize)
	return slices.Concat(head, b, names)
}
