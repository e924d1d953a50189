package table

import (
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/fleet"
)

// A NodeRow is an image, and what became of it.
type NodeRow struct {
	Head
	Status        string `parquet:"status"`         // whole, not-whole or failed
	Cause         string `parquet:"cause,optional"` // of the failure
	Reason        string `parquet:"reason,optional"`
	HostnameBytes []byte `parquet:"node_bytes,optional"`
	Labels        string `parquet:"labels"` // of the item, an object of JSON
	ImageSize     int64  `parquet:"image_size,optional"`
	Format        string `parquet:"format,optional"`
	KernelRelease string `parquet:"kernel_release,optional"`
	KernelBanner  string `parquet:"kernel_banner,optional"`
	BootedAt      int64  `parquet:"booted_at,optional,timestamp(microsecond)"`
	Sections      string `parquet:"sections,optional"` // that were read, separated by commas
	Losses        int32  `parquet:"losses"`
	Version       string `parquet:"analyser_version"`
}

func nodeRows(n *node, yield func(NodeRow)) {
	row := NodeRow{Head: n.Head, Status: string(n.result.Status), ImageSize: n.result.Image.Size, Losses: int32(n.result.Losses), Version: fleet.Text(n.result.Analyser.Version)}
	labels := map[string]string{}
	for name, value := range n.result.Item.Labels {
		labels[fleet.Text(name)] = fleet.Text(value)
	}
	row.Labels = inJSON(labels)
	if f := n.result.Failure; f != nil {
		row.Cause, row.Reason = string(f.Cause), fleet.Text(f.Reason)
	}
	if r := n.report; r != nil {
		row.HostnameBytes, row.Format = exact(r.Hostname), fleet.Text(r.Provenance.Format)
		row.KernelRelease, row.KernelBanner, row.BootedAt = fleet.Text(r.Kernel.Release), fleet.Text(r.Kernel.Banner), micros(r.BootTime)
		row.Sections = sections(r).String()
	}
	yield(row)
}

// sections returns which sections a report has.
func sections(r *cos.NodeReport) (s cos.Sections) {
	for section, has := range map[cos.Sections]bool{
		cos.SectionNetwork: r.Network != nil, cos.SectionHooks: r.Hooks != nil, cos.SectionBPF: r.BPF != nil, cos.SectionModules: r.Modules != nil,
		cos.SectionLog: r.Log != nil, cos.SectionKernel: r.Kernel.Settings != nil, cos.SectionContainers: r.Containers != nil, cos.SectionFiles: r.Files != nil,
		cos.SectionSecurity: r.Security != nil, cos.SectionMemory: r.Memory != nil, cos.SectionMaps: r.Maps != nil,
	} {
		if has {
			s |= section
		}
	}
	return s
}

// A PodRow is a pod.
type PodRow struct {
	Head
	UID       string   `parquet:"uid"`
	Namespace string   `parquet:"namespace,optional"`
	Name      string   `parquet:"name,optional"`
	QoS       string   `parquet:"qos,optional"`
	SandboxID string   `parquet:"sandbox_id,optional"`
	IPs       []string `parquet:"ips,list"`
	Host      bool     `parquet:"host_network"` // known only where the section network was read
}

func podRows(n *node, yield func(PodRow)) {
	if n.report == nil {
		return
	}
	networks := map[string]*cos.PodNetwork{}
	if n.report.Network != nil {
		for i := range n.report.Network.Pods {
			networks[n.report.Network.Pods[i].UID] = &n.report.Network.Pods[i]
		}
	}
	for i := range n.report.Pods {
		p := &n.report.Pods[i]
		row := PodRow{Head: n.Head, UID: fleet.Text(p.UID), Namespace: fleet.Text(p.Namespace), Name: fleet.Text(p.Name), QoS: string(p.QoS), SandboxID: fleet.Text(p.SandboxID)}
		if net := networks[p.UID]; net != nil {
			row.IPs, row.Host = texts(net.IPs), net.Host
		}
		yield(row)
	}
}

// A ContainerRow is a container of a pod, but for its sandbox.
type ContainerRow struct {
	Head
	ID         string   `parquet:"id,optional"`
	PodUID     string   `parquet:"pod_uid"`
	Pod        string   `parquet:"pod,optional"` // NAMESPACE/NAME
	Name       string   `parquet:"name,optional"`
	Image      string   `parquet:"image,optional"`
	Processes  int32    `parquet:"processes"`
	Violations []string `parquet:"violations,list"` // of the Pod Security Standards: LEVEL/CHECK; of the section containers
}

func containerRows(n *node, yield func(ContainerRow)) {
	if n.report == nil {
		return
	}
	details := map[string]*cos.ContainerDetail{}
	for i := range n.report.Containers {
		details[n.report.Containers[i].ID] = &n.report.Containers[i]
	}
	for i := range n.report.Pods {
		p := &n.report.Pods[i]
		for j := range p.Containers {
			c := &p.Containers[j]
			row := ContainerRow{Head: n.Head, ID: fleet.Text(c.ID), PodUID: fleet.Text(p.UID), Pod: n.pod(p.UID), Name: fleet.Text(c.Name), Image: fleet.Text(c.Image), Processes: int32(len(c.PIDs))}
			if d := details[c.ID]; d != nil && c.ID != "" {
				for _, v := range d.Violations {
					row.Violations = append(row.Violations, v.Level+"/"+v.Check)
				}
			}
			yield(row)
		}
	}
}

// A ProcessRow is a process.
type ProcessRow struct {
	Head
	PID          int32    `parquet:"pid"`
	PPID         int32    `parquet:"ppid"` // -1 where it is not known
	Comm         string   `parquet:"comm"`
	CommBytes    []byte   `parquet:"comm_bytes,optional"`
	Args         []string `parquet:"args,list"`
	ArgsBytes    []byte   `parquet:"args_bytes,optional"` // all of them, a NUL behind each
	Exe          string   `parquet:"exe,optional"`
	ExeBytes     []byte   `parquet:"exe_bytes,optional"`
	Cwd          string   `parquet:"cwd,optional"`
	CwdBytes     []byte   `parquet:"cwd_bytes,optional"`
	State        string   `parquet:"state"`
	KernelThread bool     `parquet:"kernel_thread"`
	UID          *int64   `parquet:"uid,optional"`
	EUID         *int64   `parquet:"euid,optional"`
	GID          *int64   `parquet:"gid,optional"`
	StartedAt    int64    `parquet:"started_at,optional,timestamp(microsecond)"`
	Threads      int32    `parquet:"threads"`
	Cgroup       string   `parquet:"cgroup,optional"`
	PodUID       string   `parquet:"pod_uid,optional"`
	Pod          string   `parquet:"pod,optional"`
	ContainerID  string   `parquet:"container_id,optional"`
	NotIn        []string `parquet:"missing_from,list"` // of the kernel's lists of processes, those that should have it and have not: it is hidden
	Address      string   `parquet:"address"`           // of its task_struct
}

func processRows(n *node, yield func(ProcessRow)) {
	if n.report == nil {
		return
	}
	views := n.report.Views()
	for i := range n.report.Processes {
		p := &n.report.Processes[i]
		row := ProcessRow{
			Head: n.Head, PID: p.PID, PPID: p.PPID, Comm: fleet.Text(p.Comm), CommBytes: exact(p.Comm), Args: texts(p.Args),
			Exe: fleet.Text(p.Exe), ExeBytes: exact(p.Exe), Cwd: fleet.Text(p.Cwd), CwdBytes: exact(p.Cwd), State: fleet.Text(p.State.String()), KernelThread: p.KernelThread,
			StartedAt: micros(p.StartTime), Threads: int32(len(p.Threads)), Cgroup: fleet.Text(p.Cgroup), PodUID: fleet.Text(p.PodUID), Pod: n.pod(p.PodUID),
			ContainerID: fleet.Text(p.ContainerID), NotIn: views.Listed(p), Address: address(p.Address),
		}
		if joined := strings.Join(p.Args, ""); exact(joined) != nil {
			row.ArgsBytes = []byte(strings.Join(p.Args, "\x00") + "\x00")
		}
		if c := p.Cred; c != nil {
			row.UID, row.EUID, row.GID = id(c.UID), id(c.EUID), id(c.GID)
		}
		yield(row)
	}
}

// id returns a user or group for a column that can be null.
func id(n uint32) *int64 {
	v := int64(n)
	return &v
}

// A DescriptorRow is an open file.
type DescriptorRow struct {
	Head
	PID       int32  `parquet:"pid"`
	FD        int32  `parquet:"fd"`
	Path      string `parquet:"path,optional"`
	PathBytes []byte `parquet:"path_bytes,optional"`
	PodUID    string `parquet:"pod_uid,optional"`
	Pod       string `parquet:"pod,optional"`
	Address   string `parquet:"address,optional"` // of struct file
}

func descriptorRows(n *node, yield func(DescriptorRow)) {
	if n.report == nil {
		return
	}
	for i := range n.report.Processes {
		p := &n.report.Processes[i]
		for _, fd := range p.FDs {
			yield(DescriptorRow{Head: n.Head, PID: p.PID, FD: int32(fd.FD), Path: fleet.Text(fd.Path), PathBytes: exact(fd.Path), PodUID: fleet.Text(p.PodUID), Pod: n.pod(p.PodUID), Address: address(fd.Addr)})
		}
	}
}
