package integrity

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// plausible reports whether an address can be that of an object of the kernel.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// A traceOps is struct ftrace_ops (include/linux/ftrace.h).
type traceOps struct {
	Func       vmem.VirtAddr `kernel:"func"`
	Next       vmem.VirtAddr `kernel:"next"`
	Flags      uint64        `kernel:"flags"`
	Hash       vmem.VirtAddr `kernel:"func_hash"`
	Trampoline vmem.VirtAddr `kernel:"trampoline"`
	Size       uint64        `kernel:"trampoline_size"`
	Subops     vmem.VirtAddr `kernel:"&subop_list,optional"` // since 6.11
}

// The flags of ftrace_ops: enum of include/linux/ftrace.h.
const (
	opsEnabled  = 1 << 0
	opsSaveRegs = 1 << 2
	opsStub     = 1 << 5
	opsAlloc    = 1 << 11 // the kernel made the trampoline
	opsIPModify = 1 << 12
	opsSub      = 1 << 18
	opsGraph    = 1 << 19 // it is that of a fgraph_ops
)

var opsFlags = [...]string{
	"enabled", "dynamic", "save-regs", "save-regs-if-supported", "recursion", "stub", "initialized", "deleted", "adding", "removing", "modifying",
	"alloc-tramp", "ipmodify", "pid", "rcu", "trace-array", "permanent", "direct", "subop", "graph",
}

// flagNames returns the names of flags by their bits.
func flagNames(flags uint64, names []string) string {
	var words []string
	for i, name := range names {
		if flags&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

type traceHashes struct {
	NotTraced vmem.VirtAddr `kernel:"notrace_hash"`
	Filter    vmem.VirtAddr `kernel:"filter_hash"`
}

type traceHash struct {
	Bits    uint64        `kernel:"size_bits"`
	Buckets vmem.VirtAddr `kernel:"buckets"`
	Count   uint64        `kernel:"count"`
}

type traceEntry struct {
	IP     vmem.VirtAddr `kernel:"ip"`
	Direct vmem.VirtAddr `kernel:"direct,optional"`
}

// An owner is a structure that has an ftrace_ops in it, and functions of its own that this leads to.
type owner struct {
	ops   kstruct.Member
	enter *kstruct.Field[vmem.VirtAddr] // called where a function begins
	leave *kstruct.Field[vmem.VirtAddr] // called where it ends
}

func bindOwner(b *kstruct.Binder, typ, enter, leave string) owner {
	return owner{
		kstruct.BindOptionalMember(b, typ, "ops"), kstruct.BindOptionalField[vmem.VirtAddr](b, typ, enter), kstruct.BindOptionalField[vmem.VirtAddr](b, typ, leave),
	}
}

type ftraceViews struct {
	ops    *kstruct.View[traceOps]
	subop  kstruct.Member // ftrace_ops.list, by which it is in a subop_list
	hashes *kstruct.View[traceHashes]
	hash   *kstruct.View[traceHash]
	entry  *kstruct.View[traceEntry]
	node   kstruct.Member // ftrace_func_entry.hlist
	page   *kstruct.View[tracePage]
	rec    *kstruct.View[traceRecord]
	graph  owner  // fgraph_ops
	fprobe owner  // fprobe, until 6.13: later ones are no ftrace_ops
	count  uint64 // the bits of dyn_ftrace.flags that count
	err    error
}

func bindFtrace(types *isf.File) (v ftraceViews) {
	b := kstruct.NewBinder(types)
	v.ops = kstruct.Bind[traceOps](b, "ftrace_ops")
	v.subop = kstruct.BindOptionalMember(b, "ftrace_ops", "list")
	v.hashes = kstruct.Bind[traceHashes](b, "ftrace_ops_hash")
	v.hash = kstruct.Bind[traceHash](b, "ftrace_hash")
	v.entry = kstruct.Bind[traceEntry](b, "ftrace_func_entry")
	v.node = kstruct.BindMember(b, "ftrace_func_entry", "hlist")
	v.page = kstruct.Bind[tracePage](b, "ftrace_page")
	v.rec = kstruct.Bind[traceRecord](b, "dyn_ftrace")
	v.graph = bindOwner(b, "fgraph_ops", "entryfunc", "retfunc")
	v.fprobe = bindOwner(b, "fprobe", "entry_handler", "exit_handler")
	v.count = countBits(types)
	v.err = b.Err()
	return v
}

// countBits returns the bits of the flags of a record that count who traces its function: those below the lowest flag. Flags
// took more of them with 6.4 (cbad0fb2d8d9) and later, and the enumeration that has them has no name.
func countBits(types *isf.File) uint64 {
	lowest := uint64(1 << 23) // FTRACE_FL_DIRECT_EN, until 6.3
	for e := range types.Enums() {
		for _, c := range e.Constants {
			if strings.HasPrefix(c.Name, "FTRACE_FL_") && c.Value > 0 {
				lowest = min(lowest, uint64(c.Value))
			}
		}
	}
	return lowest - 1
}

// An ops is one ftrace_ops, and the functions that it is called for.
type ops struct {
	traceOps
	at     vmem.VirtAddr
	filter map[vmem.VirtAddr]bool // empty: all
	not    map[vmem.VirtAddr]bool
	subops []*ops
}

// ftraceOps are those that trace functions.
type ftraceOps struct {
	views ftraceViews
	list  []*ops
	gaps  []error
	none  bool // the kernel does not trace functions
}

// readFtraceOps reads what traces functions: the list that ftrace_ops_list begins.
func (c *Checker) readFtraceOps(ctx context.Context) *ftraceOps {
	f := &ftraceOps{views: bindFtrace(c.k.Symbols())}
	if !c.has("__register_ftrace_function") && !c.has("register_ftrace_function") {
		f.none = true
		return f
	}
	if f.views.err != nil {
		f.gaps = append(f.gaps, vmem.NewGap("ftrace", vmem.Place{}, f.views.err))
		return f
	}
	head, err := c.find(variable{"ftrace_ops_list", []string{"__register_ftrace_function", "unregister_ftrace_function", "arch_ftrace_ops_list_func", "ftrace_ops_list_func"}, func(a vmem.VirtAddr) bool {
		p, ok := c.pointer(a)
		if !ok {
			return false
		}
		o, err := f.views.ops.Load(c.k.Space(), p)
		return err == nil && c.Verdict(o.Func).Kind != Unknown && (o.Next == 0 && o.Flags&opsStub != 0 || plausible(o.Next))
	}})
	if err != nil {
		f.gaps = append(f.gaps, vmem.NewGap("ftrace_ops_list", vmem.Place{}, err))
		return f
	}
	first, err := c.k.Space().Uint64(head)
	if err != nil {
		f.gaps = append(f.gaps, vmem.NewGap("ftrace_ops_list", vmem.KernelPlace(head), err))
		return f
	}
	w := c.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "ftrace_ops_list", Nodes: maxNodes, Gaps: c.k.Limits().Gaps})
	next, _ := f.views.ops.Offset("Next")
	for at, err := range w.Chain(vmem.VirtAddr(first), next) {
		if err != nil {
			f.gaps = append(f.gaps, err)
			continue
		}
		o := c.readOps(ctx, f, at)
		if o == nil || o.Next == 0 && o.Flags&opsStub != 0 { // ftrace_list_end
			continue
		}
		f.list = append(f.list, o)
	}
	return f
}

// readOps reads one ftrace_ops with its functions, nil where it can't be read.
func (c *Checker) readOps(ctx context.Context, f *ftraceOps, at vmem.VirtAddr) *ops {
	o := &ops{at: at}
	if err := f.views.ops.Read(c.k.Space(), at, &o.traceOps); err != nil {
		f.gaps = append(f.gaps, vmem.NewGap("ftrace_ops", vmem.KernelPlace(at), err))
		return nil
	}
	if o.Hash != 0 {
		h, err := f.views.hashes.Load(c.k.Space(), o.Hash)
		if err != nil {
			f.gaps = append(f.gaps, vmem.NewGap("functions of ftrace_ops", vmem.KernelPlace(o.Hash), err))
		}
		o.filter = c.readHash(ctx, f, h.Filter, nil)
		o.not = c.readHash(ctx, f, h.NotTraced, nil)
	}
	if o.Subops == 0 || o.Flags&opsSub != 0 {
		return o
	}
	w := c.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "subops of ftrace_ops", Nodes: maxNodes, Gaps: c.k.Limits().Gaps})
	for node, err := range w.List(o.Subops) {
		if err != nil {
			if first, _ := c.k.Space().Uint64(o.Subops); first != 0 { // it is set up when it is first used
				f.gaps = append(f.gaps, err)
			}
			continue
		}
		if sub := c.readOps(ctx, f, f.views.subop.Container(node)); sub != nil {
			o.subops = append(o.subops, sub)
		}
	}
	return o
}

// maxHashBits is more than a hash of functions has.
const maxHashBits = 20

// readHash reads a hash of functions, all of its buckets. direct, if not nil, is filled with what they call.
func (c *Checker) readHash(ctx context.Context, f *ftraceOps, at vmem.VirtAddr, direct map[vmem.VirtAddr]vmem.VirtAddr) map[vmem.VirtAddr]bool {
	if at == 0 {
		return nil
	}
	h, err := f.views.hash.Load(c.k.Space(), at)
	if err == nil && h.Bits > maxHashBits {
		err = fmt.Errorf("%w: a hash of 2^%d buckets", kstruct.ErrCorrupt, h.Bits)
	}
	if err != nil {
		f.gaps = append(f.gaps, vmem.NewGap("ftrace_hash", vmem.KernelPlace(at), err))
		return nil
	}
	found := map[vmem.VirtAddr]bool{}
	if h.Count == 0 {
		return found
	}
	w := c.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "ftrace_hash", Nodes: maxNodes, Gaps: c.k.Limits().Gaps})
	for i := range uint64(1) << h.Bits {
		for node, err := range w.HList(h.Buckets + vmem.VirtAddr(8*i)) {
			var e traceEntry
			if err == nil {
				err = f.views.entry.Read(c.k.Space(), f.views.node.Container(node), &e)
			}
			if err != nil {
				f.gaps = append(f.gaps, vmem.NewGap("ftrace_hash", vmem.KernelPlace(at), err))
				continue
			}
			found[e.IP] = true
			if direct != nil {
				direct[e.IP] = e.Direct
			}
		}
	}
	return found
}

// traces reports whether it is called for the function whose call of the tracer is at an address (hash_contains_ip).
func (o *ops) traces(ip vmem.VirtAddr) bool {
	return (len(o.filter) == 0 || o.filter[ip]) && !o.not[ip]
}

// trampolines returns those that the kernel made: copies of ftrace_caller, behind which is the address of the ftrace_ops. One
// that says that it is such and is not is none.
func (f *ftraceOps) trampolines() (code []Code) {
	for _, o := range f.list {
		for _, o := range append([]*ops{o}, o.subops...) {
			if o.Flags&opsAlloc == 0 || o.Trampoline == 0 || o.Size == 0 || o.Size > 4096 {
				continue
			}
			code = append(code, Code{
				Range: vmem.Range[vmem.VirtAddr]{Start: o.Trampoline, Size: o.Size}, Symbol: "ftrace_trampoline", Owner: "__builtin__ftrace", Verdict: Verdict{Kind: Trampoline},
			})
		}
	}
	return code
}
