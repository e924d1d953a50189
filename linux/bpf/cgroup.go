package bpf

import (
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Cgroup is a cgroup with programs of its own, or with others in force than its parent has.
type Cgroup struct {
	Path     string          `json:"path"` // in the hierarchy of version 2
	ID       uint64          `json:"id"`
	Programs []CgroupProgram `json:"programs"` // its own, as `bpftool cgroup tree` shows them
	// Effective are those that run for what is in it: its own and those of the cgroups above, by attach type.
	Effective []CgroupProgram `json:"effective"`
	Address   vmem.VirtAddr   `json:"address"` // of struct cgroup
}

// A CgroupProgram is a program of a cgroup.
type CgroupProgram struct {
	AttachType string `json:"attachType"` // as libbpf names it
	Program    uint32 `json:"programID" jsonx:"null"`
	Flags      string `json:"flags,omitempty"` // multi, override or both; of its own ones
	Link       uint32 `json:"linkID,omitempty"`
	addr       vmem.VirtAddr
}

// maxAttachTypes is how many attach types of cgroups there can be: 38 in 7.2.
const maxAttachTypes = 64

// A cgroupStruct is struct cgroup (include/linux/cgroup-defs.h). It has programs with CONFIG_CGROUP_BPF.
type cgroupStruct struct {
	Children  vmem.VirtAddr                 `kernel:"&self.children"`
	State     uint32                        `kernel:"self.flags"`
	Kernfs    vmem.VirtAddr                 `kernel:"kn"`
	Effective [maxAttachTypes]vmem.VirtAddr `kernel:"bpf.effective"`
	Programs  vmem.VirtAddr                 `kernel:"&bpf.progs"`
	Flags     vmem.VirtAddr                 `kernel:"&bpf.flags"`
}

// A progList is struct bpf_prog_list.
type progList struct {
	Program vmem.VirtAddr `kernel:"prog"`
	Link    vmem.VirtAddr `kernel:"link,optional"` // since 5.7
}

type cgroupViews struct {
	cgroup  *kstruct.View[cgroupStruct]
	sibling kstruct.Member // of cgroup
	id      *kstruct.Field[uint64]
	list    *kstruct.View[progList]
	node    kstruct.Member // of bpf_prog_list
	hlist   bool           // since 6.0 (00442143a2ab)
	item    kstruct.Member // items of bpf_prog_array
	link    kstruct.Member // link in bpf_cgroup_link
	types   []string       // of each place in the arrays
	flags   uint64         // the size of one
	err     error
}

func bindCgroups(types *isf.File) (v cgroupViews) {
	b := kstruct.NewBinder(types)
	v.cgroup = kstruct.Bind[cgroupStruct](b, "cgroup")
	v.sibling = kstruct.BindMember(b, "cgroup", "self.sibling")
	v.id = kstruct.BindField[uint64](b, "kernfs_node", "id")
	v.list = kstruct.Bind[progList](b, "bpf_prog_list")
	v.node = kstruct.BindMember(b, "bpf_prog_list", "node")
	v.item = kstruct.BindMember(b, "bpf_prog_array", "items")
	v.link = kstruct.BindMember(b, "bpf_cgroup_link", "link")
	flags := kstruct.BindMember(b, "cgroup", "bpf.flags")
	v.err = b.Err()
	v.hlist = types.HasField("bpf_prog_list", "node.pprev")
	if n := flags.Count(); n > 0 {
		v.flags = flags.Size() / n
	}
	v.types = cgroupTypes(types)
	v.types = v.types[:min(uint64(len(v.types)), flags.Count(), maxAttachTypes)]
	return v
}

// cgroupTypes returns the names of the attach types by their places: enum cgroup_bpf_attach_type, whose numbers depend on
// the configuration, since 5.15 (6fc88c354f3a), before all of enum bpf_attach_type.
func cgroupTypes(types *isf.File) []string {
	e, err := types.Enum("cgroup_bpf_attach_type")
	if err != nil {
		return attachTypes
	}
	names := make([]string, maxAttachTypes)
	start, end := int64(-1), int64(-1)
	for _, c := range e.Constants {
		switch {
		case c.Name == "CGROUP_LSM_START":
			start = c.Value
		case c.Name == "CGROUP_LSM_END":
			end = c.Value
		case c.Value >= 0 && c.Value < maxAttachTypes && c.Name != "MAX_CGROUP_BPF_ATTACH_TYPE":
			names[c.Value] = cgroupType(c.Name)
		}
	}
	for i := start; i >= 0 && i <= end && i < maxAttachTypes; i++ {
		names[i] = lsmCgroup.String()
	}
	return names
}

// cgroupType returns libbpf's name of a constant such as CGROUP_INET_INGRESS.
func cgroupType(constant string) string {
	name := toLower(constant)
	if _, ok := attachTypeOf(name); ok {
		return name
	}
	return constant
}

func toLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// maxCgroups is how many cgroups are looked at.
const maxCgroups = 1 << 17

// Cgroups returns the cgroups with programs.
func (s *Set) Cgroups() []*Cgroup { return slices.Clone(s.cgroups) }

// readCgroups walks the hierarchy of version 2 from cgrp_dfl_root, which is exported.
func (s *Set) readCgroups() {
	v := &s.views.cgroups
	root, err := s.k.Symbol("cgrp_dfl_root")
	if v.err != nil || err != nil {
		s.lose("cgroups with BPF programs", 0, unsupported("%w", firstError(v.err, err)))
		return
	}
	top, err := s.k.Symbols().Field("cgroup_root", "cgrp")
	if err != nil {
		s.lose("cgroups with BPF programs", 0, unsupported("%w", err))
		return
	}
	seen := map[vmem.VirtAddr]bool{}
	full := false
	var visit func(at vmem.VirtAddr, above *[maxAttachTypes][]vmem.VirtAddr)
	visit = func(at vmem.VirtAddr, above *[maxAttachTypes][]vmem.VirtAddr) {
		switch {
		case full || s.ctx.Err() != nil:
			return
		case seen[at]:
			s.lose("cgroups with BPF programs", at, kstruct.ErrCycle)
			return
		case len(seen) >= maxCgroups:
			full = true
			s.lose("cgroups with BPF programs", at, kstruct.ErrTooMany)
			return
		}
		seen[at] = true
		effective, children := s.readCgroup(at, above)
		for _, child := range children {
			visit(child, effective)
		}
	}
	visit(root+vmem.VirtAddr(top.Offset), &[maxAttachTypes][]vmem.VirtAddr{})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readCgroup reads the programs of one cgroup, and returns those in force there and the cgroups below.
func (s *Set) readCgroup(at vmem.VirtAddr, above *[maxAttachTypes][]vmem.VirtAddr) (effective *[maxAttachTypes][]vmem.VirtAddr, children []vmem.VirtAddr) {
	v := &s.views.cgroups
	effective = &[maxAttachTypes][]vmem.VirtAddr{}
	var c cgroupStruct
	if err := v.cgroup.Read(s.mem, at, &c); err != nil {
		s.lose("cgroup with BPF programs", at, err)
		return effective, nil
	}
	children = s.cgroupsIn(at, c.Children)
	if c.State&cgroupOnline == 0 { // it was removed: what it had of programs is freed, and nothing is in it
		return above, children
	}
	out := &Cgroup{Address: at}
	differs := false
	for i, name := range v.types {
		effective[i] = s.progArray(c.Effective[i])
		differs = differs || !slices.Equal(effective[i], above[i])
		for _, prog := range effective[i] {
			out.Effective = append(out.Effective, CgroupProgram{AttachType: name, addr: prog})
		}
		s.ownPrograms(out, &c, i, name)
	}
	if len(out.Programs) > 0 || differs && len(out.Effective) > 0 {
		s.addCgroup(out, &c, effective, above)
	}
	return effective, children
}

// cgroupOnline is CSS_ONLINE of include/linux/cgroup-defs.h: a cgroup is visible.
const cgroupOnline = 1 << 1

// cgroupsIn returns the cgroups in the one at an address, by the head of their list.
func (s *Set) cgroupsIn(at, head vmem.VirtAddr) (children []vmem.VirtAddr) {
	w := s.walk("cgroups")
	for node, err := range w.List(head) {
		if err != nil {
			s.lose("cgroups", at, err)
			continue
		}
		children = append(children, s.views.cgroups.sibling.Container(node))
	}
	return children
}

// maxArray is how many programs are in one array: BPF_CGROUP_MAX_PROGS of include/linux/bpf-cgroup.h is 64, and
// cgroups have those of all above them.
const maxArray = 4096

// progArray returns the programs of a struct bpf_prog_array. The one that all share that are empty is
// read once.
func (s *Set) progArray(at vmem.VirtAddr) (all []vmem.VirtAddr) {
	if at == 0 || s.emptyArrays[at] {
		return nil
	}
	if !plausible(at) {
		s.lose("array of BPF programs", at, corrupt("bpf_prog_array pointer %v", at))
		return nil
	}
	size := vmem.VirtAddr(s.itemSize())
	for p := s.views.cgroups.item.Of(at); len(all) < maxArray; p += size {
		prog, err := s.ptr(p)
		if err != nil {
			s.lose("array of BPF programs", at, err)
			return all
		}
		if prog == 0 {
			break
		}
		if !s.inImage(prog) { // dummy_bpf_prog.prog, which stands for one that was removed
			all = append(all, prog)
		}
	}
	if len(all) == 0 {
		s.emptyArrays[at] = true
	}
	return all
}

// itemSize is the size of struct bpf_prog_array_item.
func (s *Set) itemSize() uint64 {
	if t, err := s.k.Symbols().UserType("bpf_prog_array_item"); err == nil {
		return t.Size
	}
	return 24
}

// ownPrograms reads the programs of a cgroup of one attach type.
func (s *Set) ownPrograms(out *Cgroup, c *cgroupStruct, i int, name string) {
	v := &s.views.cgroups
	head := c.Programs + vmem.VirtAddr(i)*8
	if !v.hlist {
		head = c.Programs + vmem.VirtAddr(i)*16
	}
	first, err := s.ptr(head)
	if err != nil {
		s.lose("cgroup with BPF programs", head, err)
		return
	}
	if first == 0 || first == head {
		return
	}
	flags, err := s.ptr(c.Flags + vmem.VirtAddr(uint64(i)*v.flags)) // only its lowest bits are looked at
	if err != nil {
		s.lose("cgroup with BPF programs", c.Flags, err)
	}
	w := s.walk("programs of a cgroup")
	nodes := w.List(head)
	if v.hlist {
		nodes = w.HList(head)
	}
	for node, err := range nodes {
		var p progList
		if err == nil {
			p, err = v.list.Load(s.mem, v.node.Container(node))
		}
		if err != nil {
			s.lose("programs of a cgroup", head, err)
			continue
		}
		own := CgroupProgram{AttachType: name, Flags: cgroupFlags(uint64(flags)), addr: p.Program}
		if p.Link != 0 {
			if l := s.addLink(v.link.Of(p.Link), InAttachments); l != nil {
				own.Link, own.addr = l.ID, l.raw.Program
				s.attachedBy[l.Address] = true
			}
		}
		out.Programs = append(out.Programs, own)
	}
}

// cgroupFlags names BPF_F_ALLOW_OVERRIDE and BPF_F_ALLOW_MULTI as bpftool does.
func cgroupFlags(flags uint64) string {
	switch flags & 3 {
	case 1:
		return "override"
	case 2:
		return "multi"
	case 3:
		return "override,multi"
	}
	return ""
}

// addCgroup adds a cgroup, and notes with its programs that they are attached. One that is in force
// without being attached to the cgroup, and was not in force above, was put there behind the kernel's back.
func (s *Set) addCgroup(out *Cgroup, c *cgroupStruct, effective, above *[maxAttachTypes][]vmem.VirtAddr) {
	path, err := s.k.Cgroup(out.Address)
	if err != nil {
		s.lose("cgroup with BPF programs", out.Address, err)
	}
	out.Path = path.Path
	if out.ID, err = s.views.cgroups.id.Load(s.mem, c.Kernfs); err != nil {
		s.lose("cgroup with BPF programs", out.Address, err)
	}
	own := map[vmem.VirtAddr]bool{}
	for i := range out.Programs {
		p := &out.Programs[i]
		own[p.addr] = true
		if q := s.addProgram(p.addr, InAttachments); q != nil {
			p.Program = q.ID
			q.Attachments = append(q.Attachments, Attachment{Kind: "cgroup", Type: p.AttachType, Target: out.Path, Link: p.Link, Flags: p.Flags, Address: out.Address})
		}
	}
	for i := range effective {
		for _, prog := range effective[i] {
			if own[prog] || slices.Contains(above[i], prog) {
				continue
			}
			if q := s.addProgram(prog, InAttachments); q != nil {
				q.Attachments = append(q.Attachments, Attachment{Kind: "cgroup", Type: s.views.cgroups.types[i], Target: out.Path, Flags: "effective alone", Address: out.Address})
			}
		}
	}
	for i := range out.Effective {
		if q := s.addProgram(out.Effective[i].addr, InAttachments); q != nil {
			out.Effective[i].Program = q.ID
		}
	}
	s.cgroups = append(s.cgroups, out)
}
