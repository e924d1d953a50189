package integrity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A callSite is struct static_call_site (include/linux/static_call_types.h): distances from its members.
type callSite struct {
	Addr int32 `kernel:"addr"`
	Key  int32 `kernel:"key"` // and two flags
}

// A jumpEntry is struct jump_entry (include/linux/jump_label.h).
type jumpEntry struct {
	Code   int32 `kernel:"code"`
	Target int32 `kernel:"target"`
}

type branchViews struct {
	site     *kstruct.View[callSite]
	keyAt    kstruct.Member
	call     *kstruct.Field[vmem.VirtAddr] // static_call_key.func
	jump     *kstruct.View[jumpEntry]
	targetAt kstruct.Member

	sites, jumps *kstruct.Field[vmem.VirtAddr] // of struct module
	siteCount    *kstruct.Field[int32]
	jumpCount    *kstruct.Field[uint32]
	err          error
}

func bindBranches(types *isf.File) (v branchViews) {
	b := kstruct.NewBinder(types)
	v.site = kstruct.BindOptional[callSite](b, "static_call_site")
	v.keyAt = kstruct.BindOptionalMember(b, "static_call_site", "key")
	v.call = kstruct.BindOptionalField[vmem.VirtAddr](b, "static_call_key", "func")
	v.jump = kstruct.BindOptional[jumpEntry](b, "jump_entry")
	v.targetAt = kstruct.BindOptionalMember(b, "jump_entry", "target")
	v.sites = kstruct.BindOptionalField[vmem.VirtAddr](b, "module", "static_call_sites")
	v.jumps = kstruct.BindOptionalField[vmem.VirtAddr](b, "module", "jump_entries")
	v.siteCount = kstruct.BindOptionalField[int32](b, "module", "num_static_call_sites")
	v.jumpCount = kstruct.BindOptionalField[uint32](b, "module", "num_jump_entries")
	v.err = b.Err()
	return v
}

// The tables of what code branches to by the kernel's own patching.
const (
	StaticCallTable = "static_calls"
	JumpLabelTable  = "jump_labels"
)

// maxSites is how many places of one kind a kernel has: some ten thousand.
const maxSites = 1 << 20

// readBranches yields where static calls lead: the function of each key (struct static_call_key), but for those of tracepoints and security modules, which are told
// with these; and of jump labels those alone that lead out of the function that they are in. Whether the code is as the tables say is for
// the comparison with the kernel's file (linux/ktext).
func readBranches(r *reader) {
	v := bindBranches(r.k.Symbols())
	if v.err != nil {
		r.lost("static calls and jump labels", 0, v.err)
		return
	}
	seen := map[vmem.VirtAddr]bool{}
	if v.site.Ok() && v.call.Ok() && v.keyAt.Ok() {
		r.eachSite("static_call_sites", v.site.Size(), v.sitesOf(r), func(at vmem.VirtAddr) error { return r.staticCall(&v, at, seen) })
	}
	if v.jump.Ok() && v.targetAt.Ok() {
		r.eachSite("__jump_table", v.jump.Size(), v.jumpsOf(r), func(at vmem.VirtAddr) error { return r.jumpLabel(&v, at) })
	}
}

// sitesOf returns what finds the static calls of a module.
func (v *branchViews) sitesOf(r *reader) func(vmem.VirtAddr) (vmem.VirtAddr, uint64, error) {
	return func(m vmem.VirtAddr) (vmem.VirtAddr, uint64, error) {
		if !v.sites.Ok() || !v.siteCount.Ok() {
			return 0, 0, nil
		}
		at, err := v.sites.Load(r.k.Space(), m)
		n, err2 := v.siteCount.Load(r.k.Space(), m)
		return at, uint64(max(n, 0)), errors.Join(err, err2)
	}
}

// jumpsOf returns what finds the jump labels of a module.
func (v *branchViews) jumpsOf(r *reader) func(vmem.VirtAddr) (vmem.VirtAddr, uint64, error) {
	return func(m vmem.VirtAddr) (vmem.VirtAddr, uint64, error) {
		if !v.jumps.Ok() || !v.jumpCount.Ok() {
			return 0, 0, nil
		}
		at, err := v.jumps.Load(r.k.Space(), m)
		n, err2 := v.jumpCount.Load(r.k.Space(), m)
		return at, uint64(n), errors.Join(err, err2)
	}
}

// eachSite visits the entries of a table that the kernel and each module have.
func (r *reader) eachSite(section string, size uint64, inModule func(m vmem.VirtAddr) (vmem.VirtAddr, uint64, error), visit func(vmem.VirtAddr) error) {
	visitAll := func(name string, start vmem.VirtAddr, n uint64) {
		if n > maxSites {
			r.lost(name, start, fmt.Errorf("%w: %d of them", kstruct.ErrTooMany, n))
		}
		for i := range min(n, maxSites) {
			if err := visit(start + vmem.VirtAddr(i*size)); err != nil {
				r.lost(name, start+vmem.VirtAddr(i*size), err)
				return
			}
			if r.over || i%1024 == 0 && !r.alive() {
				return
			}
		}
	}
	start, err := r.k.Symbol("__start_" + section)
	stop, err2 := r.k.Symbol("__stop_" + section)
	if err = errors.Join(err, err2); err != nil {
		r.lost(section, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
	} else {
		visitAll(section, start, uint64(max(stop, start)-start)/size)
	}
	for _, m := range r.modules.Modules() {
		if m.State == module.Unformed || r.over {
			continue
		}
		at, n, err := inModule(m.Address)
		if err != nil {
			r.lost(section+" of module "+m.Name, m.Address, err)
			continue
		}
		visitAll(section+" of module "+m.Name, at, n)
	}
}

// staticCall yields what the key of a place is set to, once for each key.
func (r *reader) staticCall(v *branchViews, at vmem.VirtAddr, seen map[vmem.VirtAddr]bool) error {
	s, err := v.site.Load(r.k.Space(), at)
	if err != nil {
		return err
	}
	const flags = 3
	key := (v.keyAt.Of(at) + vmem.VirtAddr(int64(s.Key))) &^ flags
	if seen[key] {
		return nil
	}
	seen[key] = true
	name := r.symbols.Describe(key)
	name = strings.TrimPrefix(name, "__SCK__")
	if strings.HasPrefix(name, "tp_func_") || strings.HasPrefix(name, "lsm_static_call_") {
		return nil
	}
	target, err := v.call.Load(r.k.Space(), key)
	if err != nil || target == 0 { // nothing is called
		return err
	}
	r.found(r.Hook(StaticCallTable, name, key+vmem.VirtAddr(v.call.Offset()), target))
	return nil
}

// jumpLabel yields a jump that leads out of the function that it is in. Code that is not kept has such jumps, too, and
// is left out.
func (r *reader) jumpLabel(v *branchViews, at vmem.VirtAddr) error {
	j, err := v.jump.Load(r.k.Space(), at)
	if err != nil {
		return err
	}
	code, target := at+vmem.VirtAddr(int64(j.Code)), v.targetAt.Of(at)+vmem.VirtAddr(int64(j.Target))
	from := r.Verdict(code)
	if from.Kind == Unknown || from == r.Verdict(target) && r.sameFunction(code, target) {
		return nil
	}
	h := r.Hook(JumpLabelTable, r.symbols.Describe(code), at, target)
	if !h.Suspect {
		h.suspect("it leads out of the function that it is in")
	}
	r.found(h)
	return nil
}

// sameFunction reports whether two addresses are in one function, or in what a compiler made of it: the part that is seldom used lies elsewhere.
func (r *reader) sameFunction(a, b vmem.VirtAddr) bool {
	one, ok := r.symbols.Resolve(a)
	other, ok2 := r.symbols.Resolve(b)
	base := func(l module.Location) string {
		name, _, _ := strings.Cut(l.Symbol, ".")
		return name
	}
	return ok && ok2 && base(one) == base(other)
}
