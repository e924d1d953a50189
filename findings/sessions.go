package findings

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// sessionRules are about who started a process, and what it talks to.
var sessionRules = []Rule{
	{
		ID: "process-shell-socket", Group: Processes, Severity: Critical, Techniques: []Technique{"T1059.004"},
		Title:   "A shell takes its commands from the network",
		Meaning: "The standard input of a shell is a connection. Somebody at its other end gives commands.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork}, Benign: []string{"a service that starts a shell for each connection, such as inetd"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perProcess(shellSocket),
	},
	{
		ID: "process-shell-relay", Group: Processes, Severity: High, Techniques: []Technique{"T1059.004"},
		Title:   "A shell takes its commands from a process with a connection",
		Meaning: "Input and output of a shell are pipes or a terminal of a process in the same container that is connected to another machine. Reverse shells that are more than one program look so.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork}, Benign: []string{causeBuild}, Next: "nodelens ss IMAGE --pod {pod}", Check: perProcess(shellRelay),
	},
	{
		ID: "process-shell-under-server", Group: Processes, Severity: Medium, Techniques: []Technique{"T1505.003", "T1190"},
		Title:   "A server started a shell",
		Meaning: "A shell runs below a server for web pages or data. Where the server was broken into, that is how its user gets on; some applications start commands themselves.",
		Needs:   Needs{Processes: true}, Benign: []string{causeBuild}, Next: "nodelens ps IMAGE --pod {pod}", Check: perProcess(shellUnderServer),
	},
	{
		ID: "process-exec-shell", Group: Processes, Severity: Medium, Techniques: []Technique{"T1609", "T1059.004"},
		Title:   "A shell was brought into a container",
		Meaning: "A shell in a container was not started by what runs there, but from outside, as kubectl exec does. An operator may be at work, or somebody with an operator's rights.",
		Needs:   Needs{Processes: true}, Benign: []string{causeOperator, "a probe that runs a command"}, Next: "nodelens ps IMAGE --pod {pod}", Check: perProcess(execShell),
	},
	{
		ID: "process-exec", Group: Processes, Severity: Low, Techniques: []Technique{"T1609"},
		Title:   "A program was brought into a container, and stays",
		Meaning: "A process in a container was started from outside, as kubectl exec does, and has run for more than a minute. Probes end sooner.",
		Needs:   Needs{Processes: true}, Benign: []string{causeOperator}, Next: "nodelens ps IMAGE --pod {pod}", Check: perProcess(execStays),
	},
	{
		ID: "process-traced", Group: Processes, Severity: Medium, Techniques: []Technique{"T1055.008"},
		Title:   "A process is held by a tracer",
		Meaning: "Another process has stopped it, and can read and change its memory. Debuggers do that, and programs that put code into others.",
		Needs:   Needs{Processes: true}, Benign: []string{causeDebugger}, Next: "nodelens ps IMAGE --pid {pid}", Check: perProcess(traced),
	},
	{
		ID: "process-foreign-memory", Group: Processes, Severity: High, Techniques: []Technique{"T1055.009", "T1003.007"},
		Title:   "A process has the memory of another open",
		Meaning: "A descriptor is open to the memory, the mappings or the environment of another process. By it passwords are read and code is changed.",
		Needs:   Needs{Processes: true}, Benign: []string{causeDebugger, causeAgent}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(foreignMemory),
	},
	{
		ID: "process-namespace-differs", Group: Processes, Severity: High, Techniques: []Technique{"T1611"},
		Title:   "A process of a container is in other namespaces than the container",
		Meaning: "It has left the container's view of files, processes or the network. Sandboxes and builds make namespaces of their own; intruders enter others'.",
		Needs:   Needs{Processes: true}, Benign: []string{"a sandbox or a build in the container"}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perProcess(namespaceDiffers),
	},
	{
		ID: "process-node-namespaces", Group: Processes, Severity: Critical, Techniques: []Technique{"T1611"},
		Title:   "A process of a container sees the node's files",
		Meaning: "It is counted to a container and is in the mount namespace of the node, where the container is not. It has left the container.",
		Needs:   Needs{Processes: true}, Benign: []string{causeAgent}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(nodeNamespaces),
	},
	{
		ID: "process-entered-container", Group: Processes, Severity: Medium, Techniques: []Technique{"T1609", "T1611"},
		Title:   "A process of the node has entered a container",
		Meaning: "It is in the mount or PID namespace of a container and counted to none. An operator uses nsenter so; who hides from limits and names of containers does, too.",
		Needs:   Needs{Processes: true}, Benign: []string{causeOperator, causeSealed}, Next: "nodelens ps IMAGE --pid {pid}", Check: perProcess(enteredContainer),
	},
}

// connected returns the connection to another machine that a process has at a descriptor, or at any for a negative one; nil where there is none.
func (n *Node) connected(p *cos.Process, number int) *cos.Socket {
	for _, s := range n.Sockets(p.PID) {
		ip := s.RemoteAddress.IP()
		if s.State != socket.Established || s.Family != socket.Inet && s.Family != socket.Inet6 || !ip.IsValid() || number < 0 && ip.IsLoopback() {
			continue
		}
		for _, o := range s.Owners {
			if o.PID == p.PID && (number < 0 || o.FD == number) {
				return s
			}
		}
	}
	return nil
}

func ofSocket(s *cos.Socket, field, value string) Evidence {
	return Evidence{Type: "sock", Addr: s.Addr, Field: field, Value: value}
}

// ends are both ends of a connection.
func ends(s *cos.Socket) string {
	return fmt.Sprintf("%s %v:%d -> %v:%d", s.Protocol, s.LocalAddress, s.LocalPort, s.RemoteAddress, s.RemotePort)
}

func shellSocket(n *Node, p *cos.Process, found func(Finding)) {
	if !isShell(p) {
		return
	}
	s := n.connected(p, 0)
	if s == nil {
		return
	}
	found(Finding{Confidence: Likely, Object: s.Addr.String(), Evidence: []Evidence{ofTask(p, "exe", p.Exe), ofSocket(s, "standard input", ends(s))}, Summary: "its standard input is " + ends(s)})
}

func shellRelay(n *Node, p *cos.Process, found func(Finding)) {
	if !isShell(p) || p.ContainerID == "" {
		return
	}
	in, out := fd(p, 0), fd(p, 1)
	if !strings.HasPrefix(in, "pipe:") || !strings.HasPrefix(out, "pipe:") {
		return
	}
	for _, other := range n.inContainer(p.ContainerID) {
		s := n.connected(other, -1)
		if other == p || s == nil || !holds(other, in) || !holds(other, out) {
			continue
		}
		found(Finding{Confidence: Likely, Object: s.Addr.String(), Evidence: []Evidence{ofTask(p, "standard input and output", in+", "+out), ofTask(other, "exe", other.Exe), ofSocket(s, "connection", ends(s))},
			Summary: fmt.Sprintf("PID %d has the other ends of its input and output, and is connected: %s", other.PID, ends(s))})
		return
	}
}

// holds reports whether a process has what a path names open beyond its own standard descriptors.
func holds(p *cos.Process, path string) bool {
	for i := range p.FDs {
		if p.FDs[i].Path == path && p.FDs[i].FD > 2 {
			return true
		}
	}
	return false
}

// inContainer returns the processes of a container.
func (n *Node) inContainer(id string) []*cos.Process { return n.members[id] }

// servers are programs that answer requests, in which a shell is not what they are for.
var servers = regexp.MustCompile(`^(nginx|httpd|apache2?|lighttpd|caddy|php-fpm[\d.]*|php[\d.]*|java|node|nodejs|uwsgi|gunicorn|puma|unicorn|postgres|mysqld|mariadbd|redis-server|mongod|memcached|tomcat\S*|w3wp|dotnet)$`)

// runsScripts matches programs that a server's interpreter runs to start an application by a shell, as "npm start" does.
var runsScripts = regexp.MustCompile(`\b(npm|npx|yarn|pnpm|corepack|lerna|nx|turbo|pm2|nodemon|artisan|composer)\b`)

// maxAncestors bounds the walk to the ancestors of a process.
const maxAncestors = 64

func shellUnderServer(n *Node, p *cos.Process, found func(Finding)) {
	if !isShell(p) {
		return
	}
	parent := n.Process(p.PPID)
	for range maxAncestors {
		if parent == nil || parent.ContainerID != p.ContainerID {
			return
		}
		if servers.MatchString(called(parent)) && !runsScripts.MatchString(strings.Join(parent.Args[:min(len(parent.Args), 2)], " ")) {
			found(Finding{Confidence: Possible, Evidence: []Evidence{ofTask(p, "exe", p.Exe), ofTask(parent, "exe", parent.Exe)}, Summary: fmt.Sprintf("PID %d, %s, is above it", parent.PID, quote(called(parent)))})
			return
		}
		parent = n.Process(parent.PPID)
	}
}

// brought reports whether a process was brought into its container from outside: it is not the first there, and its parent is not of it.
func (n *Node) brought(p *cos.Process) bool {
	first := n.Init(p.ContainerID)
	if p.ContainerID == "" || first == nil || first == p || p.State == linux.Zombie || n.startsContainer(p) {
		return false
	}
	parent := n.Process(p.PPID)
	return parent != nil && parent.Cgroup != "" && parent.ContainerID != p.ContainerID && !n.Sandbox(p.PodUID, parent.ContainerID)
}

func execShell(n *Node, p *cos.Process, found func(Finding)) {
	if !n.brought(p) || !isShell(p) {
		return
	}
	severity, confidence, terminal := Medium, Likely, "none"
	switch in := fd(p, 0); {
	case strings.HasPrefix(in, "/dev/pts/"):
		confidence, terminal = Certain, in
	case n.probe(p, in):
		severity, confidence = Low, Possible
	}
	found(Finding{Severity: severity, Confidence: confidence, Evidence: []Evidence{ofTask(p, "exe", p.Exe), ofTask(p, "parent", fmt.Sprint(p.PPID)), ofTask(p, "terminal", terminal)},
		Summary: fmt.Sprintf("its parent, PID %d, is not in the container", p.PPID)})
}

// probe reports whether a process looks as a probe that runs a command does: it has just begun, has its command as an argument, and nobody types into it.
func (n *Node) probe(p *cos.Process, in string) bool {
	now := n.Now()
	return in == "/dev/null" && len(p.Args) > 2 && p.Args[1] == "-c" && !now.IsZero() && !p.StartTime.IsZero() && now.Sub(p.StartTime) < probeLife
}

// probeLife is how long a probe that runs a command may take, more than nearly all do.
const probeLife = time.Minute

func execStays(n *Node, p *cos.Process, found func(Finding)) {
	now := n.Now()
	if !n.brought(p) || isShell(p) || p.StartTime.IsZero() || now.IsZero() || now.Sub(p.StartTime) < probeLife {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{ofTask(p, "exe", p.Exe), ofTask(p, "parent", fmt.Sprint(p.PPID)), ofTask(p, "start time", p.StartTime.UTC().Format(time.RFC3339))},
		Summary: fmt.Sprintf("its parent, PID %d, is not in the container", p.PPID)})
}

func traced(_ *Node, p *cos.Process, found func(Finding)) {
	if p.State == linux.TracingStop {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofTask(p, "state", p.State.String())}, Summary: "it is stopped by a tracer"})
	}
}

var processFile = regexp.MustCompile(`^/proc/(\d+)/(?:task/\d+/)?(mem|maps|smaps|environ|pagemap|auxv)$`)

func foreignMemory(n *Node, p *cos.Process, found func(Finding)) {
	for i := range p.FDs {
		if !strings.HasPrefix(p.FDs[i].Path, "/proc/") {
			continue
		}
		m := processFile.FindStringSubmatch(p.FDs[i].Path)
		if m == nil || n.ownNumber(p, m[1]) {
			continue
		}
		severity := High
		if m[2] != "mem" && m[2] != "environ" {
			severity = Medium
		}
		found(Finding{Severity: severity, Confidence: Certain, Object: p.FDs[i].Path, Evidence: []Evidence{ofFile(&p.FDs[i], p.FDs[i].Path)}, Summary: fmt.Sprintf("descriptor %d is open to %s", p.FDs[i].FD, p.FDs[i].Path)})
	}
}

// ownNumber reports whether a number is a PID or TID of a process in any of its PID namespaces.
func (n *Node) ownNumber(p *cos.Process, number string) bool {
	for _, pid := range p.NamespacedPIDs {
		if fmt.Sprint(pid) == number {
			return true
		}
	}
	for _, t := range p.Threads {
		if fmt.Sprint(t.TID) == number {
			return true
		}
	}
	return fmt.Sprint(p.PID) == number
}

func namespaceDiffers(n *Node, p *cos.Process, found func(Finding)) {
	first := n.Init(p.ContainerID)
	if first == nil || first == p || p.State == linux.Zombie || first.State == linux.Zombie || n.startsContainer(p) {
		return
	}
	var evidence []Evidence
	for _, ns := range []struct {
		name        string
		mine, first uint32
	}{{"mnt", p.Namespaces.Mnt, first.Namespaces.Mnt}, {"pid", p.Namespaces.PID, first.Namespaces.PID}, {"net", p.Namespaces.Net, first.Namespaces.Net}, {"user", p.Namespaces.User, first.Namespaces.User}} {
		if ns.mine != 0 && ns.first != 0 && ns.mine != ns.first {
			evidence = append(evidence, ofTask(p, "namespace "+ns.name, fmt.Sprint(ns.mine)), ofTask(first, "namespace "+ns.name, fmt.Sprint(ns.first)))
		}
	}
	if evidence != nil {
		found(Finding{Confidence: Certain, Evidence: evidence, Summary: fmt.Sprintf("the container's first process, PID %d, is in others", first.PID)})
	}
}

// nodeInit returns process 1; nil where it is not there.
func (n *Node) nodeInit() *cos.Process { return n.Process(1) }

func nodeNamespaces(n *Node, p *cos.Process, found func(Finding)) {
	node, first := n.nodeInit(), n.Init(p.ContainerID)
	if node == nil || p.ContainerID == "" || p.Namespaces.Mnt == 0 || p.Namespaces.Mnt != node.Namespaces.Mnt || n.startsContainer(p) {
		return
	}
	f := Finding{Confidence: Certain, Evidence: []Evidence{ofTask(p, "namespace mnt", fmt.Sprint(p.Namespaces.Mnt)), ofTask(p, "cgroup", p.Cgroup)}, Summary: "it is in the node's mount namespace"}
	if first == nil || first == p || first.Namespaces.Mnt == p.Namespaces.Mnt {
		f.Confidence = Likely
	}
	found(f)
}

func enteredContainer(n *Node, p *cos.Process, found func(Finding)) {
	node := n.nodeInit()
	if node == nil || p.Cgroup == "" || p.ContainerID != "" || p.PodUID != "" || p.KernelThread || p.State == linux.Zombie {
		return
	}
	for id, first := range n.inits {
		if (first.Namespaces.Mnt == 0 || first.Namespaces.Mnt == node.Namespaces.Mnt || first.Namespaces.Mnt != p.Namespaces.Mnt) &&
			(first.Namespaces.PID == 0 || first.Namespaces.PID == node.Namespaces.PID || first.Namespaces.PID != p.Namespaces.PID) {
			continue
		}
		found(Finding{Confidence: Certain, Object: id, Benign: []Benign{{causeSealed, n.sealedRuntime(p)}},
			Evidence: []Evidence{ofTask(p, "namespace mnt", fmt.Sprint(p.Namespaces.Mnt)), ofTask(p, "namespace pid", fmt.Sprint(p.Namespaces.PID)), ofTask(p, "cgroup", p.Cgroup)},
			Summary:  fmt.Sprintf("it is in namespaces of container %s", id)})
		return
	}
}
