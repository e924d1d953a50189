package bpf

import (
	"cmp"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Map is a table that BPF programs and processes share, as `bpftool map show` tells of it.
// [Set.Elements] reads what is in it.
type Map struct {
	ID         uint32  `json:"id" jsonx:"null"`
	Type       MapType `json:"type"`
	Name       string  `json:"name"`
	KeySize    uint32  `json:"keySize"`   // in bytes
	ValueSize  uint32  `json:"valueSize"` // likewise, of one CPU
	MaxEntries uint32  `json:"maxEntries"`
	Flags      uint32  `json:"flags" jsonx:"hex"`
	Extra      uint64  `json:"extra"` // such as the number of hash functions of a bloom filter
	// MemoryBytes is what bpftool shows as bytes_memlock: an estimate of the kernel's, by the kind of map. 0 if it is
	// not known.
	MemoryBytes uint64 `json:"bytesMemlock"`
	Frozen      bool   `json:"frozen"` // processes can't change it any more
	// OwnerType is the type of programs that an array of programs takes, once it has one; empty else.
	OwnerType string `json:"ownerType,omitempty"`
	OwnerJIT  bool   `json:"ownerJITed,omitempty"`

	BTF       uint32 `json:"btfID" jsonx:"null"`
	KeyType   uint32 `json:"keyTypeID" jsonx:"null"`
	ValueType uint32 `json:"valueTypeID" jsonx:"null"`
	// KernelType is the type of a structure of the kernel's, of the type struct_ops, and KernelName its name.
	KernelType uint32 `json:"kernelTypeID" jsonx:"null"`
	KernelName string `json:"kernelType,omitempty"`

	Programs   []uint32      `json:"programs"` // that use it
	Owners     []Owner       `json:"owners"`
	Pins       []string      `json:"pins"`
	References int64         `json:"references"` // as the kernel counts them
	Users      int64         `json:"users"`      // of these, those of processes, pins and other maps
	Sources    Sources       `json:"sources"`
	Hidden     bool          `json:"hidden"`  // it is alive, and the table of IDs lacks it
	Address    vmem.VirtAddr `json:"address"` // of struct bpf_map

	raw mapStruct
}

// A mapStruct is struct bpf_map (include/linux/bpf.h).
type mapStruct struct {
	Ops        vmem.VirtAddr `kernel:"ops"`
	Inner      vmem.VirtAddr `kernel:"inner_map_meta"`
	Type       uint32        `kernel:"map_type"`
	KeySize    uint32        `kernel:"key_size"`
	ValueSize  uint32        `kernel:"value_size"`
	MaxEntries uint32        `kernel:"max_entries"`
	Flags      uint32        `kernel:"map_flags"`
	Extra      uint64        `kernel:"map_extra,optional"` // since 5.16
	ID         uint32        `kernel:"id"`
	Name       [16]byte      `kernel:"name"`
	BTF        vmem.VirtAddr `kernel:"btf"`
	KeyType    uint32        `kernel:"btf_key_type_id"`
	ValueType  uint32        `kernel:"btf_value_type_id"`
	KernelType uint32        `kernel:"btf_vmlinux_value_type_id"`
	Frozen     bool          `kernel:"frozen"`
	Refs       int64         `kernel:"refcnt.counter"`
	Users      int64         `kernel:"usercnt.counter"`
	Pages      uint32        `kernel:"memory.pages,optional"` // until 5.10
}

// A mapOwner is what programs an array of programs takes: struct bpf_map_owner since 6.12.48 and 6.17
// (fd1c98f0ef5c), before that a part of struct bpf_map, and until 5.16 of struct bpf_array_aux.
type mapOwner struct {
	Type uint32 `kernel:"type"`
	JIT  bool   `kernel:"jited"`
}

type embeddedOwner struct {
	Owner mapOwner `kernel:"owner"`
}

type mapViews struct {
	bpf *kstruct.View[mapStruct]
	err error

	ownerPtr *kstruct.Field[vmem.VirtAddr] // of bpf_map
	owner    *kstruct.View[mapOwner]
	inMap    *kstruct.View[embeddedOwner]
	inAux    *kstruct.View[embeddedOwner]
	aux      *kstruct.Field[vmem.VirtAddr] // of bpf_array
	content  contentViews
}

// bound binds a view alone: one that is not bound is not Ok.
func bound[T any](types *isf.File, typ string) *kstruct.View[T] {
	return kstruct.Bind[T](kstruct.NewBinder(types), typ)
}

// boundField is bound for a field.
func boundField[T kstruct.Number](types *isf.File, typ, path string) *kstruct.Field[T] {
	return kstruct.BindField[T](kstruct.NewBinder(types), typ, path)
}

// boundMember is bound for a member.
func boundMember(types *isf.File, typ, path string) kstruct.Member {
	return kstruct.BindMember(kstruct.NewBinder(types), typ, path)
}

func bindMaps(types *isf.File) (v mapViews) {
	b := kstruct.NewBinder(types)
	v.bpf = kstruct.Bind[mapStruct](b, "bpf_map")
	v.err = b.Err()
	v.ownerPtr = boundField[vmem.VirtAddr](types, "bpf_map", "owner")
	v.owner = bound[mapOwner](types, "bpf_map_owner")
	v.inMap = bound[embeddedOwner](types, "bpf_map")
	v.inAux = bound[embeddedOwner](types, "bpf_array_aux")
	v.aux = boundField[vmem.VirtAddr](types, "bpf_array", "aux")
	v.content = bindContent(types)
	return v
}

// maxMaps is how many maps are told.
const maxMaps = 1 << 16

// Maps returns the maps by ascending ID, those without one last.
func (s *Set) Maps() []*Map { return slices.Clone(s.maps) }

// readMaps reads map_idr of kernel/bpf/syscall.c (static), and the maps of programs.
func (s *Set) readMaps() {
	if s.views.maps.err != nil {
		s.lose("BPF maps", 0, s.views.maps.err)
		return
	}
	s.readIDR(mapIDR, "BPF maps", func(at vmem.VirtAddr, id uint32) {
		if m := s.addMap(at, InIDR); m != nil && m.ID != id {
			s.lose("BPF map "+m.String(), at, corrupt("the table has it as %d", id))
		}
	})
}

// readMap reads the map at an address.
func (s *Set) readMap(at vmem.VirtAddr) (*Map, error) {
	m := &Map{Address: at}
	if !plausible(at) {
		return nil, corrupt("bpf_map pointer %v", at)
	}
	if err := s.views.maps.bpf.Read(s.mem, at, &m.raw); err != nil {
		return nil, cause(err, s.views.maps.err)
	}
	r := &m.raw
	if !s.inImage(r.Ops) || r.Type == 0 || r.Type > maxMapType {
		return nil, corrupt("map of type %d with operations at %v", r.Type, r.Ops)
	}
	m.ID, m.Type, m.Name, m.KeySize, m.ValueSize, m.MaxEntries = r.ID, MapType(r.Type), cString(r.Name[:]), r.KeySize, r.ValueSize, r.MaxEntries
	m.Flags, m.Extra, m.Frozen, m.References, m.Users = r.Flags, r.Extra, r.Frozen, r.Refs, r.Users
	m.KeyType, m.ValueType, m.KernelType = r.KeyType, r.ValueType, r.KernelType
	return m, nil
}

// maxMapType is above every number of a type that there may ever be.
const maxMapType = 255

// addMap notes that the map at an address was found by something.
func (s *Set) addMap(at vmem.VirtAddr, source Sources) *Map {
	if m := s.mapAt[at]; m != nil {
		m.Sources |= source
		return m
	}
	if at == 0 || s.refused[at] {
		return nil
	}
	m, err := s.readMap(at)
	if err == nil && len(s.maps) >= maxMaps {
		err = kstruct.ErrTooMany
	}
	if err != nil {
		s.refused[at] = true
		s.lose("BPF map", at, err)
		return nil
	}
	m.Sources = source
	s.mapAt[at] = m
	s.maps = append(s.maps, m)
	m.BTF = s.idOf(m.raw.BTF)
	m.MemoryBytes = s.memoryOf(m)
	s.readOwnerType(m)
	return m
}

// readOwnerType reads what programs an array of programs takes.
func (s *Set) readOwnerType(m *Map) {
	if m.Type != ProgArray {
		return
	}
	v := &s.views.maps
	var o mapOwner
	var err error
	switch {
	case v.owner.Ok() && v.ownerPtr.Ok():
		var at vmem.VirtAddr
		if at, err = v.ownerPtr.Load(s.mem, m.Address); err == nil && at != 0 {
			o, err = v.owner.Load(s.mem, at)
		}
	case v.inMap.Ok():
		var e embeddedOwner
		e, err = v.inMap.Load(s.mem, m.Address)
		o = e.Owner
	case v.inAux.Ok() && v.aux.Ok():
		var at vmem.VirtAddr
		var e embeddedOwner
		if at, err = v.aux.Load(s.mem, m.Address); err == nil {
			e, err = v.inAux.Load(s.mem, at)
		}
		o = e.Owner
	default:
		err = unsupported("no type of what programs a map takes")
	}
	if err != nil {
		s.lose("owner of map "+m.String(), m.Address, err)
	}
	if o.Type != 0 {
		m.OwnerType, m.OwnerJIT = ProgramType(o.Type).String(), o.JIT
	}
}

// String returns the ID and the name of a map, or else its type.
func (m *Map) String() string { return formatID(m.ID) + " " + cmp.Or(m.Name, m.Type.String()) }
