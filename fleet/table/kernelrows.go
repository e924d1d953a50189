package table

import (
	"slices"

	"github.com/nodelens/nodelens/fleet"
)

// A SocketRow is a socket: of the section network.
type SocketRow struct {
	Head
	Family        string  `parquet:"family"`
	Type          string  `parquet:"type"`
	Protocol      string  `parquet:"protocol"`
	State         string  `parquet:"state"`
	LocalAddress  string  `parquet:"local_address,optional"`
	LocalPort     int64   `parquet:"local_port"`
	RemoteAddress string  `parquet:"remote_address,optional"`
	RemotePort    int64   `parquet:"remote_port"`
	Path          string  `parquet:"path,optional"` // of a unix socket
	PathBytes     []byte  `parquet:"path_bytes,optional"`
	PIDs          []int32 `parquet:"pids,list"` // of processes that have it open
	NetNS         int64   `parquet:"netns"`
	PodUID        string  `parquet:"pod_uid,optional"`
	Pod           string  `parquet:"pod,optional"`
	ContainerID   string  `parquet:"container_id,optional"`
	PeerPod       string  `parquet:"peer_pod,optional"` // at the other end, where that is on the node
	Address       string  `parquet:"address"`           // of struct sock
}

func socketRows(n *node, yield func(SocketRow)) {
	if n.report == nil || n.report.Network == nil {
		return
	}
	for i := range n.report.Network.Sockets {
		s := &n.report.Network.Sockets[i]
		row := SocketRow{
			Head: n.Head, Family: fleet.Text(s.Family.String()), Type: fleet.Text(s.Type.String()), Protocol: fleet.Text(s.Protocol), State: fleet.Text(s.State.String()),
			LocalAddress: fleet.Text(s.LocalAddress.String()), LocalPort: int64(s.LocalPort), RemoteAddress: fleet.Text(s.RemoteAddress.String()), RemotePort: int64(s.RemotePort),
			Path: fleet.Text(s.Path), PathBytes: exact(s.Path), NetNS: int64(s.NetNS), PodUID: fleet.Text(s.PodUID), Pod: n.pod(s.PodUID),
			ContainerID: fleet.Text(s.ContainerID), PeerPod: n.pod(s.PeerPodUID), Address: address(s.Addr),
		}
		for _, o := range s.Owners {
			if !slices.Contains(row.PIDs, o.PID) {
				row.PIDs = append(row.PIDs, o.PID)
			}
		}
		yield(row)
	}
}

// A ModuleRow is a module of the kernel: of the section modules.
type ModuleRow struct {
	Head
	Name       string `parquet:"name"`
	NameBytes  []byte `parquet:"name_bytes,optional"`
	Size       int64  `parquet:"size"`
	State      string `parquet:"state"`
	Taints     string `parquet:"taints,optional"`
	BuildID    string `parquet:"build_id,optional"`
	SrcVersion string `parquet:"srcversion,optional"`
	Hidden     bool   `parquet:"hidden"` // views that hold every module lack it
	Address    string `parquet:"address"`
}

func moduleRows(n *node, yield func(ModuleRow)) {
	if n.report == nil {
		return
	}
	for i := range n.report.Modules {
		m := &n.report.Modules[i]
		yield(ModuleRow{
			Head: n.Head, Name: fleet.Text(m.Name), NameBytes: exact(m.Name), Size: int64(m.Size), State: fleet.Text(m.State.String()), Taints: fleet.Text(m.Taints.String()),
			BuildID: fleet.Text(m.BuildID), SrcVersion: fleet.Text(m.SrcVersion), Hidden: m.Hidden(), Address: address(m.Address),
		})
	}
}

// A BPFRow is a BPF program: of the section bpf.
type BPFRow struct {
	Head
	ID          int64    `parquet:"id,optional"`
	Type        string   `parquet:"type"`
	Name        string   `parquet:"name,optional"`
	NameBytes   []byte   `parquet:"name_bytes,optional"`
	FullName    string   `parquet:"full_name,optional"`
	Tag         string   `parquet:"tag"` // digest of its instructions
	LoadedAt    int64    `parquet:"loaded_at,optional,timestamp(microsecond)"`
	UID         *int64   `parquet:"uid,optional"`
	AttachedTo  []string `parquet:"attached_to,list"` // KIND TARGET
	PIDs        []int32  `parquet:"pids,list"`        // of processes that have it open
	Pins        []string `parquet:"pins,list"`
	PodUID      string   `parquet:"pod_uid,optional"`
	Pod         string   `parquet:"pod,optional"`
	ContainerID string   `parquet:"container_id,optional"`
	Hidden      bool     `parquet:"hidden"`
	Address     string   `parquet:"address"`
}

func bpfRows(n *node, yield func(BPFRow)) {
	if n.report == nil || n.report.BPF == nil {
		return
	}
	for i := range n.report.BPF.Programs {
		p := &n.report.BPF.Programs[i]
		row := BPFRow{
			Head: n.Head, ID: int64(p.ID), Type: fleet.Text(p.Type.String()), Name: fleet.Text(p.Name), NameBytes: exact(p.Name), FullName: fleet.Text(p.FullName), Tag: fleet.Text(p.Tag),
			LoadedAt: micros(p.LoadTime), Pins: texts(p.Pins), PodUID: fleet.Text(p.PodUID), Pod: n.pod(p.PodUID), ContainerID: fleet.Text(p.ContainerID), Hidden: p.Hidden, Address: address(p.Address),
		}
		if p.UID >= 0 {
			row.UID = &p.UID
		}
		for _, a := range p.Attachments {
			row.AttachedTo = append(row.AttachedTo, fleet.Text(a.Kind+" "+a.Target))
		}
		for _, o := range p.Owners {
			if !slices.Contains(row.PIDs, o.PID) {
				row.PIDs = append(row.PIDs, o.PID)
			}
		}
		yield(row)
	}
}

// A FindingRow is something that is wrong.
type FindingRow struct {
	Head
	Key         string `parquet:"key"`
	Rule        string `parquet:"rule"`
	Title       string `parquet:"title"`
	Severity    string `parquet:"severity"`
	Confidence  string `parquet:"confidence"`
	Namespace   string `parquet:"namespace,optional"`
	Pod         string `parquet:"pod,optional"` // NAMESPACE/NAME
	Container   string `parquet:"container,optional"`
	Image       string `parquet:"image,optional"`
	PID         int32  `parquet:"pid,optional"`
	Comm        string `parquet:"comm,optional"`
	Object      string `parquet:"object,optional"`
	ObjectBytes []byte `parquet:"object_bytes,optional"`
	Summary     string `parquet:"summary"`
	Accepted    bool   `parquet:"accepted"`
}

func findingRows(n *node, yield func(FindingRow)) {
	if n.found == nil {
		return
	}
	for i := range n.found.Findings {
		f := &n.found.Findings[i]
		yield(FindingRow{
			Head: n.Head, Key: fleet.Text(f.Key), Rule: fleet.Text(f.Rule), Title: fleet.Text(f.Title), Severity: f.Severity.String(), Confidence: f.Confidence.String(),
			Namespace: fleet.Text(f.Subject.Namespace), Pod: n.pod(f.Subject.PodUID), Container: fleet.Text(f.Subject.Container), Image: fleet.Text(f.Subject.Image), PID: f.Subject.PID,
			Comm: fleet.Text(f.Subject.Comm), Object: fleet.Text(f.Object), ObjectBytes: exact(f.Object), Summary: fleet.Text(f.Summary), Accepted: f.Accepted != nil,
		})
	}
}

// A GapRow is something that was lost, or a rule that could not run.
type GapRow struct {
	Head
	Kind   string `parquet:"kind"`   // report, or rule
	Object string `parquet:"object"` // what was lost, or the rule
	Place  string `parquet:"place,optional"`
	Reason string `parquet:"reason,optional"` // a code of vmem.Reason
	Error  string `parquet:"error,optional"`
}

func gapRows(n *node, yield func(GapRow)) {
	if n.report == nil {
		return
	}
	for _, g := range n.report.Gaps {
		row := GapRow{Head: n.Head, Kind: "report", Object: fleet.Text(g.Object), Place: fleet.Text(g.Place.String()), Reason: reason(g)}
		if g.Err != nil {
			row.Error = fleet.Text(g.Err.Error())
		}
		yield(row)
	}
	for _, c := range n.found.NotChecked {
		yield(GapRow{Head: n.Head, Kind: "rule", Object: fleet.Text(c.Rule), Error: fleet.Text(c.Reason)})
	}
}
