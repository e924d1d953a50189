package integrity

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A registry is a variable of the kernel that leads to objects with functions: a list of them, a chain, or an array.
type registry struct {
	table     string
	variable  string
	older     string   // its name on older kernels
	functions []string // that use the variable, for where it has no symbol
	count     uint64   // of an array; 0 for a single list
	inline    bool     // an array of the objects themselves
	typ       string
	links     []string // the member by which an object is in its list, newest first; none: an array of pointers to objects
	labels    []string // paths of what an object is called: the first that it has; none: by its place
	follow    []string // paths of pointers to structures of functions
	owner     string   // path of the pointer to the module whose code alone the functions may be; 0 there for the kernel
	// more yields what else an object leads to.
	more func(r *reader, entry string, object kstruct.Value)
}

// The forms of registries, by the type of the link.
const (
	pointers = ""
	list     = "list_head"
	hlist    = "hlist_node"
	chain    = "pointer"
	objects  = "objects"
)

// A registryReader reads a registry.
type registryReader struct {
	*reader
	*registry
	form  string
	link  kstruct.Member
	known bool // a symbol says where it is
}

// readRegistry yields the functions of all objects of a registry. A kernel that has no such type has no such objects.
func (r *reader) readRegistry(g *registry) {
	types := r.k.Symbols()
	if _, err := types.UserType(g.typ); err != nil || !r.alive() {
		return
	}
	x := &registryReader{reader: r, registry: g}
	b := kstruct.NewBinder(types)
	if len(g.links) > 0 {
		x.link = kstruct.BindMember(b, g.typ, g.links[0], g.links[1:]...)
	}
	if err := b.Err(); err != nil {
		r.lost(g.variable, 0, err)
		return
	}
	switch {
	case g.inline:
		x.form = objects
	case len(g.links) > 0:
		x.form = formOf(x.link.Type())
	}
	head, err := r.k.Symbol(g.older)
	if g.older == "" || err != nil {
		head, err = r.find(variable{g.variable, g.functions, x.is})
	} else {
		x.known = true
	}
	if err != nil {
		r.lost(g.variable, 0, err)
		return
	}
	x.read(head)
}

// formOf returns the form of a list whose nodes are of a type.
func formOf(t *isf.Type) string {
	if t == nil || t.Kind == isf.KindPointer {
		return chain
	}
	return t.Name
}

// size returns the size of one head.
func (x *registryReader) size() uint64 {
	switch x.form {
	case list:
		return 16
	case objects:
		if t, err := x.k.Symbols().UserType(x.typ); err == nil {
			return max(t.Size, 1)
		}
	}
	return 8
}

// read reads a registry.
func (x *registryReader) read(head vmem.VirtAddr) {
	if _, err := x.k.Symbol(x.variable); err == nil {
		x.known = true
	}
	count := max(x.count, 1)
	if e, ok := x.symbols.Extent(head); ok && x.known && x.count > 0 {
		count = min(count, e.Size/x.size()) // kernels differ
	}
	proven := x.lastProven(head, count)
	for i := range count {
		at := head + vmem.VirtAddr(i*x.size())
		place := ""
		if x.count > 0 {
			place = fmt.Sprintf("%d", i)
		}
		for object, err := range x.each(at) {
			if x.over {
				return
			}
			if err != nil {
				x.lost(x.variable, at, err)
				continue
			}
			if x.form != pointers || x.known || i <= proven && plausible(object) {
				x.object(place, object)
			}
		}
	}
}

// lastProven returns the place of the last object of an array whose size no symbol says: what is between such objects is told, whatever
// it calls, and what is behind them is of something else.
func (x *registryReader) lastProven(head vmem.VirtAddr, count uint64) (last uint64) {
	if x.form != pointers || x.known {
		return 0
	}
	for i := range count {
		for object, err := range x.each(head + vmem.VirtAddr(i*x.size())) {
			if err == nil && x.proves(object) {
				last = i
			}
		}
	}
	return last
}

// each yields the objects of one head.
func (x *registryReader) each(head vmem.VirtAddr) iter.Seq2[vmem.VirtAddr, error] {
	return func(yield func(vmem.VirtAddr, error) bool) {
		w := x.walk(x.variable)
		var nodes iter.Seq2[vmem.VirtAddr, error]
		switch x.form {
		case list:
			if v, err := x.k.Space().Uint64(head); err == nil && v == 0 {
				return // one that was never used
			}
			nodes = w.List(head)
		case hlist:
			nodes = w.HList(head)
		case objects:
			yield(head, nil)
			return
		default:
			first, err := x.k.Space().Uint64(head)
			switch {
			case err != nil:
				yield(0, err)
				return
			case first == 0:
				return
			case x.form == pointers:
				yield(vmem.VirtAddr(first), nil)
				return
			}
			for at, err := range w.Chain(vmem.VirtAddr(first), x.link.Offset()) {
				if !yield(at, err) {
					return
				}
			}
			return
		}
		for node, err := range nodes {
			if err == nil {
				node = x.link.Container(node)
			}
			if !yield(node, err) {
				return
			}
		}
	}
}

// object yields the functions of an object, and of what it leads to.
func (x *registryReader) object(place string, at vmem.VirtAddr) {
	o := x.k.Struct(x.typ, at)
	entry := strings.TrimSpace(place + " " + x.nameOfObject(o))
	if x.owner != "" {
		x.home = x.homeOf(o)
	}
	if x.structure(x.table, entry, x.typ, at) {
		x.follows(x.table, entry, o, x.follow)
	}
	x.home = ""
	if x.more != nil && !x.over {
		x.more(x.reader, entry, o)
	}
}

// homeOf returns whose code the functions of an object may be, empty where that is not known.
func (x *registryReader) homeOf(o kstruct.Value) string {
	at, err := o.At(x.owner).Pointer()
	if err != nil {
		return ""
	}
	if at == 0 { // of what is part of the kernel, and of a module that does not say so
		if typ, err := o.At("s_type").Pointer(); err == nil {
			if m := x.modules.At(typ); m != nil {
				return m.Name
			}
		}
		return theKernel
	}
	for _, m := range x.modules.Modules() {
		if m.Address == at {
			return m.Name
		}
	}
	return ""
}

// nameOfObject returns what an object is called.
func (x *registryReader) nameOfObject(o kstruct.Value) string {
	name := x.labelOf(o)
	if name == "" && (len(x.labels) > 0 || x.count == 0) {
		name = x.symbols.Describe(o.Addr())
	}
	return name
}

// labelOf returns the name that an object has itself, empty where it has none.
func (x *registryReader) labelOf(o kstruct.Value) string {
	for _, label := range x.labels {
		if name, err := o.At(label).CString(); err == nil && name != "" {
			return name
		}
	}
	return ""
}

// follows yields the functions of structures that pointers of an object lead to.
func (r *reader) follows(table, entry string, o kstruct.Value, paths []string) {
	for _, path := range paths {
		p := o.At(path)
		if err := p.Err(); err != nil {
			_, none := errors.AsType[*isf.LookupError](err)
			if !none && !errors.Is(err, kstruct.ErrNull) && !r.lost(table+" "+entry+" "+path, o.Addr(), err) {
				return
			}
			continue
		}
		t := p.Type()
		if t == nil || t.Kind != isf.KindPointer || t.Elem == nil {
			continue // this kernel has none
		}
		at, err := p.Pointer()
		if err != nil {
			r.lost(table+" "+entry, o.Addr(), err)
		}
		if at == 0 || err != nil {
			continue
		}
		r.structure(table, entry+" "+path, t.Elem.Name, at)
		if r.over {
			return
		}
	}
}

// is reports whether the variable can be at an address: what it leads to first is such an object.
func (x *registryReader) is(head vmem.VirtAddr) bool {
	if x.form == list && !x.isList(head) {
		return false
	}
	proved := false
	for i := range max(x.count, 1) {
		objects := 0
		for object, err := range x.each(head + vmem.VirtAddr(i*x.size())) {
			if err != nil || !plausible(object) {
				return false
			}
			calls, ok := x.passes(object)
			if !ok && (x.count == 0 || !proved) { // arrays of other kernels are shorter
				return false
			}
			proved = proved || calls
			if objects++; objects == 8 || !ok {
				break
			}
		}
	}
	return proved
}

// proves reports whether what is at an address is an object of the registry that calls code.
func (x *registryReader) proves(at vmem.VirtAddr) bool {
	calls, ok := x.passes(at)
	return calls && ok
}

// passes reports whether what is at an address can be an object of the registry, that is whether it has a name and calls nothing but code; and whether
// it calls any.
func (x *registryReader) passes(at vmem.VirtAddr) (calls, ok bool) {
	o := x.k.Struct(x.typ, at)
	if len(x.labels) > 0 && !printable(x.labelOf(o)) {
		return false, false
	}
	if calls, ok = x.calls(x.typ, at); !ok {
		return false, false
	}
	for _, path := range x.follow {
		p := o.At(path)
		to, err := p.Pointer()
		if err != nil || to == 0 {
			continue
		}
		more, ok := x.calls(p.Type().Elem.Name, to)
		if !ok {
			return false, false
		}
		calls = calls || more
	}
	return calls, true
}

// calls reports whether a structure calls code, and whether it calls nothing else.
func (r *reader) calls(typ string, at vmem.VirtAddr) (some, ok bool) {
	for _, s := range r.slots(typ) {
		target, err := r.k.Space().Uint64(at + vmem.VirtAddr(s.offset))
		if err != nil || target != 0 && r.Verdict(vmem.VirtAddr(target)).Kind == Unknown {
			return false, false
		}
		some = some || target != 0
	}
	return some, true
}

// printable reports whether a text can be a name.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}
