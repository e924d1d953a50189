package bpf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// An ImageKind says what compiled code is.
type ImageKind uint8

// The kinds of compiled code.
const (
	ProgramImage    ImageKind = iota // of a program, or of one of its functions
	TrampolineImage                  // calls programs before and after a function of the kernel
	DispatcherImage                  // calls programs without an indirect jump
	StructOpsImage                   // calls programs that stand for functions of a structure
)

var imageKinds = []string{"program", "trampoline", "dispatcher", "struct_ops"}

// String returns program, trampoline, dispatcher or struct_ops.
func (k ImageKind) String() string { return nameOf(imageKinds, uint32(k)) }

// MarshalText returns what String does.
func (k ImageKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (k *ImageKind) UnmarshalText(b []byte) error {
	var n uint32
	err := numberOf(imageKinds, b, &n)
	*k = ImageKind(n)
	return err
}

// An Image is code that the kernel made for BPF.
type Image struct {
	Name    string                    `json:"name"` // as /proc/kallsyms has it
	Kind    ImageKind                 `json:"kind"`
	Start   vmem.VirtAddr             `json:"start"`
	Size    uint64                    `json:"size"`                   // in bytes
	Range   vmem.Range[vmem.VirtAddr] `json:"-"`                      // of both
	Program uint32                    `json:"programID" jsonx:"null"` // whose it is, of the kind program
	// Key is of a trampoline: the ID of the BTF or the program that its function is in, and in the lower half that of its type.
	Key     uint64        `json:"key" jsonx:"hex"`
	Address vmem.VirtAddr `json:"address"` // of struct bpf_ksym
	prog    vmem.VirtAddr // the struct bpf_prog
}

// owner is what /proc/kallsyms has in brackets behind a name.
const owner = "bpf"

// String returns bpf ID for the code of a program, and the kind and name of other code.
func (i *Image) String() string {
	if i.Kind == ProgramImage && i.Program != 0 {
		return "bpf " + formatID(i.Program)
	}
	return i.Kind.String() + " " + i.Name
}

// Images returns the code that the kernel made for BPF, by ascending address.
func (s *Set) Images() []Image { return slices.Clone(s.images) }

// ImageAt returns the code that an address is in.
func (s *Set) ImageAt(a vmem.VirtAddr) (*Image, bool) {
	i, found := slices.BinarySearchFunc(s.images, a, func(m Image, a vmem.VirtAddr) int { return cmp.Compare(m.Range.Start, a) })
	if !found {
		i--
	}
	if i < 0 || !s.images[i].Range.Contains(a) {
		return nil, false
	}
	m := s.images[i]
	return &m, true
}

// Regions returns the ranges of all code for a symbolizer: see [module.NewSymbolizer].
func (s *Set) Regions() []module.Region {
	all := make([]module.Region, 0, len(s.images))
	for _, i := range s.images {
		all = append(all, module.Region{Range: i.Range, Name: i.Name, Owner: owner})
	}
	return all
}

// A ksymStruct is struct bpf_ksym (include/linux/bpf.h). Names have had 128 bytes, since 6.1 512.
type ksymStruct struct {
	Start vmem.VirtAddr `kernel:"start"`
	End   vmem.VirtAddr `kernel:"end"`
	Name  [512]byte     `kernel:"name"`
	Prog  bool          `kernel:"prog"`
}

// checked returns what is wrong with the range.
func (k *ksymStruct) checked() error {
	if k.End <= k.Start || uint64(k.End-k.Start) > maxImage || !x86.IsKernel(k.Start) {
		return corrupt("code from %v to %v", k.Start, k.End)
	}
	return nil
}

type ksymViews struct {
	ksym  *kstruct.View[ksymStruct]
	node  kstruct.Member // lnode
	tree  [2]kstruct.Member
	inAux kstruct.Member // ksym in bpf_prog_aux
	prog  *kstruct.Field[vmem.VirtAddr]
	roots [2]kstruct.Member // of latch_tree_root
	err   error
}

func bindKsyms(types *isf.File) (v ksymViews) {
	b := kstruct.NewBinder(types)
	v.ksym = kstruct.Bind[ksymStruct](b, "bpf_ksym")
	v.node = kstruct.BindMember(b, "bpf_ksym", "lnode")
	v.tree[0] = kstruct.BindMember(b, "bpf_ksym", "tnode.node[0]")
	v.tree[1] = kstruct.BindMember(b, "bpf_ksym", "tnode.node[1]")
	v.inAux = kstruct.BindMember(b, "bpf_prog_aux", "ksym")
	v.prog = kstruct.BindField[vmem.VirtAddr](b, "bpf_prog_aux", "prog")
	v.roots[0] = kstruct.BindMember(b, "latch_tree_root", "tree[0]")
	v.roots[1] = kstruct.BindMember(b, "latch_tree_root", "tree[1]")
	v.err = b.Err()
	return v
}

// maxImage is how large compiled code can be in bytes: that of the longest program.
const maxImage = 64 << 20

// readImages reads bpf_kallsyms of kernel/bpf/core.c (static), and bpf_tree beside it (static). Where
// the kernel does not name the list, it is reached from a program that is in it.
func (s *Set) readImages() {
	if s.views.ksyms.err != nil {
		s.lose("code of BPF", 0, s.views.ksyms.err)
		return
	}
	const object = "list of BPF code"
	seen := map[vmem.VirtAddr]bool{}
	head := s.ksymHead()
	if head == 0 {
		if len(s.programs) > 0 {
			s.lose(object, 0, unsupported("no symbol bpf_kallsyms, and no program that is in it"))
		}
		return
	}
	w := s.walk(object)
	for at, err := range w.Entries(w.List(head), "bpf_ksym", "lnode") {
		if err != nil {
			s.lose(object, head, err)
			continue
		}
		s.addImage(at, InKallsyms, seen)
	}
	s.readTree(seen)
	slices.SortStableFunc(s.images, func(a, b Image) int { return cmp.Compare(a.Range.Start, b.Range.Start) })
}

// ksymHead returns the address of bpf_kallsyms, 0 where nothing tells it.
func (s *Set) ksymHead() vmem.VirtAddr {
	if at, ok := s.symbol("bpf_kallsyms"); ok {
		return at
	}
	node := &s.views.ksyms.node
	for _, p := range s.programs {
		if !p.raw.JITed || p.classic {
			continue
		}
		w := s.walk("list of BPF code")
		for at, err := range w.List(node.Of(p.aux.KsymAt)) {
			if err == nil && s.inImage(at) && !s.isCode(node.Container(at)) {
				return at
			}
		}
	}
	return 0
}

// isCode reports whether there is the structure of code at an address: those of dispatchers are in the data of the
// kernel's image, as the head of the list is.
func (s *Set) isCode(at vmem.VirtAddr) bool {
	k, err := s.views.ksyms.ksym.Load(s.mem, at)
	return err == nil && k.checked() == nil && !s.inImage(k.Start) && strings.HasPrefix(cString(k.Name[:]), "bpf_")
}

// inImage reports whether an address is in the data of the kernel's image.
func (s *Set) inImage(a vmem.VirtAddr) bool {
	return a >= x86.StartKernelMap && a < x86.StartKernelMap+1<<30 && s.kernelRange().Contains(a)
}

// readTree reads what the tree has that the list lacks: it is by the tree that the kernel
// finds the program of an address.
func (s *Set) readTree(seen map[vmem.VirtAddr]bool) {
	root, ok := s.symbol("bpf_tree")
	if !ok {
		return
	}
	v := &s.views.ksyms
	w := s.walk("tree of BPF code")
	for i := range v.roots {
		for node, err := range w.RBTree(v.roots[i].Of(root)) {
			if err != nil {
				s.lose("tree of BPF code", root, err)
				continue
			}
			s.addImage(v.tree[i].Container(node), InTree, seen)
		}
	}
}

// addImage adds the code of a bpf_ksym, and notes that its program was found there.
func (s *Set) addImage(at vmem.VirtAddr, source Sources, seen map[vmem.VirtAddr]bool) {
	v := &s.views.ksyms
	k, err := v.ksym.Load(s.mem, at)
	if err == nil {
		err = k.checked()
	}
	if err != nil {
		s.lose("code of BPF", at, err)
		return
	}
	m := Image{Name: cString(k.Name[:]), Range: vmem.Range[vmem.VirtAddr]{Start: k.Start, Size: uint64(k.End - k.Start)}, Start: k.Start, Size: uint64(k.End - k.Start), Address: at}
	switch {
	case k.Prog:
		aux := v.inAux.Container(at)
		if m.prog, err = v.prog.Load(s.mem, aux); err != nil {
			s.lose("code of BPF", at, err)
		} else if s.subprograms[m.prog] == nil {
			s.addProgram(m.prog, source)
		}
	case strings.HasPrefix(m.Name, "bpf_trampoline_"):
		m.Kind = TrampolineImage
		_, _ = fmt.Sscanf(m.Name, "bpf_trampoline_%d", &m.Key)
	case strings.HasPrefix(m.Name, "bpf_dispatcher_"):
		m.Kind = DispatcherImage
	default:
		m.Kind = StructOpsImage
	}
	if !seen[at] {
		seen[at] = true
		s.images = append(s.images, m)
	}
}
