package module

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// moduleRange is where modules are mapped on x86-64, behind the kernel's image: from
// MODULES_VADDR (arch/x86/include/asm/pgtable_64_types.h) on. The image has 512 MiB there, or
// 1 GiB where the kernel can be at a random place (KERNEL_IMAGE_SIZE).
func (s *Set) moduleRange() vmem.Range[vmem.VirtAddr] {
	start := vmem.VirtAddr(x86.StartKernelMap + 512<<20)
	if s.k.Info().KASLRShift != 0 {
		start = x86.StartKernelMap + 1<<30
	}
	return vmem.Range[vmem.VirtAddr]{Start: start, Size: 0xffffffffff000000 - uint64(start)}
}

// A union is the modules that the views of the kernel hold, by the address of struct module.
type union struct {
	*Set
	walks func(object string) *kstruct.Walk
	ended func() error // of the context
	found map[vmem.VirtAddr]Sources
	order []vmem.VirtAddr // of the list
	full  bool            // there are more
}

// readAll reads the modules of all views. What a view lacks that others have is hidden.
func (s *Set) readAll(ctx context.Context) error {
	u := &union{Set: s, ended: ctx.Err, found: map[vmem.VirtAddr]Sources{}}
	u.walks = func(object string) *kstruct.Walk {
		return s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object})
	}
	for at := range u.memory() {
		u.add(at, InMemory)
	}
	u.addList()
	u.addTree()
	u.addKobjects()
	u.addBugs()
	if list, _ := s.entries(); list != nil {
		for at := range list {
			u.add(at, InBTF)
		}
	}
	switch {
	case s.views.err != nil:
		s.lose(object, 0, s.views.err)
	case s.whole == 0 && len(u.found) == 0:
		s.lose(object, 0, fmt.Errorf("%w: no symbol leads to them, and not all of their memory could be read", kstruct.ErrUnsupported))
	}
	rest := slices.Sorted(maps.Keys(u.found))
	for _, at := range append(u.order, rest...) {
		if _, ok := u.found[at]; ok {
			u.module(at)
		}
	}
	for named := slices.Sorted(maps.Keys(s.named)); len(named) > 0; {
		s.named = map[vmem.VirtAddr]bool{}
		for _, at := range named {
			if u.add(at, InUses); u.found[at] != 0 {
				u.module(at)
			}
		}
		named = slices.DeleteFunc(slices.Sorted(maps.Keys(s.named)), func(at vmem.VirtAddr) bool { return u.found[at]&InUses != 0 })
	}
	for _, m := range s.modules {
		if m.Sources = u.found[m.Address]; m.State == Live {
			m.Missing = ExpectedSources & s.whole &^ m.Sources
		}
	}
	return ctx.Err()
}

// maxModules is how many modules are told of. A machine has some two hundred.
const maxModules = 4096

// add notes that a view has a module.
func (u *union) add(at vmem.VirtAddr, source Sources) {
	if _, ok := u.found[at]; !ok && len(u.found) == maxModules {
		if !u.full {
			u.full = true
			u.lose(object, at, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxModules))
		}
		return
	}
	u.found[at] |= source
}

// module adds the module at an address to the set, unless it is there.
func (u *union) module(at vmem.VirtAddr) {
	if slices.ContainsFunc(u.modules, func(m *Module) bool { return m.Address == at }) {
		return
	}
	m, err := u.read(at)
	if err != nil {
		u.lose(object, at, err)
		return
	}
	u.modules = append(u.modules, m)
	u.fill(m, u.walks)
}

// memory yields where a struct module is in the memory of modules: what says itself that it
// is there, has a name and a state, and is inside of its own memory. It lies in the module's
// data, aligned to a line of the cache.
func (u *union) memory() iter.Seq[vmem.VirtAddr] {
	return func(yield func(vmem.VirtAddr) bool) {
		if u.views.err != nil {
			return
		}
		const step = 64
		self, _ := u.views.module.Offset("Self")
		buf := make([]byte, vmem.PageSize)
		complete := true
		for m, err := range u.k.Space().Mappings(u.moduleRange()) {
			if err != nil || u.ended() != nil {
				complete = false
				continue
			}
			for at := m.Range.Start; m.Range.Contains(at); at += vmem.PageSize {
				n, err := u.k.Space().ReadVirt(buf, at)
				complete = complete && err == nil
				for i := 0; i+8 <= n; i += 8 {
					base := at + vmem.VirtAddr(i) - vmem.VirtAddr(self)
					if base%step == 0 && binary.LittleEndian.Uint64(buf[i:]) == uint64(base) && u.isModule(base) && !yield(base) {
						return
					}
				}
			}
		}
		if complete {
			u.whole |= InMemory
		}
	}
}

// isModule reports whether what is at an address can be a struct module.
func (s *Set) isModule(at vmem.VirtAddr) bool {
	m, err := s.read(at)
	return err == nil && m.State <= Unformed && printable(m.Name) && m.Contains(at)
}

func printable(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return name != ""
}

// walk yields the entries of a list of modules, whose head is a symbol. Where no symbol says
// where that is, it is walked from modules that were found otherwise.
func (u *union) walk(symbol, member string) iter.Seq2[vmem.VirtAddr, error] {
	if head, err := u.k.Symbol(symbol); err == nil {
		w := u.walks(object)
		return w.Entries(w.List(head), "module", member)
	}
	return func(yield func(vmem.VirtAddr, error) bool) {
		f, err := u.k.Symbols().Field("module", member)
		if err != nil {
			yield(0, fmt.Errorf("%w: no symbol %s: %w", kstruct.ErrUnsupported, symbol, err))
			return
		}
		ring, lost := u.ring(member, vmem.VirtAddr(f.Offset))
		for _, at := range ring {
			if !yield(at, nil) {
				return
			}
		}
		if len(ring) == 0 {
			lost = fmt.Errorf("%w: no symbol %s, and no module that is linked there", kstruct.ErrUnsupported, symbol)
		}
		if lost != nil {
			yield(0, lost)
		}
	}
}

// ring returns the longest list that known modules are in, and what was lost of it. One without
// a head, which is no module, is what is left of a module that was unlinked.
func (u *union) ring(member string, offset vmem.VirtAddr) (best []vmem.VirtAddr, lost error) {
	seen := map[vmem.VirtAddr]bool{}
	for _, start := range slices.Sorted(maps.Keys(u.found)) {
		if seen[start] {
			continue
		}
		ring, headed, bad := []vmem.VirtAddr{start}, false, error(nil)
		w := u.walks(object)
		for at, err := range w.Entries(w.List(start+offset), "module", member) {
			switch {
			case err != nil:
				bad = err
			case u.moduleRange().Contains(at):
				ring = append(ring, at)
				seen[at] = true
			default:
				headed = true
			}
		}
		if (headed || bad != nil) && len(ring) > len(best) {
			best, lost = ring, bad
		}
	}
	return best, lost
}

// collect adds what a view yields. What it can't tell is no loss where it is not there at all.
func (u *union) collect(entries iter.Seq2[vmem.VirtAddr, error], source Sources) {
	whole, n := true, 0
	for at, err := range entries {
		if err != nil {
			whole = false
			if _, ok := errors.AsType[vmem.Gap](err); ok || u.ended() == nil && !errors.Is(err, kstruct.ErrUnsupported) {
				u.lose(object, at, err)
			}
			continue
		}
		n++
		u.add(at, source)
		if source == InList {
			u.order = append(u.order, at)
		}
	}
	if whole && n > 0 {
		u.whole |= source
	}
}

// addList adds the list modules of kernel/module (static in 5.10).
func (u *union) addList() { u.collect(u.walk("modules", "list"), InList) }

// addBugs adds module_bug_list of lib/bug.c (static).
func (u *union) addBugs() { u.collect(u.walk("module_bug_list", "bug_list"), InBugList) }

// addTree adds mod_tree of kernel/module (static in 5.10), both trees of its latch. Nothing else
// leads to it, so that kernels whose kallsyms has no data lack this view.
func (u *union) addTree() {
	at, err := u.k.Symbol("mod_tree")
	v := &u.views.sources
	if err != nil || v.treeErr != nil {
		return
	}
	w := u.walks("tree of modules")
	u.collect(func(yield func(vmem.VirtAddr, error) bool) {
		for i, member := range []string{"node.node[0]", "node.node[1]"} {
			for node, err := range w.Entries(w.RBTree(v.trees[i].Of(at)), "mod_tree_node", member) {
				var owner vmem.VirtAddr
				if err == nil {
					owner, err = v.owner.Load(u.k.Space(), node)
				}
				if !yield(owner, err) {
					return
				}
			}
		}
	}, InTree)
}

// addKobjects adds module_kset of kernel/params.c, which a module leads to, too. What is built in has
// a kobject there and no struct module.
func (u *union) addKobjects() {
	v := &u.views.sources
	if v.kobjectErr != nil {
		return
	}
	kset := u.kset()
	if kset == 0 {
		return
	}
	w := u.walks("kobjects of modules")
	u.collect(func(yield func(vmem.VirtAddr, error) bool) {
		for at, err := range w.Entries(w.List(v.ksetList.Of(kset)), "module_kobject", "kobj.entry") {
			var owner vmem.VirtAddr
			if err == nil {
				owner, err = v.kobject.Load(u.k.Space(), at)
			}
			if (err != nil || owner != 0) && !yield(owner, err) {
				return
			}
		}
	}, InKobjects)
}

// kset returns the address of module_kset, 0 where nothing tells it.
func (u *union) kset() vmem.VirtAddr {
	if at, err := u.k.Symbol("module_kset"); err == nil {
		p, _ := u.k.Space().Uint64(at)
		return vmem.VirtAddr(p)
	}
	for _, at := range slices.Sorted(maps.Keys(u.found)) {
		if p, err := u.views.sources.kset.Load(u.k.Space(), at); err == nil && p != 0 {
			return p
		}
	}
	return 0
}
