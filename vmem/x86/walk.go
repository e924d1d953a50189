package x86

import "github.com/nodelens/nodelens/vmem"

// Walk implements [vmem.Tables].
func (t *Tables) Walk(va vmem.VirtAddr) (vmem.Leaf, error) {
	l, err := t.walk(va)
	if err != nil {
		return vmem.Leaf{}, err
	}
	in := uint64(va) & (spanSize(l.level) - 1)
	return vmem.Leaf{Phys: l.addr + vmem.PhysAddr(in), Entry: uint64(l.entry)}, nil
}

// Translate implements [vmem.Tables].
func (t *Tables) Translate(va vmem.VirtAddr) (vmem.Mapping, error) {
	l, err := t.walk(va)
	if err != nil {
		return vmem.Mapping{}, err
	}
	return l.mapping(va), nil
}

// A leaf is the end of a walk: the entry that maps a page.
type leaf struct {
	entry entry
	level int
	addr  vmem.PhysAddr
	perms permissions
}

// mapping returns the page that va is in.
func (l leaf) mapping(va vmem.VirtAddr) vmem.Mapping {
	size := spanSize(l.level)
	present := l.entry.has(bitPresent)
	return vmem.Mapping{
		Range: vmem.Range[vmem.VirtAddr]{Start: va &^ vmem.VirtAddr(size-1), Size: size},
		Phys:  l.addr,
		Flags: vmem.Flags{
			Write:    present && entry(l.perms).has(bitWrite),
			User:     present && entry(l.perms).has(bitUser),
			NX:       entry(l.perms).has(bitNX),
			Accessed: l.entry.has(bitAccessed),
			Dirty:    l.entry.has(bitDirty | bitSavedDirty),
			Global:   present && l.entry.has(bitGlobal),
			ProtNone: !present,
		},
	}
}

// walk translates va by the tables. The error is a *vmem.Fault.
func (t *Tables) walk(va vmem.VirtAddr) (leaf, error) {
	if !t.Canonical(va) {
		return leaf{}, &vmem.Fault{Virt: va, Err: vmem.ErrNonCanonical}
	}
	table, perms := t.root, allPermissions
	for level := t.levels; ; level-- {
		at := entryAddr(table, level, va)
		word, err := t.phys.Word(at)
		if err != nil {
			return leaf{}, &vmem.Fault{Virt: va, Phys: at, Level: level, Err: err}
		}
		e := entry(word)
		to, err := t.decode(e, level, IsKernel(va))
		if err != nil {
			return leaf{}, &vmem.Fault{Virt: va, Phys: at, Level: level, Entry: word, Err: err}
		}
		perms = t.restrict(perms, e, level, va)
		if to.page {
			return leaf{e, level, to.addr, perms}, nil
		}
		table = to.addr
	}
}

// restrict returns what of perms an entry on the way to va leaves.
func (t *Tables) restrict(perms permissions, e entry, level int, va vmem.VirtAddr) permissions {
	if level == t.levels && !IsKernel(va) {
		e &^= bitNX // see there
	}
	return perms.and(e)
}
