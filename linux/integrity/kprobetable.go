package integrity

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A probeStruct is struct kprobe (include/linux/kprobes.h).
type probeStruct struct {
	Addr  vmem.VirtAddr `kernel:"addr"`
	Pre   vmem.VirtAddr `kernel:"pre_handler"`
	Post  vmem.VirtAddr `kernel:"post_handler"`
	Fault vmem.VirtAddr `kernel:"fault_handler,optional"` // until 5.13
	Flags uint32        `kernel:"flags"`
	Links vmem.VirtAddr `kernel:"&list"` // of several at one address
}

// The flags of kprobes: KPROBE_FLAG_... of include/linux/kprobes.h.
const (
	probeGone      = 1
	probeDisabled  = 2
	probeOptimized = 4
	probeFtrace    = 8
)

type returnProbe struct {
	Handler vmem.VirtAddr `kernel:"handler"`
	Entry   vmem.VirtAddr `kernel:"entry_handler"`
}

// An insnPage is struct kprobe_insn_page (kernel/kprobes.c): room for the instructions that kprobes stand in the place of.
type insnPage struct {
	Insns vmem.VirtAddr `kernel:"insns"`
}

// An optimizedProbe is what struct optimized_kprobe has beside its kprobe: where a jump in the place of the instruction leads
// (arch_optimized_insn of arch/x86/include/asm/kprobes.h).
type optimizedProbe struct {
	Insn vmem.VirtAddr `kernel:"optinsn.insn"`
	Size uint64        `kernel:"optinsn.size"`
}

type probeViews struct {
	probe  *kstruct.View[probeStruct]
	opt    *kstruct.View[optimizedProbe]
	inOpt  kstruct.Member // optimized_kprobe.kp
	node   kstruct.Member // kprobe.hlist
	link   kstruct.Member // kprobe.list
	ret    *kstruct.View[returnProbe]
	kp     kstruct.Member // kretprobe.kp
	pages  kstruct.Member // kprobe_insn_cache.pages
	page   *kstruct.View[insnPage]
	inPage kstruct.Member // kprobe_insn_page.list
	err    error
}

func bindProbes(types *isf.File) (v probeViews) {
	b := kstruct.NewBinder(types)
	v.probe = kstruct.Bind[probeStruct](b, "kprobe")
	v.node = kstruct.BindMember(b, "kprobe", "hlist")
	v.link = kstruct.BindMember(b, "kprobe", "list")
	v.ret = kstruct.Bind[returnProbe](b, "kretprobe")
	v.kp = kstruct.BindMember(b, "kretprobe", "kp")
	v.opt = kstruct.BindOptional[optimizedProbe](b, "optimized_kprobe")
	v.inOpt = kstruct.BindOptionalMember(b, "optimized_kprobe", "kp")
	v.pages = kstruct.BindOptionalMember(b, "kprobe_insn_cache", "pages")
	v.page = kstruct.BindOptional[insnPage](b, "kprobe_insn_page")
	v.inPage = kstruct.BindOptionalMember(b, "kprobe_insn_page", "list")
	v.err = b.Err()
	return v
}

// A probe is a kprobe, or the one in a kretprobe.
type probe struct {
	probeStruct
	at     vmem.VirtAddr
	shared uint32       // the flags of the one that stands for all at its address; its own if it is alone
	ret    *returnProbe // nil for a kprobe
}

// probes are all kprobes.
type probes struct {
	views probeViews
	list  []probe // in the order of debugfs's kprobes/list
	at    map[vmem.VirtAddr]bool
	slots []Code
	gaps  []error
	none  bool // the kernel has no kprobes
}

// kprobeBuckets is how many lists kprobe_table has: KPROBE_TABLE_SIZE.
const kprobeBuckets = 64

// readProbes reads the kprobes (show_kprobe_addr of kernel/kprobes.c): all lists of kprobe_table.
func (c *Checker) readProbes(ctx context.Context) *probes {
	p := &probes{views: bindProbes(c.k.Symbols()), at: map[vmem.VirtAddr]bool{}}
	if !c.has("register_kprobe") {
		p.none = true
		return p
	}
	lose := func(object string, at vmem.VirtAddr, err error) {
		p.gaps = append(p.gaps, vmem.NewGap(object, vmem.KernelPlace(at), err))
	}
	if p.views.err != nil {
		lose("kprobes", 0, p.views.err)
		return p
	}
	table, err := c.find(variable{"kprobe_table", []string{"get_kprobe"}, func(a vmem.VirtAddr) bool { return c.isHashTable(a, kprobeBuckets) }})
	if err != nil {
		lose("kprobe_table", 0, err)
		return p
	}
	aggregate, _ := c.symbolOf("aggr_pre_handler")
	returns, _ := c.symbolOf("pre_handler_kretprobe")
	w := c.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "kprobe_table", Nodes: maxNodes, Gaps: c.k.Limits().Gaps})
	add := func(at vmem.VirtAddr, shared *uint32) {
		one := probe{at: at}
		if err := p.views.probe.Read(c.k.Space(), at, &one.probeStruct); err != nil {
			lose("kprobe", at, err)
			return
		}
		if one.shared = one.Flags; shared != nil {
			one.shared = *shared
		}
		p.at[one.Addr] = true
		if one.Pre == returns && returns != 0 {
			r, err := p.views.ret.Load(c.k.Space(), p.views.kp.Container(at))
			if one.ret = &r; err != nil {
				lose("kretprobe", at, err)
			}
		}
		p.list = append(p.list, one)
	}
	for i := range kprobeBuckets {
		for node, err := range w.HList(table + vmem.VirtAddr(8*i)) {
			if err != nil {
				p.gaps = append(p.gaps, err)
				continue
			}
			at := p.views.node.Container(node)
			first, err := p.views.probe.Load(c.k.Space(), at)
			if err == nil && first.Flags&probeOptimized != 0 {
				c.readOptimized(p, at)
			}
			if err != nil || first.Pre != aggregate || aggregate == 0 {
				add(at, nil)
				continue
			}
			for node, err := range w.List(first.Links) {
				if err != nil {
					p.gaps = append(p.gaps, err)
					continue
				}
				add(p.views.link.Container(node), &first.Flags)
			}
		}
	}
	c.readSlots(w, p)
	return p
}

// isHashTable reports whether there can be an array of hlist heads at an address: what each leads to leads back.
func (c *Checker) isHashTable(at vmem.VirtAddr, heads int) bool {
	for i := range heads {
		head := at + vmem.VirtAddr(8*i)
		first, err := c.k.Space().Uint64(head)
		if err != nil {
			return false
		}
		if first == 0 {
			continue
		}
		back, err := c.k.Space().Uint64(vmem.VirtAddr(first) + 8)
		if err != nil || vmem.VirtAddr(back) != head {
			return false
		}
	}
	return true
}

// symbolOf returns the address of a function.
func (c *Checker) symbolOf(name string) (vmem.VirtAddr, bool) {
	if at, err := c.k.Symbol(name); err == nil {
		return at, true
	}
	return c.symbols.Find(name)
}

// maxOptimized is more than what an optimised kprobe jumps to has: MAX_OPTINSN_SIZE of arch/x86/include/asm/kprobes.h.
const maxOptimized = 1024

// readOptimized adds what an optimised kprobe jumps to, where readSlots can't find all such places.
func (c *Checker) readOptimized(p *probes, at vmem.VirtAddr) {
	if _, err := c.k.Symbol("kprobe_optinsn_slots"); err == nil || !p.views.opt.Ok() {
		return
	}
	opt, err := p.views.opt.Load(c.k.Space(), p.views.inOpt.Container(at))
	if err == nil && opt.Size > maxOptimized {
		err = fmt.Errorf("%w: code of %d bytes for an optimised kprobe", kstruct.ErrCorrupt, opt.Size)
	}
	if err != nil {
		p.gaps = append(p.gaps, vmem.NewGap("optimized_kprobe", vmem.KernelPlace(at), err))
		return
	}
	p.slots = append(p.slots, Code{
		Range: vmem.Range[vmem.VirtAddr]{Start: opt.Insn, Size: opt.Size}, Symbol: "optimized_kprobe", Owner: "__builtin__kprobes", Verdict: Verdict{Kind: Trampoline},
	})
}

// readSlots reads where the kernel has put instructions for kprobes: those that they stand in the place of, and those that
// optimised ones jump to.
func (c *Checker) readSlots(w *kstruct.Walk, p *probes) {
	if !p.views.page.Ok() {
		return
	}
	for _, cache := range []struct{ symbol, name string }{{"kprobe_insn_slots", "kprobe_insn_page"}, {"kprobe_optinsn_slots", "kprobe_optinsn_page"}} {
		at, err := c.k.Symbol(cache.symbol)
		if err != nil {
			if len(p.list) > 0 {
				p.gaps = append(p.gaps, vmem.NewGap(cache.symbol, vmem.Place{}, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)))
			}
			continue
		}
		for node, err := range w.List(p.views.pages.Of(at)) {
			var page insnPage
			if err == nil {
				err = p.views.page.Read(c.k.Space(), p.views.inPage.Container(node), &page)
			}
			if err != nil {
				p.gaps = append(p.gaps, vmem.NewGap(cache.symbol, vmem.KernelPlace(at), err))
				continue
			}
			p.slots = append(p.slots, Code{
				Range: vmem.Range[vmem.VirtAddr]{Start: page.Insns, Size: vmem.PageSize}, Symbol: cache.name, Owner: "__builtin__kprobes", Verdict: Verdict{Kind: Trampoline},
			})
		}
	}
}
