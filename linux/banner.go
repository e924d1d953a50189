package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A sign is what stands at a known place in the image of a kernel, by which one is noticed.
type sign struct {
	name string
	link uint64 // its address, as linked
	text []byte
}

// signs returns those that the symbols tell.
func (f *finder) signs() []sign {
	var all []sign
	add := func(name, symbol string, off uint64, text string) {
		if s, err := f.symbols.Symbol(symbol); err == nil && text != "" && s.Address >= startKernelMap {
			all = append(all, sign{name, s.Address + off, []byte(text)})
		}
	}
	banner := f.symbols.Banner()
	add("banner", "linux_banner", 0, banner)
	if off, ok := f.views.idle.task.Offset("Comm"); ok {
		add("init_task", "init_task", off, "swapper/0\x00")
	}
	if off, ok := f.views.idle.release.Offset("Release"); ok && release(banner) != "" {
		add("init_uts_ns", "init_uts_ns", off, release(banner)+"\x00")
	}
	return all
}

// byImage tries every place that a kernel can have been loaded to and where one of its signs
// stands: no more than a few words of each place are read.
func (f *finder) byImage(ctx context.Context) iter.Seq[located] {
	return func(yield func(located) bool) {
		signs, none := f.signs(), true
		for load, s := range f.loads(ctx, signs) {
			none = false
			for _, c := range f.loadedAt(load, fmt.Sprintf("%s at %v", s.name, s.at(load))) {
				if c.err != nil {
					c.err = fmt.Errorf("%s at %v: %w", s.name, s.at(load), c.err)
				}
				if !yield(c) {
					return
				}
			}
		}
		switch {
		case len(signs) == 0:
			yield(located{nil, errors.New("the symbols hold nothing to search for")})
		case none && ctx.Err() == nil:
			yield(located{nil, errors.New("neither the banner of the symbols nor init_task stands where a kernel could have it")})
		}
	}
}

// at returns where the sign is in a kernel that was loaded load bytes above where it was
// linked.
func (s *sign) at(load uint64) vmem.PhysAddr {
	return vmem.PhysAddr(s.link - startKernelMap + load)
}

// progressStep is how often a search tells how far it is, in bytes.
const progressStep = 64 << 20

// loads yields how far from where it was linked a kernel may have been loaded, in ascending
// order, each with the first sign that stands there.
func (f *finder) loads(ctx context.Context, signs []sign) iter.Seq2[uint64, sign] {
	return func(yield func(uint64, sign) bool) {
		ranges := f.phys.Ranges()
		if len(ranges) == 0 || len(signs) == 0 {
			return
		}
		end := uint64(ranges[len(ranges)-1].Last()) + 1
		// It can be loaded below where it was linked: CONFIG_PHYSICAL_START is added there.
		for at := int64(-imageMost); at < int64(end); at += kernelAlign {
			load := uint64(at)
			if load%progressStep == 0 {
				if ctx.Err() != nil {
					return
				}
				f.tell(at, int64(end))
			}
			i := slices.IndexFunc(signs, func(s sign) bool { return f.stands(s.at(load), s.text) })
			if i >= 0 && !yield(load, signs[i]) {
				return
			}
		}
	}
}

func (f *finder) tell(done, total int64) {
	if f.progress != nil {
		f.progress("searching for the kernel", max(done, 0), total)
	}
}

// stands reports whether text is at pa.
func (f *finder) stands(pa vmem.PhysAddr, text []byte) bool {
	if _, ok := vmem.SearchRanges(f.phys.Ranges(), pa); !ok {
		return false
	}
	buf := make([]byte, len(text))
	n, _ := f.mem.ReadAt(buf, int64(pa))
	return n == len(text) && bytes.Equal(buf, text)
}

// loadedAt tries what there may be of a kernel that was loaded load bytes above where it was
// linked: the ways to tell how far its addresses were moved need not agree.
func (f *finder) loadedAt(load uint64, by string) []located {
	top, err := f.topTable()
	if err != nil {
		return []located{{nil, err}}
	}
	var all []located
	var tried []uint64
	for _, shift := range f.shifts(load) {
		for _, levels := range f.levels(load) {
			if slices.Contains(tried, shift*8+uint64(levels)) {
				continue
			}
			tried = append(tried, shift*8+uint64(levels))
			l := &location{foundBy: by, shift: shift, physBase: int64(load - shift), levels: levels}
			l.root = vmem.PhysAddr(top - startKernelMap + load)
			if v, err := f.loadedWord("sme_me_mask", load, 0); err == nil && isMask(v) {
				l.mask = v
			}
			err := f.verify(l)
			all = append(all, located{l, err})
			if err == nil && (l.whole || l.many()) {
				return all
			}
		}
	}
	if len(all) == 0 {
		return []located{{nil, errors.New("nothing says how far its addresses were moved")}}
	}
	return all
}

// isMask reports whether v can be sme_me_mask: none, or one bit of an address.
func isMask(v uint64) bool { return v&(v-1) == 0 && v&(1<<52-1<<32) == v }

// shifts returns how far KASLR may have moved the addresses of a kernel that was loaded load
// bytes above where it was linked.
func (f *finder) shifts(load uint64) []uint64 {
	var all []uint64
	add := func(shift uint64, err error) {
		if err == nil && shift%kernelAlign == 0 && shift < imageMost*2 && !slices.Contains(all, shift) {
			all = append(all, shift)
		}
	}
	base, err := f.loadedWord("phys_base", load, 0)
	add(load-base, err)
	if init, e := f.symbols.Symbol("init_task"); e == nil && f.views.idle.leaderErr == nil {
		self, err := f.loadedWord("init_task", load, f.views.idle.leader.Offset())
		add(self-init.Address, err)
	}
	if top, e := f.topTable(); e == nil && f.views.idle.pgd.Ok() {
		pgd, err := f.loadedWord("init_mm", load, f.views.idle.pgd.Offset())
		add(pgd-top, err)
	}
	return all
}

// levels returns how many levels the page tables may have: what the kernel says first.
func (f *finder) levels(load uint64) []int {
	v, err := f.loadedWord("__pgtable_l5_enabled", load, 0)
	if err == nil && uint32(v) == 1 {
		return []int{5, 4}
	}
	return []int{4, 5}
}

// loadedWord reads eight bytes at an offset of a variable of a kernel that was loaded load
// bytes above where it was linked.
func (f *finder) loadedWord(name string, load, off uint64) (uint64, error) {
	s, err := f.symbols.Symbol(name)
	if err != nil {
		return 0, err
	}
	return f.phys.Uint64(vmem.PhysAddr(s.Address - startKernelMap + load + off))
}

// scanChunk is how much of memory is searched at a time.
const scanChunk = 1 << 20

// scan calls each with every place in physical memory where want stands, until each
// returns false.
func (f *finder) scan(ctx context.Context, want []byte, each func(vmem.PhysAddr) bool) error {
	buf := make([]byte, scanChunk+len(want)-1)
	var done, total int64
	for _, r := range f.mem.Ranges() {
		total += int64(r.Size)
	}
	for _, r := range f.mem.Ranges() {
		for off := uint64(0); off < r.Size; off += scanChunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := r.Start + vmem.PhysAddr(off)
			// What can't be read is a gap of the image, which its reader reports.
			n, _ := f.mem.ReadAt(buf[:min(uint64(len(buf)), r.Size-off)], int64(start))
			for at := 0; ; at++ {
				i := bytes.Index(buf[at:n], want)
				if i < 0 {
					break
				}
				at += i
				if !each(start + vmem.PhysAddr(at)) {
					return nil
				}
			}
			done += scanChunk
			f.tell(min(done, total), total)
		}
	}
	return nil
}
