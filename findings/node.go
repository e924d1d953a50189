package findings

import (
	"path"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A Node is a report, and what finds its way in it. It is safe for concurrent use as long as nobody changes the report.
type Node struct {
	Report *cos.NodeReport
	Opened *cos.Node // of which the report is; nil where it was read back

	processes  map[int32]*cos.Process
	children   map[int32][]*cos.Process
	pods       map[string]*cos.Pod
	containers map[string]*cos.Container       // by ID
	details    map[string]*cos.ContainerDetail // likewise
	security   map[int32]*cos.ProcessSecurity
	memory     map[int32][]*cos.SuspiciousMemory
	sockets    map[int32][]*cos.Socket // of those that have them open
	inits      map[string]*cos.Process // the first process of each container
	creds      map[vmem.VirtAddr]*cos.Process
	unix       map[uint64]*cos.Socket // unix sockets, by the inodes of their files
	hasSocket  map[flowKey]bool       // of connections
	lossy      map[int32]bool         // processes of which something was lost
	losses     []loss
	lines      map[int32]string            // arguments of processes, joined by spaces
	members    map[string][]*cos.Process   // of each container
	gone       map[int32]*cos.NamelessFile // programs of processes whose files have no name
}

// NewNode indexes a report. opened is the node that it is of, or nil where there is none.
func NewNode(report *cos.NodeReport, opened *cos.Node) *Node {
	n := &Node{Report: report, Opened: opened, processes: map[int32]*cos.Process{}, children: map[int32][]*cos.Process{}, pods: map[string]*cos.Pod{},
		containers: map[string]*cos.Container{}, details: map[string]*cos.ContainerDetail{}, security: map[int32]*cos.ProcessSecurity{},
		memory: map[int32][]*cos.SuspiciousMemory{}, sockets: map[int32][]*cos.Socket{}}
	for i := range report.Processes {
		p := &report.Processes[i]
		n.processes[p.PID] = p
		n.children[p.PPID] = append(n.children[p.PPID], p)
	}
	for i := range report.Pods {
		p := &report.Pods[i]
		n.pods[p.UID] = p
		for k := range p.Containers {
			n.containers[p.Containers[k].ID] = &p.Containers[k]
		}
	}
	for i := range report.Containers {
		n.details[report.Containers[i].ID] = &report.Containers[i]
	}
	for i := range report.Security {
		n.security[report.Security[i].PID] = &report.Security[i]
	}
	for i := range report.Memory {
		m := &report.Memory[i]
		n.memory[m.PID] = append(n.memory[m.PID], m)
	}
	n.indexSockets()
	n.members, n.gone, n.lines = map[string][]*cos.Process{}, map[int32]*cos.NamelessFile{}, map[int32]string{}
	for i := range report.Processes {
		if p := &report.Processes[i]; len(p.Args) > 0 {
			line := strings.Join(p.Args, " ")
			n.lines[p.PID] = line[:min(len(line), maxCommandLine)]
		}
		if id := report.Processes[i].ContainerID; id != "" {
			n.members[id] = append(n.members[id], &report.Processes[i])
		}
	}
	n.indexPrograms()
	n.indexInits()
	n.indexCreds()
	n.indexLosses()
	return n
}

// indexPrograms finds the programs whose files have no name.
func (n *Node) indexPrograms() {
	if n.Report.Files == nil {
		return
	}
	for i := range n.Report.Files.Nameless {
		f := &n.Report.Files.Nameless[i]
		for _, h := range f.Holders {
			if h.How == "exe" && n.gone[h.PID] == nil {
				n.gone[h.PID] = f
			}
		}
	}
}

// indexInits finds the first process of each container: the one that its bundle names if it is in it, or else the one that was started first.
func (n *Node) indexInits() {
	n.inits = map[string]*cos.Process{}
	for i := range n.Report.Processes {
		p := &n.Report.Processes[i]
		if p.ContainerID == "" {
			continue
		}
		if d := n.details[p.ContainerID]; d != nil && d.InitPID == p.PID {
			n.inits[p.ContainerID] = p
			continue
		}
		first := n.inits[p.ContainerID]
		if first == nil || !n.named(first) && p.StartTime.Before(first.StartTime) {
			n.inits[p.ContainerID] = p
		}
	}
}

// named reports whether the bundle of a process's container names it as the first.
func (n *Node) named(p *cos.Process) bool {
	d := n.details[p.ContainerID]
	return d != nil && d.InitPID == p.PID
}

// Init returns the first process of a container; nil where none is left.
func (n *Node) Init(containerID string) *cos.Process { return n.inits[containerID] }

// Ordinary reports whether a process is in a pod that is none of the cluster's own.
func (n *Node) Ordinary(p *cos.Process) bool {
	pod := n.pods[p.PodUID]
	return p.PodUID != "" && (pod == nil || !System(pod.Namespace))
}

func (n *Node) indexSockets() {
	n.unix, n.hasSocket = map[uint64]*cos.Socket{}, map[flowKey]bool{}
	if n.Report.Network == nil {
		return
	}
	for i := range n.Report.Network.Sockets {
		s := &n.Report.Network.Sockets[i]
		if s.Family == socket.Unix && s.Inode != 0 {
			n.unix[s.Inode] = s
		}
		if s.RemotePort != 0 && s.PodUID != "" {
			n.hasSocket[flowKey{s.PodUID, uint16(s.RemotePort)}] = true
		}
		var last int32
		for _, o := range s.Owners {
			if o.PID != last {
				n.sockets[o.PID] = append(n.sockets[o.PID], s)
			}
			last = o.PID
		}
	}
}

// Process returns the process with a PID; nil where there is none.
func (n *Node) Process(pid int32) *cos.Process { return n.processes[pid] }

// Children returns the processes whose real parent has a PID.
func (n *Node) Children(pid int32) []*cos.Process { return n.children[pid] }

// Pod returns the pod with a UID; nil where there is none.
func (n *Node) Pod(uid string) *cos.Pod { return n.pods[uid] }

// Detail returns the container with an ID in depth; nil where the report has none.
func (n *Node) Detail(id string) *cos.ContainerDetail { return n.details[id] }

// Security returns what a process may do; nil where the report does not say.
func (n *Node) Security(pid int32) *cos.ProcessSecurity { return n.security[pid] }

// Memory returns what is suspicious in the memory of a process.
func (n *Node) Memory(pid int32) []*cos.SuspiciousMemory { return n.memory[pid] }

// Sockets returns the sockets that a process has open.
func (n *Node) Sockets(pid int32) []*cos.Socket { return n.sockets[pid] }

// Sandbox reports whether a container is the sandbox of its pod.
func (n *Node) Sandbox(podUID, containerID string) bool {
	pod := n.pods[podUID]
	return pod != nil && containerID != "" && pod.SandboxID == containerID
}

// systemNamespaces are those of the cluster's own pods.
var systemNamespaces = []string{"kube-system", "kube-node-lease", "kube-public", "gke-managed-*", "gmp-system", "gke-gmp-system", "calico-system", "tigera-operator"}

// System reports whether a namespace is one of the cluster's own.
func System(namespace string) bool {
	return slices.ContainsFunc(systemNamespaces, func(pattern string) bool {
		ok, err := path.Match(pattern, namespace)
		return ok && err == nil
	})
}

// OfPod returns a pod as a subject.
func (n *Node) OfPod(uid string) Subject {
	s := Subject{PodUID: uid}
	if pod := n.pods[uid]; pod != nil {
		s.Namespace, s.Pod, s.System = pod.Namespace, pod.Name, System(pod.Namespace)
	}
	return s
}

// OfContainer returns a container as a subject.
func (n *Node) OfContainer(podUID, id string) Subject {
	d := n.details[id]
	if podUID == "" && d != nil {
		podUID = d.PodUID
	}
	s := n.OfPod(podUID)
	s.ContainerID = id
	if c := n.containers[id]; c != nil {
		s.Container, s.Image = c.Name, c.Image
	}
	if d == nil {
		return s
	}
	if s.Pod == "" {
		s.Namespace, s.Pod, s.System = d.Namespace, d.Pod, System(d.Namespace)
	}
	if s.Container == "" {
		s.Container = d.Name
	}
	if s.Image == "" {
		s.Image = d.Image
	}
	return s
}

// OfProcess returns a process as a subject.
func (n *Node) OfProcess(p *cos.Process) Subject {
	s := n.OfContainer(p.PodUID, p.ContainerID)
	s.PID, s.Comm, s.Started = p.PID, p.Comm, p.StartTime
	return s
}

// Sections returns which sections the report has.
func (n *Node) Sections() cos.Sections {
	r, have := n.Report, cos.Sections(0)
	for _, s := range []struct {
		section cos.Sections
		there   bool
	}{
		{cos.SectionNetwork, r.Network != nil}, {cos.SectionHooks, r.Hooks != nil}, {cos.SectionBPF, r.BPF != nil}, {cos.SectionModules, r.Modules != nil},
		{cos.SectionLog, r.Log != nil}, {cos.SectionKernel, r.Kernel.Settings != nil}, {cos.SectionContainers, r.Containers != nil},
		{cos.SectionFiles, r.Files != nil}, {cos.SectionSecurity, r.Security != nil}, {cos.SectionMemory, r.Memory != nil},
	} {
		if s.there {
			have |= s.section
		}
	}
	return have
}

// evidence of what is of a process.
func ofTask(p *cos.Process, field, value string) Evidence {
	return Evidence{Type: "task_struct", Addr: p.Address, Field: field, Value: value}
}

func ofFile(f *linux.FD, value string) Evidence {
	return Evidence{Type: "file", Addr: f.Addr, Field: "path", Value: value}
}
