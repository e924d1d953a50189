package integrity

import (
	"cmp"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A procEntry is struct proc_dir_entry (fs/proc/internal.h): a file or directory of /proc, but for those of processes and
// of settings.
type procEntry struct {
	Ops    vmem.VirtAddr `kernel:"proc_ops"`
	Seq    vmem.VirtAddr `kernel:"seq_ops"` // or single_show, by what opens the file
	Name   vmem.VirtAddr `kernel:"name"`
	Parent vmem.VirtAddr `kernel:"parent"`
	Mode   uint16        `kernel:"mode"`
}

// The types of files: include/uapi/linux/stat.h.
const (
	modeType      = 0o170000
	modeDirectory = 0o040000
	modeRegular   = 0o100000
)

type procViews struct {
	entry  *kstruct.View[procEntry]
	node   kstruct.Member // subdir_node
	dir    kstruct.Member // subdir
	single kstruct.Member // single_show
	net    *kstruct.Field[vmem.VirtAddr]
	ops    []procMember // of struct proc_ops
	seq    []procMember // of struct seq_operations
	err    error
}

// A procMember is a function of a structure of operations.
type procMember struct {
	name  string
	at    kstruct.Member
	value *kstruct.Field[vmem.VirtAddr]
}

func bindProc(types *isf.File) (v procViews) {
	b := kstruct.NewBinder(types)
	v.entry = kstruct.Bind[procEntry](b, "proc_dir_entry")
	v.node = kstruct.BindMember(b, "proc_dir_entry", "subdir_node")
	v.dir = kstruct.BindMember(b, "proc_dir_entry", "subdir")
	v.single = kstruct.BindMember(b, "proc_dir_entry", "single_show")
	v.net = kstruct.BindField[vmem.VirtAddr](b, "net", "proc_net")
	members := func(typ string, names ...string) (all []procMember) {
		for _, name := range names {
			if types.HasField(typ, name) {
				all = append(all, procMember{name, kstruct.BindMember(b, typ, name), kstruct.BindField[vmem.VirtAddr](b, typ, name)})
			}
		}
		return all
	}
	v.ops = members("proc_ops", "proc_open", "proc_read", "proc_read_iter", "proc_write", "proc_lseek", "proc_release", "proc_poll", "proc_ioctl",
		"proc_compat_ioctl", "proc_mmap", "proc_get_unmapped_area")
	v.seq = members("seq_operations", "start", "stop", "next", "show")
	v.err = b.Err()
	return v
}

// A procReader walks the files of /proc. Many share their operations, which are told once, under the first file that has them.
type procReader struct {
	*reader
	v    procViews
	walk *kstruct.Walk
	seen map[vmem.VirtAddr]bool // directories and structures
}

// ProcTable is [Hook].Table of the functions that files of /proc call.
const ProcTable = "proc"

// readProc yields what the files of /proc call: their operations, and those of sequences, in the
// whole tree and in the directory net of each network namespace.
func readProc(r *reader) {
	const object = "files of /proc"
	p := &procReader{reader: r, v: bindProc(r.k.Symbols()), walk: r.walk(object), seen: map[vmem.VirtAddr]bool{}}
	if p.v.err != nil {
		r.lost(object, 0, p.v.err)
		return
	}
	root, err := r.k.Symbol("proc_root")
	for ns, lost := range network.Namespaces(r.ctx, r.k, r.tasks) {
		if lost != nil {
			continue // told by the table of netfilter
		}
		net, lost := p.v.net.Load(r.k.Space(), ns.Addr)
		if lost != nil || net == 0 {
			r.lost("/proc/net of "+ns.String(), ns.Addr, cmp.Or(lost, kstruct.ErrCorrupt))
			continue
		}
		if e, lost := p.entry(net); err != nil && lost == nil && e.Parent != 0 {
			root, err = e.Parent, nil // where the symbols don't name it
		}
		p.directory(net, "net/", 0)
	}
	if err != nil {
		r.lost(object, 0, err)
		return
	}
	p.directory(root, "", 0)
}

func (p *procReader) entry(at vmem.VirtAddr) (e procEntry, err error) {
	return p.v.entry.Load(p.k.Space(), at)
}

// maxProcDepth is how deep directories are followed.
const maxProcDepth = 32

// directory yields the hooks of a directory and of those in it.
func (p *procReader) directory(at vmem.VirtAddr, path string, depth int) {
	if p.seen[at] || depth > maxProcDepth {
		return
	}
	p.seen[at] = true
	for node, err := range p.walk.RBTree(p.v.dir.Of(at)) {
		if p.over {
			return
		}
		if err != nil {
			p.lost("directory /proc/"+path, at, err)
			continue
		}
		p.file(p.v.node.Container(node), path, depth)
	}
}

// file yields the hooks of a file, or of all that are in it.
func (p *procReader) file(at vmem.VirtAddr, dir string, depth int) {
	e, err := p.entry(at)
	var name string
	if err == nil {
		name, err = p.k.Space().CString(e.Name, maxProcName)
	}
	switch {
	case err != nil:
		p.lost("file in /proc/"+dir, at, err)
	case e.Mode&modeType == modeDirectory:
		p.directory(at, dir+name+"/", depth+1)
	case e.Mode&modeType == modeRegular && e.Ops != 0:
		open := p.operations(e.Ops, dir+name, p.v.ops)
		switch open = strings.TrimSuffix(open, ".cfi_jt"); {
		case e.Seq == 0:
		case open == "proc_seq_open", open == "seq_open_net": // fs/proc/generic.c, fs/proc/proc_net.c
			p.operations(e.Seq, dir+name, p.v.seq)
		case open == "proc_single_open", open == "single_open_net":
			if !p.seen[e.Seq] { // each namespace has a file of it
				p.seen[e.Seq] = true
				p.call(ProcTable, dir+name+" show", p.v.single.Of(at), at, e.Seq)
			}
		}
	}
}

const maxProcName = 256 // namelen is a byte

// operations yields the functions of a structure of operations, and returns the symbol of the first.
func (p *procReader) operations(at vmem.VirtAddr, path string, members []procMember) (first string) {
	told := p.seen[at]
	p.seen[at] = true
	for i, m := range members {
		if told && i > 0 || p.over {
			return first
		}
		target, err := m.value.Load(p.k.Space(), at)
		if err != nil {
			p.lost("operations of /proc/"+path, at, err)
			return first
		}
		if i == 0 {
			if l, ok := p.symbols.Resolve(target); ok && l.Offset == 0 {
				first = l.Symbol
			}
		}
		if target != 0 && !told {
			p.call(ProcTable, path+" "+strings.TrimPrefix(m.name, "proc_"), m.at.Of(at), at, target)
		}
	}
	return first
}
