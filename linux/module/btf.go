package module

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxBTF is the size above which BTF of a module is none, in bytes: that of the whole kernel has
// some 5 MB.
const maxBTF = 16 << 20

// A btfModule is struct btf_module of kernel/bpf/btf.c.
type btfModule struct {
	Module vmem.VirtAddr `kernel:"module"`
	BTF    vmem.VirtAddr `kernel:"btf"`
}

// A btfStruct is struct btf of kernel/bpf/btf.c.
type btfStruct struct {
	Data     vmem.VirtAddr `kernel:"data"`
	Size     uint32        `kernel:"data_size"`
	Base     vmem.VirtAddr `kernel:"base_btf"`
	FirstID  uint32        `kernel:"start_id"`
	FirstStr uint32        `kernel:"start_str_off"`
	Name     [64]byte      `kernel:"name"`
}

type btfViews struct {
	module *kstruct.View[btfModule]
	btf    *kstruct.View[btfStruct]
	err    error
}

func bindBTF(types *isf.File) (v btfViews) {
	b := kstruct.NewBinder(types)
	v.module = kstruct.Bind[btfModule](b, "btf_module")
	v.btf = kstruct.Bind[btfStruct](b, "btf")
	v.err = b.Err()
	return v
}

// A btfList is the types that modules carry, and those of the kernel that they are split from.
type btfList struct {
	base *btfconv.Base
	of   map[vmem.VirtAddr]btfStruct // by the address of struct module
	lost error                       // of entries
}

// readBTFEntries reads the list btf_modules of kernel/bpf/btf.c (static), in which the kernel keeps
// the BTF of modules, as it relocated it to its own. A kernel whose kallsyms has no data
// does not name it. With an error it returns what could be read.
func (s *Set) readBTFEntries() (map[vmem.VirtAddr]btfStruct, error) {
	if s.views.btf.err != nil {
		return nil, s.views.btf.err
	}
	head, err := s.k.Symbol("btf_modules")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	of := map[vmem.VirtAddr]btfStruct{}
	var lost error
	w := s.k.Objects().Walk(context.Background(), &kstruct.WalkOptions{Object: "BTF of modules"})
	for at, err := range w.Entries(w.List(head), "btf_module", "list") {
		m, b, err := s.readBTF(at, err)
		if lost = cmp.Or(lost, err); err == nil {
			of[m] = b
		}
	}
	return of, lost
}

// readBTFList reads the types of modules, and those of the kernel.
func (s *Set) readBTFList() (*btfList, error) {
	of, lost := s.entries()
	list := &btfList{of: of, lost: lost}
	var kernel vmem.VirtAddr // its struct btf: most are split from it
	bases := map[vmem.VirtAddr]int{}
	for _, b := range of {
		if b.Base != 0 {
			bases[b.Base]++
		}
	}
	for at, n := range bases {
		if n > bases[kernel] || n == bases[kernel] && at < kernel {
			kernel = at
		}
	}
	if kernel == 0 {
		return nil, cmp.Or(lost, fmt.Errorf("%w: no module has types", kstruct.ErrUnsupported))
	}
	var err error
	if list.base, err = s.readBase(kernel); err != nil {
		return nil, err
	}
	return list, nil
}

// readBTF reads one entry of the list.
func (s *Set) readBTF(at vmem.VirtAddr, err error) (module vmem.VirtAddr, b btfStruct, _ error) {
	if err != nil {
		return 0, b, err
	}
	entry, err := s.views.btf.module.Load(s.k.Space(), at)
	if err != nil {
		return 0, b, err
	}
	b, err = s.views.btf.btf.Load(s.k.Space(), entry.BTF)
	return entry.Module, b, err
}

// readBase reads the types of the kernel whose struct btf is given.
func (s *Set) readBase(at vmem.VirtAddr) (*btfconv.Base, error) {
	b, err := s.views.btf.btf.Load(s.k.Space(), at)
	if err != nil {
		return nil, err
	}
	m, err := s.k.Space().Translate(b.Data)
	if err != nil {
		return nil, err
	}
	return btfconv.ReadBase(s.k.Physical(), m.At(b.Data), s.k.Symbols())
}

// bytes reads n bytes at an address, and says which of them could not be read.
func (s *Set) bytes(at vmem.VirtAddr, n int) (data []byte, holes []btfconv.Hole) {
	data = make([]byte, n)
	for off := 0; off < n; {
		got, err := s.k.Space().ReadVirt(data[off:], at+vmem.VirtAddr(off))
		off += got
		if err == nil || off >= n {
			break
		}
		next := min(n, off+vmem.PageSize-int((at+vmem.VirtAddr(off))%vmem.PageSize))
		holes = append(holes, btfconv.Hole{Start: off, End: next})
		off = next
	}
	return data, holes
}
