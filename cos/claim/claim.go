// Package claim is what passes between those who tell of a node's pods and those who join
// what they tell: a [Source] looks at the processes of a node and makes a [Claim] of each
// thing that it finds; package cos weighs the claims of all sources against each other.
//
// A container runtime is a Source in a package of its own, such as package containerd. It
// knows which files of the runtime say what; it need not know of other sources, nor which
// of them is to be believed.
package claim

import (
	"context"
	"strings"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Claim is what one source says about one pod, one of its containers, or both.
// What it says nothing about is empty.
type Claim struct {
	Origin Origin
	PID    int32 // the process in which it was found

	PodUID    string
	QoS       string // the class as names of cgroups have it
	Namespace string // of the pod
	Pod       string // its name
	SandboxID string

	ContainerID string
	Container   string // its name
	Image       string
	IsSandbox   bool  // ContainerID is a sandbox
	Running     bool  // a process outside of pods says that it runs SandboxID
	Created     int64 // ContainerID, in nanoseconds since 1970; 0 where not known
}

// A Source tells of pods and containers.
type Source interface {
	// Claims returns what the source finds, in an order that depends on the node alone, and
	// what it could not read. Memory that is not present, [vmem.ErrNotPresent], is a loss
	// only if something is not known that the source would tell: it may be of a file that
	// was on the node's disk alone. If ctx is done, it may return anything.
	Claims(ctx context.Context, n *Node) ([]Claim, []vmem.Gap)
}

// A Node is what sources are asked about.
type Node struct {
	Hostname  string    // of the initial UTS namespace
	Processes []Process // by ascending PID
	Live      bool      // the node runs: what was read may be read anew

	// Memory is the node's physical memory; nil if there is no image.
	Memory vmem.Memory
}

// A Process is a process of a node, as far as it was read before the sources are asked.
type Process struct {
	Task *linux.Task // for what else a source reads; nil if there is no image

	PID, PPID   int32
	Exe         string
	Args        []string
	FDs         []linux.FD
	Cgroup      string // the path that tells most; see Process of package cos
	PodUID      string // from Cgroup, as is ContainerID
	ContainerID string

	// Of one process for each container and mount namespace of a pod.
	Mounts  []linux.Mount
	UTSName string // the node name of its UTS namespace
}

// An Origin says where a value comes from.
type Origin string

// The origins of what is known about pods, by the order in which they are believed: what
// the kubelet and the runtime had the kernel do before what they wrote down.
const (
	// FromCgroup: the cgroup of a process.
	FromCgroup Origin = "cgroup"
	// FromMount: a mount in the mount namespace of a container.
	FromMount Origin = "mount"
	// FromLogFile: the path of a log file that containerd holds open.
	FromLogFile Origin = "log-file"
	// FromLogFileAlone: as FromLogFile, and the pod has only one container without a
	// name and only one name without a container, so they belong together.
	FromLogFileAlone Origin = "log-file-alone"
	// FromMetadata: containerd's database, where containerd has it mapped.
	FromMetadata Origin = "containerd-metadata"
	// FromMetadataPage: a page of that database which its root doesn't lead to any more,
	// for pages between are missing. The container is, or was once.
	FromMetadataPage Origin = "containerd-metadata-page"
	// FromMetadataMemory: a page of that database found in physical memory, where no process is
	// known that maps it. The container is, or was once; or the page is of something that
	// looks the same.
	FromMetadataMemory Origin = "containerd-metadata-memory"
	// FromLogPathMemory: the name of a directory of logs, NAMESPACE_POD_UID, as it stands
	// anywhere in physical memory. Whoever has memory can write one.
	FromLogPathMemory Origin = "log-path-memory"
	// HintShim: the arguments of a containerd-shim. A hint: any process can choose its
	// arguments.
	HintShim Origin = "shim-arguments"
	// HintUTSName: the node name of the pod's UTS namespace. A hint: it is the pod's
	// name, cut at 63 bytes, unless the pod chooses another.
	HintUTSName Origin = "uts-name"
)

// order is the order in which origins are believed.
var order = map[Origin]int{
	FromCgroup: 1, FromMount: 2, FromLogFile: 3, FromLogFileAlone: 4, FromMetadata: 5, FromMetadataPage: 6,
	FromMetadataMemory: 7, FromLogPathMemory: 8, HintShim: 9, HintUTSName: 10,
}

// Rank returns the place of the origin in the order in which origins are believed; the
// first is 1. One that is not known is behind all.
func (o Origin) Rank() int {
	if n, ok := order[o]; ok {
		return n
	}
	return len(order) + 1
}

// Hint reports whether values from the origin only hint: they are listed and never
// become the value of a field.
func (o Origin) Hint() bool { return o == HintShim || o == HintUTSName }

// Identifies reports whether what is found there itself tells which pod and container it
// speaks of. Of mounts and hints it is the cgroup of the process where they were found.
func (o Origin) Identifies() bool { return o != FromMount && !o.Hint() }

// Recorded reports whether the runtime wrote it down for itself, also of what there was
// before and is no more.
func (o Origin) Recorded() bool {
	return o == FromMetadata || o == FromMetadataPage || o == FromMetadataMemory
}

// MayBePast reports whether the pod may be long gone, unless another origin tells of it.
func (o Origin) MayBePast() bool {
	return o == FromMetadataPage || o == FromMetadataMemory || o == FromLogPathMemory
}

// IsContainerID reports whether s is the ID of a container or a sandbox, as the container
// runtimes of Kubernetes make them: 64 hexadecimal digits.
func IsContainerID(s string) bool {
	return len(s) == 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f')
	})
}

// deleted is what the kernel puts behind the path of what was removed (d_path of
// fs/d_path.c, proc_cgroup_show of kernel/cgroup/cgroup.c).
const deleted = " (deleted)"

// Undeleted returns a path as it was before the file or the cgroup was removed.
func Undeleted(path string) string { return strings.TrimSuffix(path, deleted) }
