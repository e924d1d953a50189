package bpf

import (
	"context"
	"slices"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Open. A nil pointer means the zero value.
type Options struct {
	// Tasks are the processes whose descriptors and mounts are looked at for who holds what.
	// Nil: nothing is told of holders, pins and filters of system calls.
	Tasks []*linux.Task
	// Modules are those whose tracepoints are looked at. Nil: only those of the kernel itself are.
	Modules *module.Set
	// Symbols tells functions by their addresses. Nil: the kernel's symbols do, but not those of modules.
	Symbols *module.Symbolizer
	// Network returns what package network read of devices and sockets, some of which have programs. It is asked only
	// where there is a program of a type that these have, or a device says that it has one. Nil: nothing is told of
	// such attachments.
	Network func() ([]*network.Configuration, []*socket.Socket)
}

// A Set is what the kernel has of BPF. It is immutable and safe for concurrent use.
type Set struct {
	ctx     context.Context //nolint:containedctx // of Open, which the Set does not outlive it with: nil after it
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	objects *kstruct.Space
	opts    Options
	views   *views
	cpus    []int
	boot    time.Time

	programs    []*Program
	byAddr      map[vmem.VirtAddr]*Program
	refused     map[vmem.VirtAddr]bool
	subprograms map[vmem.VirtAddr]*Program // by struct bpf_prog
	images      []Image
	maps        []*Map
	mapAt       map[vmem.VirtAddr]*Map
	links       []*Link
	linkAt      map[vmem.VirtAddr]*Link
	attachedBy  map[vmem.VirtAddr]bool    // links that are told where they attach a program
	perfEvents  map[vmem.VirtAddr][]Owner // that processes have open
	fileKinds   map[vmem.VirtAddr]string  // see kindOf
	perfLinks   map[vmem.VirtAddr]uint32  // links by the perf event
	cgroups     []*Cgroup
	emptyArrays map[vmem.VirtAddr]bool // of programs
	trampolines []*Trampoline
	classic     []*ClassicFilter
	btfs        []*BTF
	btfAt       map[vmem.VirtAddr]*BTF
	fromCode    map[string]vmem.VirtAddr // variables that were looked for in code, 0 for none
	whole       map[string]bool          // tables that were read to their ends

	callBase  vmem.VirtAddr // __bpf_call_base, from which calls count
	hasArenas bool
	swapped   bool                     // see swappedCall
	helpers   map[vmem.VirtAddr]string // names that were looked up while the Set was made

	gaps   []vmem.Gap
	more   int
	moreAt vmem.Gap
}

// views are what BPF is read with. Each group fails by itself.
type views struct {
	progs progViews
	ksyms ksymViews
	btf   btfViews

	maps    mapViews
	links   linkViews
	holders holderViews
	pins    pinViews
	cgroups cgroupViews
	tramps  trampolineViews
	trace   tracepointViews
	others  otherViews
	devices deviceViews
}

func bindViews(types *isf.File) *views {
	return &views{
		progs: bindPrograms(types), ksyms: bindKsyms(types), btf: bindBTF(types), maps: bindMaps(types), links: bindLinks(types),
		holders: bindHolders(types), pins: bindPins(types), cgroups: bindCgroups(types), tramps: bindTrampolines(types),
		trace: bindTracepoints(types), others: bindOthers(types), devices: bindDevices(types),
	}
}

// Open reads what the kernel has of BPF. What was lost is among [Set.Gaps]. The error is the
// context's own.
func Open(ctx context.Context, k *linux.Kernel, opts *Options) (*Set, error) {
	s := &Set{
		ctx: ctx, k: k, mem: k.Space(), objects: k.Objects(), views: bindViews(k.Symbols()),
		byAddr: map[vmem.VirtAddr]*Program{}, refused: map[vmem.VirtAddr]bool{}, subprograms: map[vmem.VirtAddr]*Program{},
		mapAt: map[vmem.VirtAddr]*Map{}, linkAt: map[vmem.VirtAddr]*Link{}, attachedBy: map[vmem.VirtAddr]bool{},
		perfEvents: map[vmem.VirtAddr][]Owner{}, perfLinks: map[vmem.VirtAddr]uint32{}, emptyArrays: map[vmem.VirtAddr]bool{},
		fileKinds: map[vmem.VirtAddr]string{}, helpers: map[vmem.VirtAddr]string{},
		btfAt: map[vmem.VirtAddr]*BTF{}, fromCode: map[string]vmem.VirtAddr{}, whole: map[string]bool{},
	}
	if opts != nil {
		s.opts = *opts
	}
	k.Physical().Refresh()
	s.boot, _ = k.BootTime()
	s.callBase, _ = k.Symbol("__bpf_call_base") // exported
	s.hasArenas = k.Symbols().HasField("bpf_prog_aux", "arena")
	s.swapped = k.Symbols().HasField("bpf_prog_aux", "subprog_start")
	s.cpus, _ = s.objects.CPUs()
	for _, read := range []func(){
		s.readPrograms, s.readImages, s.readMaps, s.readHolders, s.readPins, s.readLinks, s.readUsed, s.readBTFs,
		s.readCgroups, s.readTrampolines, s.readTracepoints, s.readPerfEvents, s.readEvents, s.readMapPrograms, s.readNamespaces,
		s.readNetwork, s.readSeccomp, s.settle,
	} {
		if read(); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	s.endGaps()
	s.ctx = context.Background()
	return s, nil
}

// Programs returns the programs by ascending ID, those without one last.
func (s *Set) Programs() []*Program { return slices.Clone(s.programs) }

// Gaps returns what was lost.
func (s *Set) Gaps() []vmem.Gap { return slices.Clone(s.gaps) }

func (s *Set) walk(object string) *kstruct.Walk {
	return s.objects.Walk(s.ctx, &kstruct.WalkOptions{Object: object, Nodes: 1 << 20, Gaps: 100})
}

// kernelRange is where the kernel's image is, with the largest one that there can be behind _text
// where no symbol says its end.
func (s *Set) kernelRange() vmem.Range[vmem.VirtAddr] {
	start, ok := s.symbol("_text")
	if !ok {
		start = vmem.VirtAddr(0xffffffff81000000 + s.k.Info().KASLRShift)
	}
	end, ok := s.symbol("_end")
	if !ok {
		end = start + 128<<20
	}
	return vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(end - start)}
}

// readPrograms reads prog_idr of kernel/bpf/syscall.c (static).
func (s *Set) readPrograms() {
	if s.views.progs.err != nil {
		s.lose("BPF programs", 0, s.views.progs.err)
		return
	}
	s.readIDR(progIDR, "BPF programs", func(at vmem.VirtAddr, id uint32) {
		if p := s.addProgram(at, InIDR); p != nil && p.ID != id {
			s.lose("BPF program "+p.String(), at, corrupt("the table has it as %d", id))
		}
	})
}

// readIDR walks a table of IDs.
func (s *Set) readIDR(symbol, object string, add func(at vmem.VirtAddr, id uint32)) {
	idr, ok := s.symbol(symbol)
	if !ok {
		s.lose(object, 0, unsupported("no symbol %s", symbol))
		return
	}
	s.whole[symbol] = true
	for e, err := range s.walk(object).IDR(idr) {
		switch {
		case err != nil:
			s.whole[symbol] = false
			s.lose(object, idr, err)
		case e.Kind == kstruct.PointerEntry && e.Ptr != 0: // others are not published yet
			add(e.Ptr, uint32(e.First))
		}
	}
}

// addProgram notes that the program at an address was found by something. It returns nil
// for what is no program, which is told once.
func (s *Set) addProgram(at vmem.VirtAddr, source Sources) *Program {
	if p := s.byAddr[at]; p != nil {
		p.Sources |= source
		return p
	}
	if at == 0 || s.refused[at] {
		return nil
	}
	p, err := s.readProgram(at)
	if err == nil && len(s.programs) >= maxPrograms {
		err = kstruct.ErrTooMany
	}
	if err != nil {
		s.refused[at] = true
		s.lose("BPF program", at, err)
		return nil
	}
	p.Sources = source
	s.byAddr[at] = p
	s.programs = append(s.programs, p)
	s.complete(p)
	return p
}
