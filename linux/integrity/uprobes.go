package integrity

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A uprobeStruct is struct uprobe (kernel/events/uprobes.c).
type uprobeStruct struct {
	Inode  vmem.VirtAddr `kernel:"inode"`
	Offset int64         `kernel:"offset"`
	List   vmem.VirtAddr `kernel:"&consumers"`
}

// A consumer is struct uprobe_consumer (include/linux/uprobes.h).
type consumer struct {
	Handler vmem.VirtAddr `kernel:"handler"`
	Return  vmem.VirtAddr `kernel:"ret_handler"`
}

type uprobeViews struct {
	uprobe   *kstruct.View[uprobeStruct]
	node     kstruct.Member // uprobe.rb_node
	consumer *kstruct.View[consumer]
	next     kstruct.Member // uprobe_consumer.next, until 6.11
	link     kstruct.Member // uprobe_consumer.cons_node, since 6.12
	event    kstruct.Member // trace_uprobe.consumer
	filename *kstruct.Field[vmem.VirtAddr]
	aliases  *kstruct.Field[vmem.VirtAddr] // inode.i_dentry
	alias    kstruct.Member                // dentry.d_u.d_alias
	parent   *kstruct.Field[vmem.VirtAddr]
	name     *kstruct.Field[vmem.VirtAddr]
	err      error
}

func bindUprobes(types *isf.File) (v uprobeViews) {
	b := kstruct.NewBinder(types)
	v.uprobe = kstruct.Bind[uprobeStruct](b, "uprobe")
	v.node = kstruct.BindMember(b, "uprobe", "rb_node")
	v.consumer = kstruct.Bind[consumer](b, "uprobe_consumer")
	v.next = kstruct.BindOptionalMember(b, "uprobe_consumer", "next")
	v.link = kstruct.BindOptionalMember(b, "uprobe_consumer", "cons_node")
	v.event = kstruct.BindOptionalMember(b, "trace_uprobe", "consumer")
	v.filename = kstruct.BindOptionalField[vmem.VirtAddr](b, "trace_uprobe", "filename")
	v.aliases = kstruct.BindOptionalField[vmem.VirtAddr](b, "inode", "i_dentry.first")
	v.alias = kstruct.BindOptionalMember(b, "dentry", "d_u.d_alias", "d_alias")
	v.parent = kstruct.BindOptionalField[vmem.VirtAddr](b, "dentry", "d_parent")
	v.name = kstruct.BindOptionalField[vmem.VirtAddr](b, "dentry", "d_name.name", "d_name.__name", "__d_name.name")
	v.err = b.Err()
	return v
}

// readUprobes yields what uprobes call: the functions of the kernel that run when a program comes to an instruction of a file. The
// tree uprobes_tree has them all.
func readUprobes(r *reader) {
	if !r.has("uprobe_mmap") {
		return // the kernel has none
	}
	v := bindUprobes(r.k.Symbols())
	if v.err != nil {
		r.lost("uprobes", 0, v.err)
		return
	}
	root, err := r.find(variable{"uprobes_tree", []string{"uprobe_mmap", "find_uprobe", "find_node_in_range", "insert_uprobe", "put_uprobe"}, func(a vmem.VirtAddr) bool {
		node, ok := r.pointer(a)
		if !ok {
			return false
		}
		u, err := v.uprobe.Load(r.k.Space(), v.node.Container(node))
		return err == nil && plausible(u.Inode) && u.Offset >= 0
	}})
	if err != nil {
		r.lost("uprobes_tree", 0, err)
		return
	}
	w := r.walk("uprobes_tree")
	for node, err := range w.RBTree(root) {
		var u uprobeStruct
		at := v.node.Container(node)
		if err == nil {
			err = v.uprobe.Read(r.k.Space(), at, &u)
		}
		if err != nil {
			r.lost("uprobe", at, err)
			continue
		}
		if r.over {
			return
		}
		r.uprobe(&v, w, &u)
	}
}

// uprobe yields what the consumers of a uprobe call.
func (r *reader) uprobe(v *uprobeViews, w *kstruct.Walk, u *uprobeStruct) {
	each := w.List(u.List)
	container := v.link
	if !v.link.Ok() {
		first, err := r.k.Space().Uint64(u.List)
		if err != nil {
			r.lost("uprobe", u.List, err)
			return
		}
		each, container = w.Chain(vmem.VirtAddr(first), v.next.Offset()), kstruct.Member{}
	}
	dispatcher, _ := r.symbolOf("uprobe_dispatcher")
	for node, err := range each {
		at := node
		if container.Ok() {
			at = container.Container(node)
		}
		var c consumer
		if err == nil {
			err = v.consumer.Read(r.k.Space(), at, &c)
		}
		if err != nil {
			r.lost("uprobe_consumer", at, err)
			continue
		}
		entry := fmt.Sprintf("%s:%#x", r.probedFile(v, u, at, c.Handler == dispatcher && dispatcher != 0), u.Offset)
		handlerOff, _ := v.consumer.Offset("Handler")
		returnOff, _ := v.consumer.Offset("Return")
		if c.Handler != 0 && !r.found(r.Hook("uprobes", entry, at+vmem.VirtAddr(handlerOff), c.Handler)) {
			return
		}
		if c.Return != 0 && !r.found(r.Hook("uprobes", entry+" return", at+vmem.VirtAddr(returnOff), c.Return)) {
			return
		}
	}
}

// maxPath is how long the path of a file is at most.
const maxPath = 4096

// probedFile returns the file that a uprobe is in: as who asked for it wrote it, or as its directories are called.
func (r *reader) probedFile(v *uprobeViews, u *uprobeStruct, consumer vmem.VirtAddr, event bool) string {
	if event && v.event.Ok() && v.filename.Ok() {
		at, err := v.filename.Load(r.k.Space(), v.event.Container(consumer))
		if name, err2 := r.k.Space().CString(at, maxPath); err == nil && err2 == nil && name != "" {
			return name
		}
	}
	node, err := v.aliases.Load(r.k.Space(), u.Inode)
	if err != nil || node == 0 || !v.alias.Ok() {
		return fmt.Sprintf("inode at %v", u.Inode)
	}
	path, at := "", v.alias.Container(node)
	for range maxPath / 2 {
		parent, err := v.parent.Load(r.k.Space(), at)
		if err != nil || parent == at {
			break
		}
		text, err := v.name.Load(r.k.Space(), at)
		if err != nil {
			break
		}
		name, err := r.k.Space().CString(text, 256)
		if err != nil {
			break
		}
		path, at = "/"+name+path, parent
	}
	return path
}
