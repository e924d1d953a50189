package bpf

import (
	"cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A trampolineStruct is struct bpf_trampoline (include/linux/bpf.h).
type trampolineStruct struct {
	Key       uint64        `kernel:"key"`
	Func      vmem.VirtAddr `kernel:"func.addr"`
	Extension vmem.VirtAddr `kernel:"extension_prog"`
	Programs  vmem.VirtAddr `kernel:"&progs_hlist"`
	Image     vmem.VirtAddr `kernel:"cur_image"`
}

// A trampNode is what is in the lists of a trampoline, and leads to a program.
type trampNode struct {
	Link    vmem.VirtAddr // of a bpf_tramp_link or a bpf_tramp_node
	Program vmem.VirtAddr
}

type trampolineViews struct {
	tramp *kstruct.View[trampolineStruct]
	table string         // the name of the hash table
	node  kstruct.Member // of bpf_trampoline, in that table
	kinds uint64         // how many lists of programs there are
	err   error

	inAux    kstruct.Member                // tramp_hlist of bpf_prog_aux, in 5.10
	auxProg  *kstruct.Field[vmem.VirtAddr] // prog of it
	inLink   kstruct.Member                // of bpf_tramp_link, since 5.19 (f7e0beaf39d3)
	inNode   kstruct.Member                // of bpf_tramp_node, since 7.1
	nodeLink *kstruct.Field[vmem.VirtAddr]
}

func bindTrampolines(types *isf.File) (v trampolineViews) {
	b := kstruct.NewBinder(types)
	v.tramp = kstruct.Bind[trampolineStruct](b, "bpf_trampoline")
	v.node = kstruct.BindMember(b, "bpf_trampoline", "hlist_key", "hlist")
	v.kinds = kstruct.BindMember(b, "bpf_trampoline", "progs_hlist").Count()
	v.err = b.Err()
	v.table = "trampoline_table"
	if types.HasField("bpf_trampoline", "hlist_key") {
		v.table = "trampoline_key_table"
	}
	v.inAux = boundMember(types, "bpf_prog_aux", "tramp_hlist")
	v.auxProg = boundField[vmem.VirtAddr](types, "bpf_prog_aux", "prog")
	v.inLink = boundMember(types, "bpf_tramp_link", "tramp_hlist")
	v.inNode = boundMember(types, "bpf_tramp_node", "tramp_hlist")
	v.nodeLink = boundField[vmem.VirtAddr](types, "bpf_tramp_node", "link")
	return v
}

// A Trampoline is code that calls programs where a function of the kernel begins or returns, or in its place.
type Trampoline struct {
	Key      uint64        `json:"key" jsonx:"hex"` // see Image
	Function LinkTarget    `json:"function"`        // that is patched to call it
	Programs []uint32      `json:"programs"`
	Address  vmem.VirtAddr `json:"address"` // of struct bpf_trampoline
}

// numTrampolines is TRAMPOLINE_TABLE_SIZE of kernel/bpf/trampoline.c.
const numTrampolines = 1024

// Trampolines returns the trampolines, in the order of the kernel's table.
func (s *Set) Trampolines() []*Trampoline { return append([]*Trampoline(nil), s.trampolines...) }

// readTrampolines walks trampoline_table of kernel/bpf/trampoline.c (static; trampoline_key_table since 7.1).
func (s *Set) readTrampolines() {
	v := &s.views.tramps
	const object = "BPF trampolines"
	if v.err != nil {
		s.lose(object, 0, v.err)
		return
	}
	table, ok := s.symbol(v.table)
	if !ok {
		if s.hasTrampolines() {
			s.lose(object, 0, unsupported("no symbol %s", v.table))
		}
		return
	}
	heads, err := s.pointers(table, numTrampolines)
	if err != nil {
		s.lose(object, table, err)
	}
	w := s.walk(object)
	for i, head := range heads {
		if head == 0 {
			continue
		}
		for node, err := range w.HList(table + vmem.VirtAddr(i)*8) {
			if err != nil {
				s.lose(object, table, err)
				continue
			}
			s.readTrampoline(v.node.Container(node))
		}
	}
}

func (s *Set) hasTrampolines() bool {
	for i := range s.images {
		if s.images[i].Kind == TrampolineImage {
			return true
		}
	}
	return false
}

// isTrampolineTable reports whether the heads of chains are at an address, each of which leads back, and
// one at least to a trampoline that code is named after.
func (s *Set) isTrampolineTable(a vmem.VirtAddr) bool {
	v := &s.views.tramps
	if !s.inImage(a) || !s.inImage(a+numTrampolines*8) {
		return false
	}
	heads, err := s.pointers(a, numTrampolines)
	if err != nil {
		return false
	}
	keys := map[uint64]bool{}
	for i := range s.images {
		if s.images[i].Kind == TrampolineImage {
			keys[s.images[i].Key] = true
		}
	}
	found := false
	for i, head := range heads {
		if head == 0 {
			continue
		}
		back, err := s.ptr(head + 8)
		if !plausible(head) || err != nil || back != a+vmem.VirtAddr(i)*8 {
			return false
		}
		t, err := v.tramp.Load(s.mem, v.node.Container(head))
		found = found || err == nil && keys[t.Key]
	}
	return found
}

func (s *Set) readTrampoline(at vmem.VirtAddr) {
	v := &s.views.tramps
	t, err := v.tramp.Load(s.mem, at)
	if err != nil {
		s.lose("BPF trampoline", at, err)
		return
	}
	out := &Trampoline{Key: t.Key, Function: LinkTarget{Address: t.Func, Name: s.function(t.Func)}, Address: at}
	s.trampolines = append(s.trampolines, out)
	if t.Extension != 0 {
		s.trampolineProgram(out, trampNode{Program: t.Extension})
	}
	w := s.walk("programs of a BPF trampoline")
	for kind := range v.kinds {
		for node, err := range w.HList(t.Programs + vmem.VirtAddr(kind)*8) {
			var n trampNode
			if err == nil {
				n, err = s.trampNode(node)
			}
			if err != nil {
				s.lose("programs of a BPF trampoline", at, err)
				continue
			}
			s.trampolineProgram(out, n)
		}
	}
}

// trampNode returns what a node in the lists of a trampoline stands for.
func (s *Set) trampNode(node vmem.VirtAddr) (n trampNode, err error) {
	v := &s.views.tramps
	switch {
	case v.inNode.Ok():
		n.Link, err = v.nodeLink.Load(s.mem, v.inNode.Container(node))
	case v.inLink.Ok():
		n.Link = v.inLink.Container(node)
	case v.inAux.Ok():
		n.Program, err = v.auxProg.Load(s.mem, v.inAux.Container(node))
	default:
		err = unsupported("no type of what is in the lists of a trampoline")
	}
	if err == nil && n.Link != 0 {
		var l *Link
		if l, err = s.readLink(n.Link); err == nil {
			n.Program = l.raw.Program
		}
	}
	return n, err
}

// trampolineProgram notes that a program is called by a trampoline. A link that is in no table is one
// that the kernel made for itself (bpf_shim_tramp_link), which stands for programs of cgroups.
func (s *Set) trampolineProgram(t *Trampoline, n trampNode) {
	p := s.addProgram(n.Program, InAttachments)
	if p == nil {
		return
	}
	t.Programs = append(t.Programs, p.ID)
	a := Attachment{Kind: "tracing", Type: p.AttachType.String(), Target: cmp.Or(t.Function.Name, t.Function.Address.String()), Address: t.Address}
	switch p.Type {
	case LSM:
		a.Kind = "lsm"
	case Extension:
		a.Kind, a.Type = "ext", "replaces a function"
	}
	if l := s.linkAt[n.Link]; l != nil {
		a.Link = l.ID
		s.attachedBy[l.Address] = true
	} else if n.Link == 0 {
		for _, l := range s.links { // 5.10 does not lead from a program to its link
			if l.raw.Program == n.Program && l.object == t.Address {
				a.Link = l.ID
				s.attachedBy[l.Address] = true
			}
		}
	}
	p.Attachments = append(p.Attachments, a)
}

// function returns the name of the function at an address, with what is behind it, empty for none.
func (s *Set) function(at vmem.VirtAddr) string {
	if at == 0 {
		return ""
	}
	if s.opts.Symbols != nil {
		if l, ok := s.opts.Symbols.Resolve(at); ok {
			return l.String()
		}
	}
	if i, ok := s.ImageAt(at); ok && i.Range.Start == at {
		return i.Name
	}
	if name, offset, ok := s.objects.SymbolAt(at); ok && offset == 0 {
		return name
	}
	return s.moduleFunction(at)
}

// moduleFunction returns the name of a function of a module, as the kernel prints it.
func (s *Set) moduleFunction(at vmem.VirtAddr) string {
	if s.opts.Modules == nil {
		return ""
	}
	m := s.opts.Modules.At(at)
	if m == nil {
		return ""
	}
	symbols, _ := s.opts.Modules.Symbols(m)
	for i := range symbols {
		if symbols[i].Addr == at {
			return symbols[i].Name + " [" + m.Name + "]"
		}
	}
	return ""
}
