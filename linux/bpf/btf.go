package bpf

import (
	"cmp"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A BTF is a set of types that the kernel holds, as `bpftool btf show` tells of it.
type BTF struct {
	ID       uint32        `json:"id"`
	Name     string        `json:"name"`   // vmlinux or the module's; empty for what a loader brought, and before 5.11
	Kernel   bool          `json:"kernel"` // it is the kernel's own or a module's
	Size     uint32        `json:"size"`   // in bytes
	Types    uint32        `json:"types"`  // how many, without those that it is split from
	Programs []uint32      `json:"programs"`
	Maps     []uint32      `json:"maps"`
	Owners   []Owner       `json:"owners"`
	Sources  Sources       `json:"sources"`
	Address  vmem.VirtAddr `json:"address"` // of struct btf
	raw      btfStruct
}

// A btfStruct is struct btf (kernel/bpf/btf.c).
type btfStruct struct {
	Types    vmem.VirtAddr `kernel:"types"`
	Strings  vmem.VirtAddr `kernel:"strings"`
	StrLen   uint32        `kernel:"hdr.str_len"`
	NumTypes uint32        `kernel:"nr_types"`
	Size     uint32        `kernel:"data_size"`
	Refs     int32         `kernel:"refcnt.refs.counter"`
	ID       uint32        `kernel:"id"`
	Base     vmem.VirtAddr `kernel:"base_btf,optional"` // since 5.11, as what follows
	FirstID  uint32        `kernel:"start_id,optional"`
	FirstStr uint32        `kernel:"start_str_off,optional"`
	Name     [64]byte      `kernel:"name,optional"`
	Kernel   bool          `kernel:"kernel_btf,optional"`
}

type btfViews struct {
	btf *kstruct.View[btfStruct]
	err error
}

func bindBTF(types *isf.File) (v btfViews) {
	b := kstruct.NewBinder(types)
	v.btf = kstruct.Bind[btfStruct](b, "btf")
	v.err = b.Err()
	return v
}

// BTFs returns the sets of types by ascending ID, those without one last.
func (s *Set) BTFs() []*BTF { return slices.Clone(s.btfs) }

// readBTFs reads btf_idr of kernel/bpf/btf.c.
func (s *Set) readBTFs() {
	if s.views.btf.err != nil {
		s.lose("BTF", 0, s.views.btf.err)
		return
	}
	s.readIDR(btfIDR, "BTF", func(at vmem.VirtAddr, id uint32) {
		if b := s.addBTF(at, InIDR); b != nil && b.ID != id {
			s.lose("BTF "+formatID(b.ID), at, corrupt("the table has it as %d", id))
		}
	})
}

// maxBTFs is how many sets of types are told.
const maxBTFs = 1 << 16

// addBTF notes that the BTF at an address was found by something.
func (s *Set) addBTF(at vmem.VirtAddr, source Sources) *BTF {
	if b := s.btfAt[at]; b != nil {
		b.Sources |= source
		return b
	}
	if at == 0 || s.refused[at] {
		return nil
	}
	b, err := s.readBTF(at)
	if err == nil && len(s.btfs) >= maxBTFs {
		err = kstruct.ErrTooMany
	}
	if err != nil {
		s.refused[at] = true
		s.lose("BTF", at, cause(err, s.views.btf.err))
		return nil
	}
	b.Sources = source
	s.btfAt[at] = b
	s.btfs = append(s.btfs, b)
	return b
}

func (s *Set) readBTF(at vmem.VirtAddr) (*BTF, error) {
	if !plausible(at) {
		return nil, corrupt("btf pointer %v", at)
	}
	b := &BTF{Address: at}
	if err := s.views.btf.btf.Read(s.mem, at, &b.raw); err != nil {
		return nil, err
	}
	if b.raw.StrLen > maxBTFBytes || b.raw.Size > maxBTFBytes || b.raw.NumTypes > maxBTFBytes {
		return nil, corrupt("BTF of %d types, %d bytes", b.raw.NumTypes, b.raw.Size)
	}
	b.ID, b.Name, b.Size, b.Types, b.Kernel = b.raw.ID, cString(b.raw.Name[:]), b.raw.Size, b.raw.NumTypes, b.raw.Kernel
	return b, nil
}

const (
	// maxBTFBytes is the size above which BTF is none: that of the kernel has some 5 MB.
	maxBTFBytes = 64 << 20
	// maxTypeName is the longest name of a type that is read, in bytes: KSYM_NAME_LEN.
	maxTypeName = 512
)

// baseOf returns the BTF that b is split from, nil for one that is not.
func (s *Set) baseOf(b *BTF) *BTF {
	if b.raw.Base == 0 {
		return nil
	}
	return s.addBTF(b.raw.Base, InPrograms)
}

// typeName returns the name of a type (btf_type_by_id and btf_name_by_offset of kernel/bpf/btf.c).
func (s *Set) typeName(at vmem.VirtAddr, id uint32) (string, error) {
	b := s.addBTF(at, InPrograms)
	if b == nil {
		return "", corrupt("btf pointer %v", at)
	}
	of := b
	for range maxBases {
		if of == nil || id >= of.raw.FirstID {
			break
		}
		of = s.baseOf(of)
	}
	if of == nil || id < of.raw.FirstID || uint64(id-of.raw.FirstID) >= uint64(of.raw.NumTypes)+1 {
		return "", corrupt("type %d of BTF %d", id, b.ID)
	}
	p, err := s.mem.Uint64(of.raw.Types + vmem.VirtAddr(id-of.raw.FirstID)*8)
	if err != nil {
		return "", err
	}
	name, err := s.mem.Uint32(vmem.VirtAddr(p)) // the first member of struct btf_type
	if err != nil {
		return "", err
	}
	return s.btfString(b, name)
}

// maxBases is how many times BTF is split.
const maxBases = 4

// btfString returns a string of BTF by its offset.
func (s *Set) btfString(b *BTF, offset uint32) (string, error) {
	of := b
	for range maxBases {
		if of == nil || offset >= of.raw.FirstStr {
			break
		}
		of = s.baseOf(of)
	}
	if of == nil || offset < of.raw.FirstStr || offset-of.raw.FirstStr >= of.raw.StrLen {
		return "", corrupt("string at %d of BTF %d", offset, b.ID)
	}
	return s.mem.CString(of.raw.Strings+vmem.VirtAddr(offset-of.raw.FirstStr), maxTypeName)
}

// idOf returns the ID of the BTF at an address, 0 for none.
func (s *Set) idOf(at vmem.VirtAddr) uint32 {
	if at == 0 {
		return 0
	}
	if b := s.addBTF(at, InPrograms); b != nil {
		return b.ID
	}
	return 0
}

// settleBTFs joins types with what uses them.
func (s *Set) settleBTFs() {
	of := map[uint32]*BTF{}
	for _, b := range s.btfs {
		of[b.ID] = b
	}
	for _, p := range s.programs {
		if b := of[p.BTF]; b != nil && p.BTF != 0 && p.ID != 0 {
			b.Programs = append(b.Programs, p.ID)
		}
	}
	for _, m := range s.maps {
		if b := of[m.BTF]; b != nil && m.BTF != 0 && m.ID != 0 {
			b.Maps = append(b.Maps, m.ID)
		}
	}
	if at, ok := s.symbol("btf_vmlinux"); ok { // until 5.10 it had no ID and no name
		if p, err := s.ptr(at); err == nil && s.btfAt[p] != nil && s.btfAt[p].ID == 0 {
			s.btfAt[p].Name, s.btfAt[p].Kernel = "vmlinux", true
		}
	}
	for _, b := range s.btfs {
		sortOwners(b.Owners)
	}
	slices.SortStableFunc(s.btfs, func(a, b *BTF) int {
		return cmp.Or(cmp.Compare(a.ID-1, b.ID-1), cmp.Compare(a.Address, b.Address))
	})
}
