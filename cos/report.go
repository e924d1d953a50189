package cos

import (
	"time"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/consistency"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// Schema names the form of a report's JSON: docs/report.md describes it.
const Schema = "nodelens/node/v3"

// A NodeReport says what ran on a node at the moment at which its memory was imaged.
// It is plain data that refers to no image; strings hold the bytes that were found,
// UTF-8 or not.
type NodeReport struct {
	Provenance Provenance `json:"provenance"`
	Kernel     Kernel     `json:"kernel"`
	Hostname   string     `json:"hostname" jsonx:"null"` // of the initial UTS namespace; empty if it can't be read
	BootTime   time.Time  `json:"bootTime"`              // zero if it can't be read
	Pods       []Pod      `json:"pods"`                  // by ascending namespace, name and UID
	Processes  []Process  `json:"processes"`             // by ascending PID
	// Consistency says how far the memory agrees with itself, whatever was lost of it.
	Consistency *consistency.Report `json:"consistency"`

	Secrets   Secrecy `json:"secrets" jsonx:"null"`   // whether values that may be secrets are in the report
	SecretKey string  `json:"secretKey" jsonx:"null"` // names the key of their digests: where two reports have the same, so have equal values

	// What follows is there where Options.Sections asks for it, and else nil.
	Network *Network         `json:"network,omitempty"`
	Hooks   []integrity.Hook `json:"hooks,omitempty"` // table by table
	Text    *ktext.Report    `json:"text,omitempty"`  // where Options.Vmlinux says with what to compare it
	BPF     *BPF             `json:"bpf,omitempty"`
	Modules []Module         `json:"modules,omitzero"` // those of the kernel's list first, the newest before others
	Log     []printk.Record  `json:"log,omitzero"`     // the oldest first

	Containers []ContainerDetail  `json:"containers,omitzero"` // by namespace, pod and name, a pod's sandbox first
	Files      *Files             `json:"files,omitempty"`
	Security   []ProcessSecurity  `json:"security,omitzero"` // by ascending PID
	Memory     []SuspiciousMemory `json:"memory,omitzero"`   // likewise
	Maps       []ProcessMaps      `json:"maps,omitzero"`     // likewise

	Gaps  []vmem.Gap `json:"gaps"`  // what was lost, in the order of the walk
	Notes []string   `json:"notes"` // what is not known although nothing was lost
}

// Whole reports whether nothing was lost: all walks came to their ends, all views of
// the set of tasks agree, and all evidence about pods does. The reasons why not are
// the Gaps.
func (r *NodeReport) Whole() bool { return len(r.Gaps) == 0 }

// A Kernel is the kernel that ran.
type Kernel struct {
	Release         string        `json:"release"`                // such as 6.1.0-56-cloud-amd64
	Banner          string        `json:"banner"`                 // as in /proc/version, without the newline
	PageTableLevels int           `json:"pageTableLevels"`        // 4 or 5
	KASLRShift      uint64        `json:"kaslrShift" jsonx:"hex"` // what to add to an address as linked
	PhysBase        int64         `json:"physBase" jsonx:"hex"`   // the kernel's phys_base; may be negative
	Root            vmem.PhysAddr `json:"root"`                   // of the kernel's top page table
	FoundBy         string        `json:"foundBy" jsonx:"null"`   // what led to the kernel
	Symbols         string        `json:"symbols" jsonx:"null"`   // where types and symbols came from

	// Settings are how it was set up; nil where Options.Sections does not ask for it.
	Settings *settings.Settings `json:"settings,omitempty"`
}

// A Pod is a pod of which the node knew. Fields that no source tells are empty.
type Pod struct {
	UID        string      `json:"uid"`
	QoS        QoS         `json:"qos" jsonx:"null"`
	Namespace  string      `json:"namespace" jsonx:"null"`
	Name       string      `json:"name" jsonx:"null"`
	SandboxID  string      `json:"sandboxID" jsonx:"null"` // of the sandbox (pause) container, which is not among the Containers
	Containers []Container `json:"containers"`             // by ascending name and ID
	Evidence   []Evidence  `json:"evidence"`               // for the fields above, and the hints
}

// A Container is a container of a pod. One that has no processes has exited, or was
// never started.
type Container struct {
	ID       string     `json:"id" jsonx:"null"`
	Name     string     `json:"name" jsonx:"null"`
	PIDs     []int32    `json:"pids"`               // of its processes in the initial PID namespace, ascending
	Image    string     `json:"image" jsonx:"null"` // as the runtime knows it
	Evidence []Evidence `json:"evidence"`
}

// A Process is a thread group. Fields that could not be read are zero, and a Gap says
// why; fields that do not apply are zero too.
type Process struct {
	PID            int32              `json:"pid"`
	PPID           int32              `json:"ppid" jsonx:"null=-1"` // of the real parent; -1 if it can't be read
	Comm           string             `json:"comm"`
	Args           []string           `json:"args"`
	ArgSecrets     []ArgSecret        `json:"argSecrets"` // what Args hide, or would hide
	Env            []Secret           `json:"env"`
	Exe            string             `json:"exe" jsonx:"null"` // empty for kernel threads and zombies
	Cwd            string             `json:"cwd" jsonx:"null"` // empty for zombies
	State          linux.State        `json:"state"`
	KernelThread   bool               `json:"kernelThread"`
	Cred           *linux.Cred        `json:"cred" jsonx:"inline"`      // nil if it can't be read
	StartTime      time.Time          `json:"startTime"`                // zero if the boot time is not known
	Threads        []Thread           `json:"threads"`                  // the leader and the others, by ascending TID
	Cgroup         string             `json:"cgroup" jsonx:"null"`      // path of the one of Cgroups that tells most: of a container or a pod, or else the last
	PodUID         string             `json:"podUID" jsonx:"null"`      // from Cgroup, as is ContainerID
	ContainerID    string             `json:"containerID" jsonx:"null"` // of a container or a sandbox
	Cgroups        []linux.CgroupPath `json:"cgroups"`                  // v1's by descending number, then v2's
	Namespaces     linux.Namespaces   `json:"namespaces"`
	NamespacedPIDs []int32            `json:"namespacedPIDs"` // in each PID namespace, from the initial one to its own
	FDs            []linux.FD         `json:"fds"`
	Sources        linux.TaskSources  `json:"sources"` // which views of the set of tasks have it
	Address        vmem.VirtAddr      `json:"address"` // of the task_struct
}

// A Thread is a task of a process.
type Thread struct {
	TID       int32     `json:"tid"`
	Comm      string    `json:"comm"`
	StartTime time.Time `json:"startTime"` // zero if the boot time is not known
}

// A Source says where a value comes from.
type Source = claim.Origin

// The sources of what is known about pods, in the order in which they are believed; package
// claim says what each is.
const (
	FromCgroup         = claim.FromCgroup
	FromMount          = claim.FromMount
	FromLogFile        = claim.FromLogFile
	FromLogFileAlone   = claim.FromLogFileAlone
	FromMetadata       = claim.FromMetadata
	FromMetadataPage   = claim.FromMetadataPage
	FromMetadataMemory = claim.FromMetadataMemory
	FromLogPathMemory  = claim.FromLogPathMemory
	HintShim           = claim.HintShim
	HintUTSName        = claim.HintUTSName
)

// Evidence is what one source says of one field.
type Evidence struct {
	Field  string `json:"field"` // as the JSON calls it: uid, qos, namespace, name, sandboxID, id, image
	Value  string `json:"value"`
	Source Source `json:"source"`
	PID    int32  `json:"pid"` // the process in which it was found: of the pod, or the runtime's
}
