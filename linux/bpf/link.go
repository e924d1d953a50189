package bpf

import (
	"cmp"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Link attaches a program to something, and is an object of its own, as `bpftool link show` tells of it.
type Link struct {
	ID      uint32   `json:"id" jsonx:"null"` // 0 for what the kernel made for itself
	Type    LinkType `json:"type"`
	Program uint32   `json:"programID" jsonx:"null"` // 0 for those of struct_ops, which have a map
	LinkDetails

	Owners     []Owner       `json:"owners"`
	Pins       []string      `json:"pins"`
	References int64         `json:"references"`
	Sources    Sources       `json:"sources"`
	Hidden     bool          `json:"hidden"`  // it is alive, and the table of IDs lacks it
	Address    vmem.VirtAddr `json:"address"` // of struct bpf_link

	raw linkStruct
}

// LinkDetails are what a link attaches its program to; what does not apply is zero.
type LinkDetails struct {
	AttachType string `json:"attachType,omitempty"` // as libbpf names it
	// TargetBTF and TargetType name the function of a link of the type tracing: the ID of the BTF, or of the program
	// that it is in, and of the type.
	TargetBTF  uint32 `json:"targetObjectID,omitempty"`
	TargetType uint32 `json:"targetTypeID,omitempty"`
	// Target is the name of a function, a tracepoint, an iterator, a path, a device.
	Target    string        `json:"target,omitempty"`
	Cookie    uint64        `json:"cookie,omitempty"`
	CgroupID  uint64        `json:"cgroupID,omitempty"`
	NetNS     uint32        `json:"netns,omitempty"`   // inode number
	Index     uint32        `json:"ifindex,omitempty"` // of a device
	Map       uint32        `json:"mapID,omitempty"`
	Family    uint8         `json:"protocolFamily,omitempty"` // of netfilter, as what follows
	Hook      uint32        `json:"hook,omitempty"`
	Priority  int32         `json:"priority,omitempty"`
	Defrag    bool          `json:"defrag,omitempty"`
	Event     string        `json:"event,omitempty"` // of perf_event: kprobe, kretprobe, uprobe, uretprobe, tracepoint or event
	Return    bool          `json:"return,omitempty"`
	Offset    uint64        `json:"offset,omitempty"`
	EventType uint32        `json:"eventType,omitempty"` // of a perf event: perf_event_attr.type
	Config    uint64        `json:"eventConfig,omitempty"`
	Functions []LinkTarget  `json:"functions,omitempty"` // of kprobe_multi and uprobe_multi
	PID       int32         `json:"pid,omitempty"`       // whose functions, of uprobe_multi and iterators
	Path      string        `json:"path,omitempty"`      // of a cgroup
	object    vmem.VirtAddr // that it is attached to
}

// A LinkTarget is one of the functions that a link is attached to.
type LinkTarget struct {
	Address vmem.VirtAddr `json:"address,omitempty"` // of the kernel's
	Name    string        `json:"name,omitempty"`
	Offset  uint64        `json:"offset,omitempty"` // in a file
	Cookie  uint64        `json:"cookie,omitempty"`
}

// A linkStruct is struct bpf_link (include/linux/bpf.h).
type linkStruct struct {
	Refs    int64         `kernel:"refcnt.counter"`
	ID      uint32        `kernel:"id"`
	Type    uint32        `kernel:"type"`
	Ops     vmem.VirtAddr `kernel:"ops"`
	Program vmem.VirtAddr `kernel:"prog"`
	Attach  uint32        `kernel:"attach_type,optional"` // since 6.18, before in what surrounds it
}

type linkViews struct {
	link *kstruct.View[linkStruct]
	err  error
	detailViews
}

func bindLinks(types *isf.File) (v linkViews) {
	b := kstruct.NewBinder(types)
	v.link = kstruct.Bind[linkStruct](b, "bpf_link")
	v.err = b.Err()
	v.detailViews = bindDetails(types)
	return v
}

// maxLinks is how many links are told.
const maxLinks = 1 << 16

// Links returns the links by ascending ID, those without one last.
func (s *Set) Links() []*Link { return slices.Clone(s.links) }

// readLinks reads link_idr of kernel/bpf/syscall.c (static).
func (s *Set) readLinks() {
	if s.views.links.err != nil {
		s.lose("BPF links", 0, s.views.links.err)
		return
	}
	s.readIDR(linkIDR, "BPF links", func(at vmem.VirtAddr, id uint32) {
		if l := s.addLink(at, InIDR); l != nil && l.ID != id {
			s.lose("BPF link "+formatID(l.ID), at, corrupt("the table has it as %d", id))
		}
	})
}

// readLink reads the link at an address.
func (s *Set) readLink(at vmem.VirtAddr) (*Link, error) {
	l := &Link{Address: at}
	if !plausible(at) {
		return nil, corrupt("bpf_link pointer %v", at)
	}
	if err := s.views.links.link.Read(s.mem, at, &l.raw); err != nil {
		return nil, cause(err, s.views.links.err)
	}
	if !plausible(l.raw.Ops) || l.raw.Program != 0 && !plausible(l.raw.Program) || l.raw.Type > maxMapType {
		return nil, corrupt("link of type %d with operations at %v", l.raw.Type, l.raw.Ops)
	}
	l.ID, l.Type, l.References = l.raw.ID, LinkType(l.raw.Type), l.raw.Refs
	return l, nil
}

// addLink notes that the link at an address was found by something.
func (s *Set) addLink(at vmem.VirtAddr, source Sources) *Link {
	if l := s.linkAt[at]; l != nil {
		l.Sources |= source
		return l
	}
	if at == 0 || s.refused[at] {
		return nil
	}
	l, err := s.readLink(at)
	if err == nil && len(s.links) >= maxLinks {
		err = kstruct.ErrTooMany
	}
	if err != nil {
		s.refused[at] = true
		s.lose("BPF link", at, err)
		return nil
	}
	l.Sources = source
	s.linkAt[at] = l
	s.links = append(s.links, l)
	if p := s.addProgram(l.raw.Program, InLinks); p != nil {
		l.Program = p.ID
		if l.ID != 0 {
			p.Links = append(p.Links, l.ID)
		}
	}
	s.readDetails(l)
	return l
}

// settleLinks sorts the links, and says of each program where they attach it.
func (s *Set) settleLinks() {
	for _, l := range s.links {
		p := s.byAddr[l.raw.Program]
		if p == nil {
			continue
		}
		if s.attachedBy[l.Address] { // where it is attached told it, with more
			continue
		}
		p.Attachments = append(p.Attachments, Attachment{
			Kind: l.Type.String(), Type: cmp.Or(l.Event, l.AttachType), Target: cmp.Or(l.Path, l.Target), Link: l.ID, Index: l.Index, NetNS: l.NetNS, Address: l.object,
		})
	}
	slices.SortStableFunc(s.links, func(a, b *Link) int {
		return cmp.Or(cmp.Compare(a.ID-1, b.ID-1), cmp.Compare(a.Address, b.Address))
	})
}
