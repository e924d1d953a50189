package ktext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Compare. A nil pointer means the zero value.
type Options struct {
	// Modules are those of the kernel. Nil: they are not compared.
	Modules *module.Set
	// File returns the file that a module was loaded from, uncompressed, with its size; an error says why there
	// is none. Nil: modules are not compared.
	File func(m *module.Module) (io.ReaderAt, error)
	// Describe names an address for what a modification means. Nil: by the symbols of the vmlinux.
	Describe func(vmem.VirtAddr) string
}

// ErrOtherBuild says that a vmlinux is of another kernel than the one that runs.
var ErrOtherBuild = errors.New("the vmlinux is of another kernel")

// errCFI says what is not supported.
var errCFI = fmt.Errorf("%w: the kernel patches the checks of indirect calls (CONFIG_CFI_CLANG)", kstruct.ErrUnsupported)

// maxModifications is how many modifications are told, and maxDescribed how many of these with their instructions.
const (
	maxModifications = 4096
	maxDescribed     = 512
)

// Compare holds the code of a running kernel, and of its modules, against their files. What could not be compared comes
// beside the report. The error is the context's own, or wraps [ErrOtherBuild].
func Compare(ctx context.Context, k *linux.Kernel, b *Build, opts *Options) (*Report, []vmem.Gap, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if have := strings.TrimSpace(k.Info().Banner); b.banner != "" && have != "" && b.banner != have {
		return nil, nil, fmt.Errorf("%w: it is %q, and the kernel is %q", ErrOtherBuild, b.banner, have)
	}
	k.Physical().Refresh()
	c := b.code(k.Info().KASLRShift)
	r := &run{ctx: ctx, opts: o, state: readState(ctx, k, c.names), kernel: c, build: b, report: &Report{BuildID: b.buildID}}
	r.compareKernel()
	if o.Modules != nil && o.File != nil {
		for _, m := range o.Modules.Modules() {
			r.compareModule(m)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(r.report.Modifications, func(a, b Modification) int {
		switch {
		case a.Address < b.Address:
			return -1
		case a.Address > b.Address:
			return 1
		}
		return 0
	})
	for kind, n := range r.patched {
		if n > 0 {
			r.report.Patched = append(r.report.Patched, Patched{Kind(kind), n})
		}
	}
	if r.dropped > 0 {
		r.lose("modifications of code", 0, fmt.Errorf("%w: %d more", kstruct.ErrTooMany, r.dropped))
	}
	return r.report, r.gaps, nil
}

// A run is one comparison.
type run struct {
	*state
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	opts    Options
	kernel  *code
	build   *Build
	report  *Report
	patched [kinds]int
	dropped int
	exports map[string]uint64 // of all modules
}

// compareKernel compares the kernel's code, and what is constant of its data.
func (r *run) compareKernel() {
	c := r.kernel
	t := r.build.sites.moved(c.slide)
	if r.depth {
		t = newSites(c, true)
	}
	for _, table := range t.broken {
		r.lose("table "+table+" of the vmlinux", 0, kstruct.ErrCorrupt)
	}
	if t.cfiSites {
		r.lose("checks of indirect calls", 0, errCFI)
	}
	v := &verifier{state: r.state, code: c, kernel: c.names, sites: t}
	etext, ok := c.names.address("_etext")
	if !ok {
		etext = c.high + c.slide
	}
	ro, _ := c.names.address("__start_rodata")
	roEnd, _ := c.names.address("__end_rodata")
	late, _ := c.names.address("__start_ro_after_init")
	lateEnd, _ := c.names.address("__end_ro_after_init")
	for i := range c.sections {
		s := &c.sections[i]
		switch {
		case s.exec && s.addr < etext:
			r.compareArea(v, s, s.addr, min(s.end(), etext))
		case s.addr >= ro && s.addr < roEnd:
			if late >= s.addr && late < s.end() {
				r.compareArea(v, s, s.addr, late)
				r.compareArea(v, s, min(lateEnd, s.end()), min(s.end(), roEnd))
			} else {
				r.compareArea(v, s, s.addr, min(s.end(), roEnd))
			}
		}
	}
}

// A difference is a range of an area that is not as it should be.
type difference struct {
	start, end int
	site       Kind
	want       []byte // nil: what the file has
	why        string
}

// An area is what is being compared.
type area struct {
	*verifier
	section *section
	base    uint64 // of what is compared
	want    []byte // of the file
	got     []byte // of memory
	lost    []bool // by page
	diffs   []difference
}

// compareArea compares a part of a section.
func (r *run) compareArea(v *verifier, s *section, start, end uint64) {
	if start >= end || r.ctx.Err() != nil {
		return
	}
	a := &area{verifier: v, section: s, base: start, want: s.data[start-s.addr : end-s.addr]}
	lost := a.read(r)
	r.report.Areas = append(r.report.Areas, Area{
		Module: v.code.module, Section: s.name, Range: vmem.Range[vmem.VirtAddr]{Start: vmem.VirtAddr(start), Size: end - start}, Lost: lost,
	})
	r.patched[Kprobe] += r.lift(a.got, a.base)
	at := start
	for _, x := range v.sites.between(start, end) {
		a.plain(at, x.at)
		at = x.at + uint64(x.size)
		if at > end {
			at = end
			break
		}
		a.site(r, &x)
	}
	a.plain(at, end)
	r.tell(a)
}

// read reads the memory of the area. What is not there is taken to be as the file has it, and told as a gap.
func (a *area) read(r *run) (lost uint64) {
	a.got = make([]byte, len(a.want))
	first := a.base &^ (vmem.PageSize - 1)
	a.lost = make([]bool, (a.base+uint64(len(a.want))-first+vmem.PageSize-1)/vmem.PageSize)
	var gap *vmem.Gap
	for off := 0; off < len(a.got); {
		n, err := a.mem.ReadVirt(a.got[off:], vmem.VirtAddr(a.base+uint64(off)))
		off += n
		if err == nil || off >= len(a.got) {
			break
		}
		at := a.base + uint64(off)
		page := at &^ (vmem.PageSize - 1)
		next := int(min(page+vmem.PageSize-a.base, uint64(len(a.got))))
		copy(a.got[off:next], a.want[off:next])
		a.lost[(page-first)/vmem.PageSize] = true
		lost += uint64(next - off)
		if gap == nil {
			g := vmem.NewGap("code "+a.section.name, vmem.KernelPlace(vmem.VirtAddr(at)), err)
			gap = &g
		}
		off = next
	}
	if gap != nil {
		gap.Err = fmt.Errorf("%d bytes: %w", lost, gap.Err)
		r.gaps = append(r.gaps, *gap)
	}
	return lost
}

// gone reports whether a part of a range was not read.
func (a *area) gone(at uint64, n int) bool {
	first := a.base &^ (vmem.PageSize - 1)
	return a.lost[(at-first)/vmem.PageSize] || a.lost[min((at+uint64(n)-1-first)/vmem.PageSize, uint64(len(a.lost)-1))]
}

// plain compares what is not patched.
func (a *area) plain(start, end uint64) {
	i, n := int(start-a.base), int(end-a.base)
	if start >= end {
		return
	}
	if a.code.slide == 0 && bytes.Equal(a.want[i:n], a.got[i:n]) {
		return
	}
	for {
		i = a.code.same(a.want[:n], a.got[:n], a.base-a.code.slide, i, a.section.exact)
		if i >= n {
			return
		}
		if a.section.held == nil || a.section.held[a.base-a.section.addr+uint64(i)] == 0 {
			a.differ(difference{start: i, end: i + 1})
		}
		i++
	}
}

// site checks a place that is patched.
func (a *area) site(r *run, s *site) {
	i := int(s.at - a.base)
	want, got := a.want[i:i+int(s.size)], a.got[i:i+int(s.size)]
	if a.gone(s.at, int(s.size)) {
		return
	}
	switch o := a.verify(s, want, got); {
	case o.ok:
		if !bytes.Equal(want, got) {
			r.patched[s.kind]++
		}
	case got[0] == opInt3 && a.underway(s.at):
		r.patched[Patching]++
	default:
		a.differ(difference{start: i, end: i + int(s.size), site: s.kind, want: o.want, why: o.why})
	}
}

// joinDistance is how far apart differences are that are told as one, in bytes.
const joinDistance = 8

// differ adds a difference.
func (a *area) differ(d difference) {
	if n := len(a.diffs); n > 0 && d.site == Other {
		if last := &a.diffs[n-1]; last.site == Other && d.start-last.end < joinDistance {
			last.end = d.end
			return
		}
	}
	a.diffs = append(a.diffs, d)
}
