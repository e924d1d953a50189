package diff

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
)

func field(name string, value any) Field {
	text := fmt.Sprint(value)
	return Field{Name: name, Before: text}
}

// podKey is what makes a pod the same: its UID, or of other boots its name.
func (d *differ) podKey(p Pod) string {
	if d.boot || p.Name == "" {
		return p.UID
	}
	return p.Namespace + "/" + p.Name
}

func comparePods(d *differ) {
	d.compare(comparison{kind: Pods, needs: findings.Needs{Processes: true}, counted: true, of: func(s side) (all []object) {
		for i := range s.Pods {
			p := &s.Pods[i]
			pod := Pod{p.UID, p.Namespace, p.Name}
			all = append(all, object{key: d.podKey(pod), pod: pod, name: pod.String(), fields: []Field{field("qos", p.QoS), field("name", p.Name), field("namespace", p.Namespace)}})
		}
		return all
	}})
}

func compareContainers(d *differ) {
	d.compare(comparison{kind: Containers, needs: findings.Needs{Processes: true}, counted: true, of: func(s side) (all []object) {
		for i := range s.Pods {
			p := &s.Pods[i]
			for k := range p.Containers {
				c := &p.Containers[k]
				pod := Pod{p.UID, p.Namespace, p.Name}
				id := key(d.podKey(pod), c.Name)
				if d.boot && c.ID != "" {
					id = c.ID
				}
				state := "running"
				if len(c.PIDs) == 0 {
					state = "without processes"
				}
				all = append(all, object{key: id, pod: pod, container: c.Name, name: c.Name, fields: []Field{field("image", c.Image), field("state", state)}})
			}
		}
		return all
	}})
}

func (s side) containerName(id string) string { return s.index.OfContainer("", id).Container }

// processKey is what makes a process the same: the kernel's numbers, or of other boots what it runs where.
func (d *differ) processKey(p *cos.Process, pod Pod, container string) string {
	if d.boot {
		return key(fmt.Sprint(p.PID), p.StartTime.UTC().Format(time.RFC3339Nano))
	}
	return key(d.podKey(pod), container, p.Exe, firstOf(p.Args))
}

// passing reports whether a process says nothing by coming or going: workers of the kernel do as there is work, and of other boots which
// threads a kernel has depends on its version and its devices.
func (d *differ) passing(p *cos.Process) bool {
	return p.KernelThread && (!d.boot || strings.HasPrefix(p.Comm, "kworker/"))
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func compareProcesses(d *differ) {
	d.compare(comparison{kind: Processes, needs: findings.Needs{Processes: true}, counted: true, notable: notableProcess, of: func(s side) (all []object) {
		for i := range s.Processes {
			p := &s.Processes[i]
			if d.passing(p) {
				continue
			}
			pod, container := s.pod(p.PodUID), s.containerName(p.ContainerID)
			o := object{key: d.processKey(p, pod, container), pod: pod, container: container, name: fmt.Sprintf("%d %s", p.PID, p.Comm), addr: p.Address}
			o.fields = []Field{field("program", p.Exe), field("name", p.Comm)}
			if p.Cred != nil {
				o.fields = append(o.fields, field("uid", p.Cred.UID), field("euid", p.Cred.EUID))
			} else {
				o.fields = append(o.fields, field("uid", ""), field("euid", ""))
			}
			if d.boot {
				o.fields = append(o.fields, field("parent", p.PPID), field("cgroup", p.Cgroup), field("views", p.Sources&linux.LeaderSources), number("mount namespace", p.Namespaces.Mnt), number("PID namespace", p.Namespaces.PID),
					number("network namespace", p.Namespaces.Net), number("user namespace", p.Namespaces.User))
			}
			all = append(all, o)
		}
		return all
	}})
}

// number is a field that is 0 where it is not known.
func number(name string, v uint32) Field {
	if v == 0 {
		return Field{Name: name}
	}
	return field(name, v)
}

func notableProcess(f Field) string {
	switch {
	case (f.Name == "euid" || f.Name == "uid") && f.After == "0":
		return "it became root"
	case strings.HasSuffix(f.Name, "namespace"):
		return "it has moved to another " + f.Name
	case f.Name == "cgroup":
		return "it has moved to another cgroup"
	case f.Name == "views":
		return "a view of the kernel has lost it, or has it again"
	}
	return ""
}

func compareSockets(d *differ) {
	needs := findings.Needs{Processes: true, Sections: cos.SectionNetwork}
	d.compare(comparison{kind: Listeners, needs: needs, of: func(s side) []object { return s.sockets(d, true) }})
	if !d.boot {
		d.out.Unknown = append(d.out.Unknown, Unknown{Kind: Flows, Reason: "connections are compared within one boot alone"})
		return
	}
	d.compare(comparison{kind: Flows, needs: needs, of: func(s side) []object { return s.sockets(d, false) }})
}

func (s side) sockets(d *differ, listening bool) (all []object) {
	for i := range s.Network.Sockets {
		k := &s.Network.Sockets[i]
		if k.Family != socket.Inet && k.Family != socket.Inet6 || (k.State == socket.Listen) != listening || !listening && k.State != socket.Established {
			continue
		}
		pod := s.pod(k.PodUID)
		o := object{pod: pod, container: s.containerName(k.ContainerID), addr: k.Addr}
		owner := ""
		for _, w := range k.Owners {
			if p := s.index.Process(w.PID); p != nil {
				owner = path.Base(p.Exe)
				break
			}
		}
		o.fields = []Field{field("program", owner)}
		o.name = fmt.Sprintf("%s %v:%d", k.Protocol, k.LocalAddress, k.LocalPort)
		if !listening {
			o.name += fmt.Sprintf(" -> %v:%d", k.RemoteAddress, k.RemotePort)
		}
		o.key = key(d.podKey(pod), o.name)
		all = append(all, o)
	}
	return all
}

func compareDevices(d *differ) {
	d.compare(comparison{kind: Devices, needs: findings.Needs{Sections: cos.SectionNetwork}, of: func(s side) (all []object) {
		for i := range s.Network.Namespaces {
			ns := &s.Network.Namespaces[i]
			pod := s.pod(ns.PodUID)
			where := d.podKey(pod)
			if ns.PodUID == "" && !ns.Initial {
				if !d.boot {
					continue // there is no name by which it could be told again
				}
				where = fmt.Sprint(ns.Inum)
			}
			for _, v := range ns.Devices {
				if !d.boot && ns.Initial && v.Kind == "veth" {
					continue // named at random
				}
				all = append(all, object{key: key(where, v.Name), pod: pod, name: v.Name, addr: v.Addr, fields: []Field{field("kind", v.Kind), field("flags", v.Flags), field("promiscuity", v.Promiscuity)}})
			}
		}
		return all
	}})
}
