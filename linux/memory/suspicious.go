package memory

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/x86code"
	"github.com/nodelens/nodelens/vmem"
)

// A Kind is what is suspicious about memory.
type Kind string

// The kinds of findings.
const (
	WritableCode  Kind = "writable-code"  // a mapping can be written and executed
	AnonymousCode Kind = "anonymous-code" // a mapping without a file can be executed
	GoneCode      Kind = "gone-code"      // what is executed is of a file that is in no directory: deleted, or a memfd
	ChangedCode   Kind = "changed-code"   // pages of code were written in this process, and differ from their file's as far as that is in memory
	HiddenProgram Kind = "hidden-program" // an ELF header in memory that is of no file
	StrayThread   Kind = "stray-thread"   // a thread executes what is of no file
	GoneProgram   Kind = "gone-program"   // the process's program is in no directory
)

// A Level is how much a finding weighs.
type Level string

// The levels of findings.
const (
	High   Level = "high"
	Medium Level = "medium"
	Low    Level = "low" // as just-in-time compilers have it
)

// A Finding is something suspicious in the memory of a process (linux.malfind of Volatility shows some of it).
type Finding struct {
	Kind    Kind          `json:"kind"`
	Level   Level         `json:"level"`
	Why     string        `json:"why"` // in words that may change
	PID     int32         `json:"pid"`
	TID     int32         `json:"tid,omitempty"` // of a StrayThread
	Address vmem.VirtAddr `json:"address"`
	Size    uint64        `json:"size"` // of the mapping, or the pages
	Flags   string        `json:"flags" jsonx:"null"`
	Path    string        `json:"path" jsonx:"null"`
	Data    string        `json:"data" jsonx:"null"` // the first bytes that are not zero, in hexadecimal
	Code    []string      `json:"code"`              // the same as instructions, of what can be executed
}

// compilers are libraries and programs that make code while they run, by how their names begin.
var compilers = []string{"libjvm.so", "node", "libnode.so", "libv8", "libmozjs", "libcoreclr.so", "libmono", "libluajit", "libpcre2-8.so", "libLLVM", "libllvmlite",
	"libffi.so", "java", "beam.smp", "qemu-", "chrome", "dotnet", "ruby", "libruby", "php", "wasmtime", "libwasmtime", "pypy"}

// dataBytes is how many bytes of a finding are told.
const dataBytes = 64

// maxFindings bounds the findings of one kind of one process, so that many of one hide no other, and maxPages the pages that are
// looked at.
const (
	maxFindings = 256
	maxPages    = 1 << 24
)

// Suspicious looks for what is suspicious in the memory of a task's process. Just-in-time compilers are known by what is mapped: what they make is Low. The error is
// that of [Reader.Segments]; gaps say what could not be looked at.
func (r *Reader) Suspicious(ctx context.Context, t *linux.Task) (findings []Finding, gaps []vmem.Gap, err error) {
	mm, err := t.MM()
	if err != nil {
		return nil, nil, err
	}
	segments, gaps, err := r.Segments(ctx, t)
	if err != nil {
		return nil, gaps, err
	}
	s := &suspector{Reader: r, ctx: ctx, task: t, mm: mm, compiler: compilerIn(segments), gaps: gaps, partial: len(gaps) > 0, counts: map[Kind]int{}}
	s.program()
	for i := range segments {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		s.segment(&segments[i])
	}
	s.threads(ctx, segments)
	for _, kind := range slices.Sorted(maps.Keys(s.counts)) {
		if more := s.counts[kind] - maxFindings; more > 0 {
			s.gaps = append(s.gaps, vmem.NewGap("suspicious memory of "+t.String(), vmem.Place{}, fmt.Errorf("%w: %d more of the kind %s", kstruct.ErrTooMany, more, kind)))
		}
	}
	if s.pages > maxPages {
		s.gaps = append(s.gaps, vmem.NewGap("suspicious pages of "+t.String(), vmem.Place{}, fmt.Errorf("%w: more than %d pages", kstruct.ErrTooLong, maxPages)))
	}
	return s.found, s.gaps, ctx.Err()
}

// A suspector looks at one process.
type suspector struct {
	*Reader
	ctx      context.Context //nolint:containedctx // it lives as long as one call
	task     *linux.Task
	mm       *linux.MM
	compiler string // what of it makes code; empty for none
	found    []Finding
	gaps     []vmem.Gap
	partial  bool         // mappings were lost
	counts   map[Kind]int // of all findings, whether they are told or not
	pages    int          // that were looked at
}

// tell adds a finding, as far as those of its kind are told.
func (s *suspector) tell(f *Finding) {
	if s.counts[f.Kind]++; s.counts[f.Kind] <= maxFindings {
		s.found = append(s.found, *f)
	}
}

// compilerIn returns the just-in-time compiler that a process has mapped.
func compilerIn(segments []Segment) string {
	for i := range segments {
		if segments[i].Flags&linux.VMExec == 0 || memfd(segments[i].Path) || gone(segments[i].Path) {
			continue
		}
		if isCompiler(path.Base(segments[i].Path)) {
			return segments[i].Path
		}
	}
	return ""
}

// isCompiler reports whether a name is one of compilers, with a version or a suffix behind it at most.
func isCompiler(name string) bool {
	return slices.ContainsFunc(compilers, func(c string) bool {
		rest, ok := strings.CutPrefix(name, c)
		return ok && (rest == "" || strings.HasSuffix(c, "-") || strings.ContainsAny(rest[:1], ".-0123456789"))
	})
}

// doubleMapped reports whether a mapping is of the memory that .NET has twice, to write code by one and run it by the other.
func (s *suspector) doubleMapped(name string) bool {
	base := path.Base(s.compiler)
	return strings.HasPrefix(name, "/memfd:doublemapper") && (strings.HasPrefix(base, "libcoreclr.so") || strings.HasPrefix(base, "dotnet"))
}

// program looks at the program itself.
func (s *suspector) program() {
	exe, err := s.task.Exe()
	switch {
	case err != nil:
		if !errors.Is(err, linux.ErrNone) {
			s.gaps = append(s.gaps, vmem.NewGap("program of "+s.task.String(), vmem.Place{}, err))
		}
	case memfd(exe):
		s.tell(&Finding{Kind: GoneProgram, Level: High, Why: "the program is a file that was only ever in memory", PID: s.task.PID, Path: exe})
	case gone(exe):
		s.tell(&Finding{Kind: GoneProgram, Level: Medium, Why: "the program's file was deleted", PID: s.task.PID, Path: exe})
	}
}

func memfd(name string) bool { return strings.HasPrefix(name, "/memfd:") }
func gone(name string) bool  { return strings.HasSuffix(name, " (deleted)") }

// anonymous reports whether a mapping is of no file, nor one of the kernel's own.
func anonymous(s *Segment) bool {
	return s.Path == "" || strings.HasPrefix(s.Path, "[anon") || s.Path == "[heap]" || s.Path == "[stack]"
}

// segment looks at a mapping.
func (s *suspector) segment(g *Segment) {
	executable, writable := g.Flags&linux.VMExec != 0, g.Flags&linux.VMWrite != 0
	switch {
	case !executable:
	case writable:
		s.add(g, WritableCode, s.level(High), s.because("it can be written and executed"), g.Range, 0)
	case anonymous(g):
		s.add(g, AnonymousCode, s.level(High), s.because("it can be executed and is of no file"), g.Range, 0)
	case s.doubleMapped(g.Path):
		s.add(g, GoneCode, Low, s.because("it can be executed, and its file was only ever in memory"), g.Range, 0)
	case memfd(g.Path):
		s.add(g, GoneCode, High, "it can be executed, and its file was only ever in memory", g.Range, 0)
	case gone(g.Path):
		s.add(g, GoneCode, Medium, "it can be executed, and its file was deleted", g.Range, 0)
	}
	if executable && !writable && !anonymous(g) && g.Flags&linux.VMShared == 0 {
		s.changed(g)
	}
	if anonymous(g) {
		s.headers(g)
	}
}

// level lowers a level where a compiler accounts for it.
func (s *suspector) level(l Level) Level {
	if s.compiler != "" {
		return Low
	}
	return l
}

func (s *suspector) because(why string) string {
	if s.compiler != "" {
		why += "; the process has a compiler: " + s.compiler
	}
	return why
}

// changed looks for pages of private code that were written, so that they are the process's own (copy on write), and do not hold what the file
// does.
func (s *suspector) changed(g *Segment) {
	for _, run := range g.Runs {
		if run.Err != nil || !run.Dirty || strings.HasPrefix(g.Path, "[") {
			continue
		}
		s.compare(g, run.Range, func(part vmem.Range[vmem.VirtAddr], v verdict) {
			switch v {
			case differs:
				s.add(g, ChangedCode, High, "pages of code were written in this process, and are no longer the file's", part, 0)
			case unknown:
				s.add(g, ChangedCode, High, "pages of code were written in this process, and those of the file are not in memory to compare with", part, 0)
			case equal:
			}
		})
	}
}

// headers looks for ELF headers at the beginnings of pages.
func (s *suspector) headers(g *Segment) {
	var swapped [20]byte
	for _, run := range merged(g.Runs) {
		if run.Err != nil {
			continue
		}
		for at := uint64(0); at < run.Range.Size; at += vmem.PageSize {
			if s.pages++; s.pages > maxPages || s.pages%4096 == 0 && s.ctx.Err() != nil {
				return
			}
			b, err := s.mm.Space().View(run.Range.Start+vmem.VirtAddr(at), 20)
			if err != nil && errors.Is(err, vmem.ErrSwapped) {
				b = swapped[:]
				_, err = s.ReadVirt(s.mm, b, run.Range.Start+vmem.VirtAddr(at))
			}
			if err != nil || len(b) < 20 || string(b[:4]) != "\x7fELF" || b[4] != 2 || b[5] != 1 || b[6] != 1 || b[16] < 1 || b[16] > 4 {
				continue
			}
			level := Medium
			if g.Flags&linux.VMExec != 0 {
				level = s.level(High)
			}
			page := vmem.Range[vmem.VirtAddr]{Start: run.Range.Start + vmem.VirtAddr(at), Size: vmem.PageSize}
			s.add(g, HiddenProgram, level, "an ELF header is in memory of no file", page, 0)
		}
	}
}

// threads looks at where threads are.
func (s *suspector) threads(ctx context.Context, segments []Segment) {
	for t, err := range s.task.Threads(ctx) {
		if err != nil {
			s.gaps = append(s.gaps, vmem.NewGap("threads of "+s.task.String(), vmem.Place{}, err))
			continue
		}
		regs, err := s.Registers(t)
		if errors.Is(err, linux.ErrNone) {
			continue
		}
		if err != nil {
			s.gaps = append(s.gaps, vmem.NewGap("registers of "+t.String(), vmem.Place{}, err))
			continue
		}
		rip := vmem.VirtAddr(regs.RIP)
		i := segmentOf(segments, rip)
		switch {
		case i < 0 && vsyscall.Contains(rip):
		case i < 0 && s.partial: // it may well be where a mapping was lost
			s.gaps = append(s.gaps, vmem.NewGap("code of "+t.String(), vmem.UserPlace(rip, t.PID), fmt.Errorf("%w: no mapping that is left has it", kstruct.ErrCorrupt)))
		case i < 0:
			s.tell(&Finding{Kind: StrayThread, Level: High, Why: "the thread executes where nothing is mapped", PID: s.task.PID, TID: t.PID, Address: rip})
		case anonymous(&segments[i]):
			page := vmem.Range[vmem.VirtAddr]{Start: rip, Size: vmem.PageSize}
			s.add(&segments[i], StrayThread, s.level(High), s.because("the thread executes memory of no file"), page, t.PID)
		}
	}
}

// segmentOf returns the index of the mapping that has an address, and -1 where none has. There may be tens of thousands of both
// threads and mappings, so it is not looked for one by one.
func segmentOf(segments []Segment, a vmem.VirtAddr) int {
	i, _ := slices.BinarySearchFunc(segments, a, func(g Segment, a vmem.VirtAddr) int { return cmp.Compare(g.Range.Last(), a) })
	if i < len(segments) && segments[i].Range.Contains(a) {
		return i
	}
	return -1
}

// vsyscall is the page that old programs call for the time (VSYSCALL_ADDR): it is no mapping of the process.
var vsyscall = vmem.Range[vmem.VirtAddr]{Start: 0xffffffffff600000, Size: vmem.PageSize}

// add adds a finding, with what is there.
func (s *suspector) add(g *Segment, kind Kind, level Level, why string, area vmem.Range[vmem.VirtAddr], tid int32) {
	if s.counts[kind] >= maxFindings {
		s.counts[kind]++
		return
	}
	f := Finding{Kind: kind, Level: level, Why: why, PID: s.task.PID, TID: tid, Address: area.Start, Size: area.Size, Flags: g.Flags.String(), Path: g.Path}
	at, data := s.content(g, area, tid != 0)
	if len(data) > 0 {
		f.Data = hex.EncodeToString(data)
		if g.Flags&linux.VMExec != 0 {
			f.Code = disassemble(data, at)
		}
	}
	s.tell(&f)
}

// content returns the first bytes of a part of a mapping that are there and not zero, or those at its start.
func (s *suspector) content(g *Segment, area vmem.Range[vmem.VirtAddr], exact bool) (vmem.VirtAddr, []byte) {
	b := make([]byte, vmem.PageSize)
	for _, run := range g.Runs {
		part := clip(run.Range, area)
		if run.Err != nil || part.Size == 0 {
			continue
		}
		for done := uint64(0); done < min(part.Size, 1<<20); done += vmem.PageSize {
			at := part.Start + vmem.VirtAddr(done)
			n, _ := s.ReadVirt(s.mm, b[:min(part.Size-done, vmem.PageSize)], at)
			first := slices.IndexFunc(b[:n], func(c byte) bool { return c != 0 })
			if exact {
				first = 0
			}
			if first >= 0 && n > 0 {
				first &^= 15
				return at + vmem.VirtAddr(first), b[first:min(first+dataBytes, n)]
			}
		}
	}
	return 0, nil
}

// disassemble returns bytes as instructions.
func disassemble(b []byte, at vmem.VirtAddr) []string {
	var lines []string
	for len(b) > 0 {
		in, name, err := x86code.Decode(b)
		n := in.Len
		switch {
		case err != nil || n <= 0 || n > len(b):
			n = 1
			name = fmt.Sprintf(".byte %#02x", b[0])
		case name == "":
			name = x86asm.GNUSyntax(in, uint64(at), nil)
		}
		lines = append(lines, fmt.Sprintf("%#x: %s", uint64(at), name))
		b, at = b[n:], at+vmem.VirtAddr(n)
	}
	return lines
}
