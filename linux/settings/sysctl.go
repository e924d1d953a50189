package settings

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Sysctl is a setting of /proc/sys.
type Sysctl struct {
	Name      string        `json:"name"`                   // path below /proc/sys
	Namespace string        `json:"namespace" jsonx:"null"` // such as net:[4026532000]; empty for the kernel's own and those of the initial namespaces
	Value     *string       `json:"value"`                  // as sysctl shows it; nil where it is not known
	Reason    string        `json:"reason" jsonx:"null"`    // why not
	Mode      uint16        `json:"mode"`                   // of its file
	Handler   string        `json:"handler"`                // the function that shows it
	Data      vmem.VirtAddr `json:"data" jsonx:"null"`      // what it is handed: mostly where the value is
	Address   vmem.VirtAddr `json:"address"`                // of struct ctl_table
}

// The types of entries, in their mode.
const (
	typeMask = 0o170000
	typeDir  = 0o040000
	typeLink = 0o120000 // to the entry of another tree
	readable = 0o444
)

// Bounds of a tree: kernels have some 1000 settings and, for each network device, 130 more.
const (
	maxSysctls = 1 << 20
	maxDepth   = 16
	maxEntries = 1 << 16 // of one table
)

// readSysctls reads the tree of the kernel and those of namespaces.
func (r *reader) readSysctls() {
	const object = "sysctls"
	if r.views.err != nil {
		r.lose(object, 0, r.views.err)
		return
	}
	left := maxSysctls
	root, err := r.sysctlRoot()
	if err != nil {
		r.lose(object, root, err)
	} else {
		t := tree{reader: r, object: object, left: &left}
		t.walk(root+vmem.VirtAddr(r.views.own.Offset()+r.views.dir.Offset()), "", 0)
	}
	sets, lost := r.namespaceSets()
	for _, err := range lost {
		r.lose("sysctls of namespaces", 0, err)
	}
	for _, s := range sets {
		t := tree{reader: r, object: "sysctls of " + s.name, left: &left}
		if !s.initial {
			t.namespace = s.name
		}
		t.walk(s.set+vmem.VirtAddr(r.views.dir.Offset()), "", 0)
	}
	slices.SortStableFunc(r.out.Sysctls, func(a, b Sysctl) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
}

// A tree is a tree of sysctls while it is walked.
type tree struct {
	*reader
	object    string
	namespace string
	left      *int
}

// walk reads a directory.
func (t *tree) walk(dir vmem.VirtAddr, path string, depth int) {
	if depth > maxDepth {
		t.lose(t.object, dir, fmt.Errorf("%w: directories in %s", kstruct.ErrTooMany, path))
		return
	}
	v := &t.views
	w := t.k.Objects().Walk(t.ctx, &kstruct.WalkOptions{Object: t.object, Nodes: max(*t.left, 1)})
	for at, err := range w.Entries(w.RBTree(v.tree.Of(dir)), "ctl_node", "node") {
		if *t.left--; *t.left < 0 {
			t.lose(t.object, dir, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxSysctls))
			return
		}
		if err == nil {
			err = t.entry(at, dir, path, depth)
		}
		if err != nil {
			t.lose(t.object, at, err)
		}
	}
}

// entry reads the entry of a directory whose node is given.
func (t *tree) entry(node, dir vmem.VirtAddr, path string, depth int) error {
	v := &t.views
	space := t.k.Space()
	header, err := v.node.Load(space, node)
	if err != nil {
		return err
	}
	h, err := v.header.Load(space, header)
	if err != nil {
		return err
	}
	off := uint64(node - h.Node)
	if h.Parent != dir || node < h.Node || off%v.size != 0 || off/v.size > maxEntries {
		return fmt.Errorf("%w: the table at %v is of another directory", kstruct.ErrCorrupt, header)
	}
	at := h.Table + vmem.VirtAddr(off/v.size*v.table.Size())
	e, err := v.table.Load(space, at)
	if err != nil {
		return err
	}
	name, err := space.CString(e.Name, 256)
	if err != nil {
		return err
	}
	if path != "" {
		name = path + "/" + name
	}
	switch e.Mode & typeMask {
	case typeDir:
		t.walk(header, name, depth+1)
	case typeLink:
	default:
		t.add(name, at, &e)
	}
	return nil
}

// add adds a setting.
func (t *tree) add(name string, at vmem.VirtAddr, e *ctlTable) {
	h := t.handlerAt(e.Handler)
	s := Sysctl{Name: name, Namespace: t.namespace, Mode: e.Mode & 0o7777, Handler: h.name, Data: e.Data, Address: at}
	if t.namespace == "" {
		t.at[name] = e
	}
	switch {
	case e.Mode&readable == 0:
		s.Reason = "only written"
	case h.format == nil:
		s.Reason = "computed by " + h.name
	default:
		text, err := h.format(t.reader, name, e)
		if none, ok := errors.AsType[errNoValue](err); ok {
			s.Reason = string(none)
			break
		}
		if err != nil {
			t.lose("sysctl "+name, e.Data, err)
			s.Reason = "lost"
			break
		}
		s.Value = &text
	}
	t.out.Sysctls = append(t.out.Sysctls, s)
}

// A handler is a function that shows a setting: proc_handler of struct ctl_table.
type handler struct {
	name   string
	format format // nil where it is not known what it shows
}

func (r *reader) handlerAt(at vmem.VirtAddr) handler {
	h, ok := r.handler[at]
	if !ok {
		l, found := r.opts.Symbols.Resolve(at)
		h.name = r.opts.Symbols.Describe(at)
		if found && l.Offset == 0 {
			h.format = formats[l.Symbol]
		}
		r.handler[at] = h
	}
	return h
}

// maxImage is how far behind its code the kernel's data can reach.
const maxImage = 96 << 20

// sysctlRoot finds sysctl_table_root, by its symbol or by what it is: its default set is of itself.
func (r *reader) sysctlRoot() (vmem.VirtAddr, error) {
	at, err := r.k.Symbol("sysctl_table_root")
	if err == nil {
		return at, nil
	}
	for b, start := range r.data() {
		if at, ok := r.selfish(b, start); ok {
			return at, nil
		}
	}
	return 0, fmt.Errorf("%w: %w, and nothing in the kernel's data is it", kstruct.ErrUnsupported, err)
}

// dataOverlap is by how much pieces of the kernel's data overlap, so that each small structure is whole in
// one.
const dataOverlap = 1024

// data yields what is mapped of the kernel's image behind its code, in pieces, with their addresses.
func (r *reader) data() iter.Seq2[[]byte, vmem.VirtAddr] {
	return func(yield func([]byte, vmem.VirtAddr) bool) {
		first, err := r.k.Symbol("_etext")
		if err != nil {
			if first, err = r.k.Symbol("_text"); err != nil {
				return
			}
		}
		b := make([]byte, 1<<20)
		for at := first &^ (vmem.PageSize - 1); at < first+maxImage && r.ctx.Err() == nil; {
			n, err := r.k.Space().ReadVirt(b, at)
			if n > 0 && !yield(b[:n], at) {
				return
			}
			at += vmem.VirtAddr(n)
			if err != nil { // a page that is not there
				at = at&^(vmem.PageSize-1) + vmem.PageSize
			} else {
				at -= dataOverlap
			}
		}
	}
}

// selfish finds a struct ctl_table_root whose set has it for its root, and is its own set.
func (r *reader) selfish(b []byte, start vmem.VirtAddr) (vmem.VirtAddr, bool) {
	own := r.views.own.Offset()
	root, ok := r.views.header.Offset("Root")
	set, ok2 := r.views.header.Offset("Set")
	if !ok || !ok2 {
		return 0, false
	}
	root += own + r.views.dir.Offset()
	set += own + r.views.dir.Offset()
	for i := 0; uint64(i)+max(root, set)+8 <= uint64(len(b)); i += 8 {
		at := uint64(start) + uint64(i)
		if binary.LittleEndian.Uint64(b[uint64(i)+root:]) == at && binary.LittleEndian.Uint64(b[uint64(i)+set:]) == at+own && r.isRoot(vmem.VirtAddr(at)) {
			return vmem.VirtAddr(at), true
		}
	}
	return 0, false
}

// isRoot reports whether what refers to itself is the root: its table has one entry, a directory without a
// name, and its tree is not empty.
func (r *reader) isRoot(at vmem.VirtAddr) bool {
	v, space := &r.views, r.k.Space()
	dir := at + vmem.VirtAddr(v.own.Offset()+v.dir.Offset())
	h, err := v.header.Load(space, dir)
	if err != nil {
		return false
	}
	t, err := v.table.Load(space, h.Table)
	if err != nil || t.Mode&typeMask != typeDir {
		return false
	}
	name, err := space.Uint8(t.Name)
	top, treeErr := space.Uint64(v.tree.Of(dir))
	return err == nil && name == 0 && treeErr == nil && top != 0
}
