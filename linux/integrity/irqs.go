package integrity

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// IRQTable is [Hook].Table of what is called for interrupts of devices.
const IRQTable = "irq"

// maxActions is how many handlers an interrupt has, and how many chips lie behind each other.
const maxActions = 256

type irqViews struct {
	number *kstruct.Field[uint32]        // irq_desc.irq_data.irq
	action *kstruct.Field[vmem.VirtAddr] // irq_desc.action
	next   *kstruct.Field[vmem.VirtAddr] // irqaction.next
	name   *kstruct.Field[vmem.VirtAddr] // irqaction.name
	data   kstruct.Member                // irq_desc.irq_data
	chip   *kstruct.Field[vmem.VirtAddr] // irq_data.chip
	parent *kstruct.Field[vmem.VirtAddr] // irq_data.parent_data
	err    error
}

func bindIRQs(types *isf.File) (v irqViews) {
	b := kstruct.NewBinder(types)
	v.number = kstruct.BindField[uint32](b, "irq_desc", "irq_data.irq")
	v.action = kstruct.BindField[vmem.VirtAddr](b, "irq_desc", "action")
	v.next = kstruct.BindField[vmem.VirtAddr](b, "irqaction", "next")
	v.name = kstruct.BindField[vmem.VirtAddr](b, "irqaction", "name")
	v.data = kstruct.BindMember(b, "irq_desc", "irq_data")
	v.chip = kstruct.BindField[vmem.VirtAddr](b, "irq_data", "chip")
	v.parent = kstruct.BindOptionalField[vmem.VirtAddr](b, "irq_data", "parent_data")
	v.err = b.Err()
	return v
}

// readIRQs yields what is called for interrupts of devices: how each is handled, its chips, and the handlers of drivers, as /proc/interrupts names
// them. They are in irq_desc_tree, which since 6.5 is sparse_irqs (kernel/irq/irqdesc.c).
func readIRQs(r *reader) {
	v := bindIRQs(r.k.Symbols())
	if v.err != nil {
		r.lost("interrupts", 0, v.err)
		return
	}
	name, walk := "sparse_irqs", (*kstruct.Walk).Maple
	_, err := r.k.Symbol(name)
	_, noRadix := r.k.Symbol("irq_desc_tree")
	if _, noMaple := r.k.Symbols().UserType("maple_tree"); noRadix == nil || err != nil && noMaple != nil {
		name, walk = "irq_desc_tree", (*kstruct.Walk).RadixTree
	}
	root, err := r.find(variable{name, []string{"irq_to_desc", "irq_get_next_irq"}, func(a vmem.VirtAddr) bool { return r.holdsIRQs(&v, walk, a) }})
	if err != nil && name == "sparse_irqs" { // 6.1 has maple trees, too
		name, walk = "irq_desc_tree", (*kstruct.Walk).RadixTree
		root, err = r.find(variable{name, []string{"irq_to_desc", "irq_get_next_irq"}, func(a vmem.VirtAddr) bool { return r.holdsIRQs(&v, walk, a) }})
	}
	if err != nil {
		r.lost("interrupts", 0, err)
		return
	}
	for e, err := range walk(r.walk("interrupts"), root) {
		switch {
		case err != nil:
			r.lost("interrupts", root, err)
		case e.Kind == kstruct.PointerEntry:
			r.irq(&v, e.First, e.Ptr)
		}
		if !r.alive() {
			return
		}
	}
}

// holdsIRQs reports whether a tree is that of interrupts.
func (r *reader) holdsIRQs(v *irqViews, walk func(*kstruct.Walk, vmem.VirtAddr) iter.Seq2[kstruct.Entry, error], root vmem.VirtAddr) bool {
	some := false
	for e, err := range walk(r.walk("interrupts"), root) {
		if err != nil || e.Kind != kstruct.PointerEntry {
			return false
		}
		n, err := v.number.Load(r.k.Space(), e.Ptr)
		if err != nil || uint64(n) != e.First {
			return false
		}
		some = true
	}
	return some
}

// irq yields what is called for one interrupt.
func (r *reader) irq(v *irqViews, number uint64, at vmem.VirtAddr) {
	action, err := v.action.Load(r.k.Space(), at)
	if err != nil {
		r.lost(fmt.Sprintf("interrupt %d", number), at, err)
		return
	}
	entry := fmt.Sprintf("%d", number)
	if !r.actions(v, entry, at, action) {
		return
	}
	data := v.data.Of(at)
	for range maxActions {
		chip, err := v.chip.Load(r.k.Space(), data)
		if err != nil {
			r.lost("interrupt "+entry, data, err)
			return
		}
		if chip != 0 {
			name, _ := r.k.Struct("irq_chip", chip).At("name").CString()
			r.structure("irq_chip", name, "irq_chip", chip)
		}
		if !v.parent.Ok() || r.over {
			return
		}
		if data, err = v.parent.Load(r.k.Space(), data); err != nil || data == 0 {
			return
		}
	}
}

// actions yields the handlers of an interrupt.
func (r *reader) actions(v *irqViews, entry string, desc, action vmem.VirtAddr) bool {
	if !r.structure(IRQTable, entry, "irq_desc", desc) {
		return false
	}
	for range maxActions {
		if action == 0 {
			return true
		}
		name, err := r.text(v.name, action)
		if err != nil {
			name = ""
		}
		if !r.structure(IRQTable, entry+" "+name, "irqaction", action) {
			return false
		}
		if action, err = v.next.Load(r.k.Space(), action); err != nil {
			return r.lost("interrupt "+entry, action, err)
		}
	}
	return r.lost("interrupt "+entry, desc, kstruct.ErrTooLong)
}
