package bpf

import "github.com/nodelens/nodelens/vmem"

// An Attachment is a place where a program is attached.
type Attachment struct {
	Kind string `json:"kind"` // such as cgroup, tracing, xdp, tcx, sockmap
	Type string `json:"type"` // more of it, mostly an attach type as libbpf names it
	// Target is what it is attached to: the path of a cgroup, a function, a tracepoint, a device.
	Target  string        `json:"target"`
	Link    uint32        `json:"linkID" jsonx:"null"` // by which it is, if by one
	Flags   string        `json:"flags,omitempty"`     // multi or override, of a cgroup
	Index   uint32        `json:"ifindex,omitempty"`   // of a device
	NetNS   uint32        `json:"netns,omitempty"`     // inode number of the device's or the hook's namespace
	Owners  []Owner       `json:"owners,omitempty"`    // who has it open, of a perf event
	Address vmem.VirtAddr `json:"address"`             // of the object that it is attached to
}

// attach notes that the program at an address is attached somewhere.
func (s *Set) attach(prog vmem.VirtAddr, a Attachment) {
	if prog == 0 {
		return
	}
	if p := s.addProgram(prog, InAttachments); p != nil {
		p.Attachments = append(p.Attachments, a)
	}
}
