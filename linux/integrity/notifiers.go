package integrity

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A notifierBlock is struct notifier_block (include/linux/notifier.h).
type notifierBlock struct {
	Call     vmem.VirtAddr `kernel:"notifier_call"`
	Next     vmem.VirtAddr `kernel:"next"`
	Priority int32         `kernel:"priority"`
}

// notifierKinds are the kinds of chains, which begin their functions' names and those of their heads' types.
var notifierKinds = [...]string{"atomic", "blocking", "raw", "srcu"}

// notifierCalls are the functions that take a chain as their first argument (kernel/notifier.c), behind the name of its kind.
var notifierCalls = [...]string{"_notifier_chain_register", "_notifier_chain_register_unique_prio", "_notifier_chain_unregister", "_notifier_call_chain", "_notifier_call_chain_robust"}

type notifierViews struct {
	block *kstruct.View[notifierBlock]
	call  kstruct.Member
	next  kstruct.Member
	heads [len(notifierKinds)]*kstruct.Field[vmem.VirtAddr]
	net   kstruct.Member // net.netdev_chain
	err   error
}

func bindNotifiers(types *isf.File) (v notifierViews) {
	b := kstruct.NewBinder(types)
	v.block = kstruct.Bind[notifierBlock](b, "notifier_block")
	v.call = kstruct.BindMember(b, "notifier_block", "notifier_call")
	v.next = kstruct.BindMember(b, "notifier_block", "next")
	for i, kind := range notifierKinds {
		v.heads[i] = kstruct.BindOptionalField[vmem.VirtAddr](b, kind+"_notifier_head", "head")
	}
	v.net = kstruct.BindOptionalMember(b, "net", "netdev_chain")
	v.err = b.Err()
	return v
}

// A chainHead is the head of a chain.
type chainHead struct {
	at   vmem.VirtAddr
	kind int
	name string
	sure bool // a symbol or a structure says that it is one
}

// NotifierTable is [Hook].Table of what notifier chains call.
const NotifierTable = "notifiers"

// readNotifiers yields what the chains of notifiers call: that of the keyboard, which sees what is typed, those of panics and reboots, and all others that
// are variables. They are found by the code that registers or calls them, of the kernel and of modules, so that no symbol is needed but those of
// these functions; and the chain of devices of each network namespace. What is allocated, as chains of single devices are, is not told.
func readNotifiers(r *reader) {
	v := bindNotifiers(r.k.Symbols())
	if v.err != nil {
		r.lost("notifier chains", 0, v.err)
		return
	}
	for _, head := range r.chains(&v) {
		if !r.chain(&v, head) {
			return
		}
	}
	for ns, err := range network.Namespaces(r.ctx, r.k, r.tasks) {
		if err != nil || !v.net.Ok() {
			continue // told by the table of netfilter
		}
		head := chainHead{v.net.Of(ns.Addr), slices.Index(notifierKinds[:], "raw"), fmt.Sprintf("netdev_chain of %d", ns.Inum), true}
		if !r.chain(&v, head) {
			return
		}
	}
}

// chains returns the heads of all chains by address.
func (r *reader) chains(v *notifierViews) (heads []chainHead) {
	found := map[vmem.VirtAddr]chainHead{}
	for s := range r.k.Symbols().Symbols() {
		for i, kind := range notifierKinds {
			if s.Type != nil && s.Type.Kind == isf.KindStruct && s.Type.Name == kind+"_notifier_head" {
				if at, err := r.k.Symbol(s.Name); err == nil {
					found[at] = chainHead{at, i, s.Name, true}
				}
			}
		}
	}
	const atomic = 0
	die := chainHead{kind: atomic, name: "die_chain"} // which has functions of its own in the file of all the others
	var err error
	if die.at, err = r.find(variable{die.name, []string{"register_die_notifier", "unregister_die_notifier"}, func(a vmem.VirtAddr) bool {
		return r.isChain(v, chainHead{at: a, kind: atomic})
	}}); err != nil {
		r.lost(die.name, 0, err)
	}
	for _, x := range append(r.chainsInCode(), die) {
		if _, ok := found[x.at]; !ok && r.isChain(v, x) {
			found[x.at] = x
		}
	}
	for _, x := range found {
		heads = append(heads, x)
	}
	slices.SortFunc(heads, func(a, b chainHead) int { return cmp.Compare(a.at, b.at) })
	return heads
}

// isChain reports whether what code takes for a chain can be one.
func (r *reader) isChain(v *notifierViews, x chainHead) bool {
	first, err := r.headOf(v, x)
	if err != nil || first == 0 || x.sure {
		return err == nil
	}
	b, err := v.block.Load(r.k.Space(), first)
	return plausible(first) && err == nil && (b.Next == 0 || plausible(b.Next)) && plausible(b.Call)
}

func (r *reader) headOf(v *notifierViews, x chainHead) (vmem.VirtAddr, error) {
	return v.heads[x.kind].Load(r.k.Space(), x.at)
}

// chain yields what a chain calls. The kernel keeps the blocks by falling priority.
func (r *reader) chain(v *notifierViews, x chainHead) bool {
	first, err := r.headOf(v, x)
	if err != nil {
		return r.lost("notifier chain "+x.name, x.at, err)
	}
	i, last := 0, int32(0)
	for at, err := range r.walk("notifier chain "+x.name).Chain(first, v.next.Offset()) {
		var b notifierBlock
		if err == nil {
			err = v.block.Read(r.k.Space(), at, &b)
		}
		if err != nil {
			if !r.lost("notifier chain "+x.name, at, err) {
				return false
			}
			continue
		}
		h := r.owned(NotifierTable, fmt.Sprintf("%s %d", x.name, i), v.call.Of(at), at, b.Call)
		if b.Priority != 0 {
			h.Evidence = append([]string{fmt.Sprintf("priority %d", b.Priority)}, h.Evidence...)
		}
		if i > 0 && b.Priority > last {
			h.suspect("it is behind one of priority %d, where the kernel does not put it", last)
		}
		if !r.found(h) {
			return false
		}
		i, last = i+1, b.Priority
	}
	return !r.over
}

// chainsInCode returns the chains that code gives to the functions for them.
func (r *reader) chainsInCode() (heads []chainHead) {
	takers := map[vmem.VirtAddr]int{}
	for i, kind := range notifierKinds {
		for _, call := range notifierCalls {
			if at, err := r.k.Symbol(kind + call); err == nil {
				takers[at] = i
			}
		}
	}
	done := map[vmem.VirtAddr]bool{}
	for _, code := range r.code {
		if code.verdict.Kind != Kernel && code.verdict.Kind != Module {
			continue
		}
		for _, at := range r.callers(code.Range, takers) {
			e, ok := r.symbols.Extent(at)
			if !ok || done[e.Start] {
				continue
			}
			done[e.Start] = true
			if f, _ := r.functionAt(e.Start); f != nil {
				heads = append(heads, r.chainsGiven(f, takers)...)
			}
		}
	}
	return heads
}

// callers returns where code calls functions, or jumps to them, as far as one can see without decoding it.
func (r *reader) callers(code vmem.Range[vmem.VirtAddr], functions map[vmem.VirtAddr]int) (at []vmem.VirtAddr) {
	const step = 1 << 20
	low, high := ^vmem.VirtAddr(0), vmem.VirtAddr(0)
	for f := range functions {
		low, high = min(low, f), max(high, f)
	}
	buf := make([]byte, min(code.Size, step)+4)
	for off := uint64(0); off < code.Size && r.ctx.Err() == nil; off += step {
		n, _ := r.k.Space().ReadVirt(buf[:min(code.Size-off, uint64(len(buf)))], code.Start+vmem.VirtAddr(off))
		for i := range max(n-4, 0) {
			if buf[i]&0xfe != 0xe8 {
				continue
			}
			place := code.Start + vmem.VirtAddr(off) + vmem.VirtAddr(i)
			to := place + 5 + vmem.VirtAddr(int64(int32(binary.LittleEndian.Uint32(buf[i+1:]))))
			if to < low || to > high {
				continue
			}
			if _, ok := functions[to]; ok {
				at = append(at, place)
			}
		}
	}
	return at
}

// chainsGiven returns the constants that a function gives to functions that take a chain first.
func (r *reader) chainsGiven(f *function, takers map[vmem.VirtAddr]int) (heads []chainHead) {
	var regs [16]value
	const rdi = 7
	f.each(func(in *inst) bool {
		to, direct := in.target()
		if kind, ok := takers[to]; direct && ok && regs[rdi].ok && r.Verdict(vmem.VirtAddr(regs[rdi].v)).Kind == Unknown {
			at := vmem.VirtAddr(regs[rdi].v)
			name, sure := "of "+f.name, false
			if l, ok := r.symbols.Resolve(at); ok && l.Offset == 0 {
				name, sure = l.Symbol, strings.Contains(l.Symbol, "notif") || strings.HasSuffix(l.Symbol, "_chain")
			}
			heads = append(heads, chainHead{at, kind, name, sure})
		}
		follow(in, &regs)
		return true
	})
	return heads
}

// follow does to registers what an instruction does, as far as it is about constants.
func follow(in *inst, regs *[16]value) {
	if in.Op == x86asm.CALL {
		for _, n := range [...]int{0, 1, 2, 6, 7, 8, 9, 10, 11} { // those that functions need not keep
			regs[n] = value{}
		}
		return
	}
	reg, ok := in.Args[0].(x86asm.Reg)
	n, width, whole := register(reg)
	if !ok || in.Op == x86asm.CMP || in.Op == x86asm.TEST || in.Op == x86asm.PUSH {
		return
	}
	if !whole {
		return // a part of a register, in which no address is put
	}
	regs[n] = value{}
	switch from := in.Args[1].(type) {
	case x86asm.Imm:
		if in.Op == x86asm.MOV && width == 64 {
			regs[n] = value{uint64(int64(from)), true}
		}
	case x86asm.Mem:
		if in.Op == x86asm.LEA && from.Base == x86asm.RIP {
			regs[n] = value{uint64(in.next()) + uint64(from.Disp), true}
		}
	case x86asm.Reg:
		if m, w, ok := register(from); in.Op == x86asm.MOV && ok && w == 64 {
			regs[n] = regs[m]
		}
	}
}
