package nftables

import (
	"cmp"
	"iter"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// setViews read the elements of sets.
type setViews struct {
	offsets kstruct.Member // of nft_set_ext
	genmask *kstruct.Field[uint8]
	ext     map[string]uint64 // the numbers of extensions
	timeout struct {          // what is kept of times
		paired bool // in one extension, since 6.12 (4c5daea9af4f)
	}
	extErr error

	rhash, bitmap, rbtree vmem.VirtAddr // where their container is in what is private to a set
	buckets               *kstruct.Field[uint32]
	table                 kstruct.Member
	match                 *kstruct.Field[vmem.VirtAddr]
	fields                kstruct.Member // nft_pipapo_match.f
	fieldCount            kstruct.Member
	fieldSize             uint64
	rules                 kstruct.Member // of nft_pipapo_field
	mapping               *kstruct.Field[vmem.VirtAddr]
	backendErr            map[string]error
	catchNode             kstruct.Member
	catchElem             *kstruct.Field[vmem.VirtAddr]
}

// extensions are those that are read.
var extensions = []string{"KEY", "KEY_END", "DATA", "FLAGS", "TIMEOUT", "EXPIRATION", "USERDATA", "EXPR", "EXPRESSIONS", "OBJREF"}

// bindSets binds what reads sets.
func (r *reader) bindSets() {
	v := &r.setViews
	types, _ := r.src.Types("nft_set_ext", nftModule)
	b := kstruct.NewBinder(types)
	v.offsets = kstruct.BindMember(b, "nft_set_ext", "offset")
	v.genmask = kstruct.BindField[uint8](b, "nft_set_ext", "genmask")
	v.extErr = b.Err()
	v.ext = map[string]uint64{}
	for _, name := range extensions {
		if n, err := types.Constant("nft_set_extensions", "NFT_SET_EXT_"+name); err == nil && n >= 0 {
			v.ext[name] = uint64(n)
		}
	}
	_, separate := v.ext["EXPIRATION"]
	v.timeout.paired = !separate
	v.backendErr = map[string]error{}
	bind := func(backend string, do func(b *kstruct.Binder)) {
		types, lost := r.src.Types("nft_"+backend, nftModule)
		b := kstruct.NewBinder(types)
		do(b)
		if b.Err() != nil {
			v.backendErr[backend] = cmp.Or(lost, b.Err())
		}
	}
	bind("rhash", func(b *kstruct.Binder) { v.rhash = vmem.VirtAddr(kstruct.BindMember(b, "nft_rhash", "ht").Offset()) })
	bind("hash", func(b *kstruct.Binder) {
		v.buckets = kstruct.BindField[uint32](b, "nft_hash", "buckets")
		v.table = kstruct.BindMember(b, "nft_hash", "table")
	})
	bind("bitmap", func(b *kstruct.Binder) {
		v.bitmap = vmem.VirtAddr(kstruct.BindMember(b, "nft_bitmap", "list").Offset())
	})
	bind("rbtree", func(b *kstruct.Binder) {
		v.rbtree = vmem.VirtAddr(kstruct.BindMember(b, "nft_rbtree", "root").Offset())
	})
	bind("pipapo", func(b *kstruct.Binder) {
		v.match = kstruct.BindField[vmem.VirtAddr](b, "nft_pipapo", "match")
		v.fields = kstruct.BindMember(b, "nft_pipapo_match", "f")
		v.fieldCount = kstruct.BindMember(b, "nft_pipapo_match", "field_count")
		v.rules = kstruct.BindMember(b, "nft_pipapo_field", "rules")
		v.mapping = kstruct.BindField[vmem.VirtAddr](b, "nft_pipapo_field", "mt")
	})
	if u, err := types.UserType("nft_pipapo_field"); err == nil {
		v.fieldSize = u.Size
	}
	b = kstruct.NewBinder(types)
	v.catchNode = kstruct.BindOptionalMember(b, "nft_set_elem_catchall", "list")
	v.catchElem = kstruct.BindOptionalField[vmem.VirtAddr](b, "nft_set_elem_catchall", "elem")
}

// backend returns the name of how a set is kept, by the function that walks it.
func (r *reader) backend(s *Set) (string, error) {
	walk, err := r.v.setOpsWalk.Load(r.src.Mem(), s.raw.Ops)
	if err != nil {
		return "", err
	}
	name := r.function(walk)
	backend := strings.TrimSuffix(strings.TrimPrefix(name, "nft_"), "_walk")
	switch backend {
	case "rhash", "hash", "bitmap", "rbtree", "pipapo":
		return backend, r.backendErr[backend]
	}
	return "", nfkit.Corrupt("a set that %v %q walks", walk, name)
}

// elements yields where the extensions of the elements of a set are.
func (r *reader) elements(s *Set) iter.Seq2[vmem.VirtAddr, error] {
	return func(yield func(vmem.VirtAddr, error) bool) {
		if !nfkit.Plausible(s.raw.Ops) {
			yield(0, nfkit.Pointer("nft_set_ops", s.raw.Ops))
			return
		}
		backend, err := r.backend(s)
		s.Backend = backend
		if err == nil {
			err = r.extErr
		}
		if err != nil {
			yield(0, err)
			return
		}
		off, err := r.v.elemSize.Load(r.src.Mem(), s.raw.Ops)
		if err == nil && off > 256 {
			err = nfkit.Corrupt("nft_set_ops.elemsize of %d", off)
		}
		if err != nil {
			yield(0, err)
			return
		}
		for at, err := range r.elems(backend, s.raw.Private) {
			if err == nil {
				at += vmem.VirtAddr(off)
			}
			if !yield(at, err) {
				return
			}
		}
		r.catchall(s, off, yield)
	}
}

// catchall yields the element that stands for all that no other does, since 5.13 (aaa31047a6d2).
func (r *reader) catchall(s *Set, off uint32, yield func(vmem.VirtAddr, error) bool) {
	v := &r.setViews
	if !r.v.catchall.Ok() || !v.catchNode.Ok() || !v.catchElem.Ok() {
		return
	}
	w := r.src.Walk(r.ctx, r.object(), 1024, nftModule)
	for node, err := range w.List(r.v.catchall.Of(s.Addr)) {
		var at vmem.VirtAddr
		if err == nil {
			at, err = v.catchElem.Load(r.src.Mem(), v.catchNode.Container(node))
			at += vmem.VirtAddr(off)
		}
		if !yield(at, err) {
			return
		}
	}
}

// elems yields where the elements of a set are.
func (r *reader) elems(backend string, private vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	v := &r.setViews
	w := r.src.Walk(r.ctx, r.object(), maxObjects, nftModule)
	switch backend {
	case "rhash":
		return w.Entries(w.RHashTable(private+v.rhash), "nft_rhash_elem", "node")
	case "bitmap":
		return w.Entries(w.List(private+v.bitmap), "nft_bitmap_elem", "head")
	case "rbtree":
		return w.Entries(w.RBTree(private+v.rbtree), "nft_rbtree_elem", "node")
	case "pipapo":
		return r.pipapo(private)
	}
	return r.hashed(w, private)
}

// hashed yields the elements of a hash table of a size that does not change.
func (r *reader) hashed(w *kstruct.Walk, private vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	v := &r.setViews
	return func(yield func(vmem.VirtAddr, error) bool) {
		n, err := v.buckets.Load(r.src.Mem(), private)
		if err == nil && n > maxObjects {
			err = nfkit.Corrupt("nft_hash of %d buckets", n)
		}
		if err != nil {
			yield(0, err)
			return
		}
		for i := range n {
			if r.ctx.Err() != nil {
				return
			}
			head := v.table.Of(private) + vmem.VirtAddr(8*uint64(i))
			for at, err := range w.Entries(w.HList(head), "nft_hash_elem", "node") {
				if !yield(at, err) {
					return
				}
			}
		}
	}
}

// pipapo yields the elements that the rules of the last field lead to (nft_pipapo_walk): an
// element may have several rules in a row.
func (r *reader) pipapo(private vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	v, mem := &r.setViews, r.src.Mem()
	return func(yield func(vmem.VirtAddr, error) bool) {
		match, err := v.match.Load(mem, private)
		if err != nil {
			yield(0, err)
			return
		}
		if !nfkit.Plausible(match) {
			yield(0, nfkit.Pointer("nft_pipapo_match", match))
			return
		}
		count, err := mem.Uint8(v.fieldCount.Of(match)) // an int until 6.9
		if err == nil && (count == 0 || count > 16) {
			err = nfkit.Corrupt("nft_pipapo_match of %d fields", count)
		}
		if err != nil {
			yield(0, err)
			return
		}
		f := v.fields.Of(match) + vmem.VirtAddr(uint64(count-1)*v.fieldSize)
		n, err := mem.Uint32(v.rules.Of(f)) // an unsigned long until 6.9
		if err != nil {
			yield(0, err)
			return
		}
		mt, err := v.mapping.Load(mem, f)
		if err != nil {
			yield(0, err)
			return
		}
		seen := map[vmem.VirtAddr]bool{}
		for i := range min(n, maxObjects) {
			at, err := mem.Uint64(mt + vmem.VirtAddr(8*uint64(i)))
			if err == nil && !nfkit.Plausible(vmem.VirtAddr(at)) {
				err = nfkit.Pointer("nft_pipapo_elem", vmem.VirtAddr(at))
			}
			if err != nil {
				yield(0, err)
				return
			}
			if seen[vmem.VirtAddr(at)] {
				continue
			}
			seen[vmem.VirtAddr(at)] = true
			if !yield(vmem.VirtAddr(at), nil) {
				return
			}
		}
	}
}

// element reads the element whose extensions are at addr; nil where it is not active.
func (r *reader) element(t *Table, s *Set, at vmem.VirtAddr) (*elem, error) {
	v, mem := &r.setViews, r.src.Mem()
	mask, err := v.genmask.Load(mem, at)
	if err != nil {
		return nil, err
	}
	if !r.active(uint64(mask)) || mask&4 != 0 { // NFT_SET_ELEM_DEAD_MASK
		return nil, nil //nolint:nilnil // it is none that is shown
	}
	n := int(v.offsets.Count())
	offsets, err := r.src.Bytes(v.offsets.Of(at), n)
	if err != nil {
		return nil, err
	}
	ext := func(name string) vmem.VirtAddr {
		i, ok := v.ext[name]
		if !ok || i >= uint64(n) || offsets[i] == 0 {
			return 0
		}
		return at + vmem.VirtAddr(offsets[i])
	}
	e := &elem{timeout: -1, expires: -1}
	if a := ext("FLAGS"); a != 0 {
		flags, err := mem.Uint8(a)
		if err != nil {
			return nil, err
		}
		e.last, e.all = flags&1 != 0, flags&2 != 0
	}
	return e, r.addExtensions(t, s, e, ext)
}

// addExtensions reads what an element has.
func (r *reader) addExtensions(t *Table, s *Set, e *elem, ext func(string) vmem.VirtAddr) (err error) {
	mem := r.src.Mem()
	if a := ext("KEY"); a != 0 {
		if e.key, err = r.src.Bytes(a, int(s.raw.KeyLen)); err != nil {
			return err
		}
	} else if !e.all {
		return nfkit.Corrupt("an element without a key")
	}
	if a := ext("KEY_END"); a != 0 {
		if e.end, err = r.src.Bytes(a, int(s.raw.KeyLen)); err != nil {
			return err
		}
	}
	if a := ext("DATA"); a != 0 && !e.last {
		if e.data, err = r.src.Bytes(a, max(int(s.raw.ValLen), 16)); err != nil {
			return err
		}
		if s.Data != "verdict" {
			e.data = e.data[:s.raw.ValLen]
		}
	}
	if a := ext("OBJREF"); a != 0 {
		at, err := mem.Uint64(a)
		if err != nil {
			return err
		}
		e.object = vmem.VirtAddr(at)
	}
	if a := ext("USERDATA"); a != 0 {
		n, err := mem.Uint8(a)
		if err != nil {
			return err
		}
		e.comment = text(r.userData(s.Addr, a+1, int(n)+1)[0])
	}
	if err := r.addTimes(e, ext); err != nil {
		return err
	}
	return r.addStmts(t, e, ext)
}

// addTimes reads for how long an element is there.
func (r *reader) addTimes(e *elem, ext func(string) vmem.VirtAddr) error {
	mem := r.src.Mem()
	timeout, expiration := ext("TIMEOUT"), ext("EXPIRATION")
	if r.timeout.paired && timeout != 0 {
		expiration = timeout + 8
	}
	if r.timeErr != nil { // which is told once for all
		return nil //nolint:nilerr // see there
	}
	ticks := uint64(0)
	if timeout != 0 {
		var err error
		if ticks, err = mem.Uint64(timeout); err != nil {
			return err
		}
		e.timeout = r.jiffies.Ticks(ticks).Milliseconds()
	}
	if expiration != 0 && (ticks != 0 || !r.timeout.paired) {
		at, err := mem.Uint64(expiration)
		if err != nil {
			return err
		}
		e.expires = r.jiffies.Left64(at).Milliseconds()
	}
	if ticks == 0 {
		e.timeout = -1
	}
	return nil
}

// addStmts reads the statements of an element, such as a counter.
func (r *reader) addStmts(t *Table, e *elem, ext func(string) vmem.VirtAddr) error {
	if a := ext("EXPR"); a != 0 { // until 5.12
		e.stmts = r.stmtsAt(t, []vmem.VirtAddr{a})
	}
	a := ext("EXPRESSIONS")
	if a == 0 {
		return nil
	}
	types, _ := r.src.Types("nft_set_elem_expr", nftModule)
	b := kstruct.NewBinder(types)
	size := kstruct.BindField[uint8](b, "nft_set_elem_expr", "size")
	data := kstruct.BindMember(b, "nft_set_elem_expr", "data")
	if err := b.Err(); err != nil {
		return err
	}
	n, err := size.Load(r.src.Mem(), a)
	if err != nil {
		return err
	}
	d := newDecoder(r, t, &Rule{})
	err = r.exprs(data.Of(a), data.Of(a)+vmem.VirtAddr(n), d.expr)
	e.stmts = d.stmts
	return err
}
