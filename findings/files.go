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

func fileRules() []Rule {
	all := descriptorRules
	for _, d := range descriptorSigns {
		all = append(all, Rule{ID: d.id, Group: Files, Title: d.title, Meaning: d.meaning, Severity: d.severity, Techniques: d.techniques, Benign: d.benign,
			Needs: Needs{Processes: true}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(d.look)})
	}
	return all
}

var descriptorRules = []Rule{
	{
		ID: "file-runtime-socket", Group: Files, Severity: Critical, Techniques: []Technique{"T1610", "T1611"},
		Title:   "A process in a pod talks to the container runtime",
		Meaning: "It is connected to the socket of containerd, CRI-O or Docker. Who can talk to it can start a container with all rights, and so owns the node.",
		Needs:   Needs{Processes: true, Sections: cos.SectionNetwork}, Benign: []string{causeAgent, "a build of images"}, Next: "nodelens ss IMAGE --pid {pid}", Check: perSocket(runtimeSocket),
	},
	{
		ID: "file-other-pods-secrets", Group: Files, Severity: Critical, Techniques: []Technique{"T1528", "T1552.007"},
		Title:   "A process in a pod has another pod's secrets open",
		Meaning: "A descriptor is open to a secret, or the token of a service account, that the kubelet has mounted for another pod. With it one acts as that pod.",
		Needs:   Needs{Processes: true}, Benign: []string{causeAgent}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(otherSecrets),
	},
	{
		ID: "file-memory-device", Group: Files, Severity: Critical, Techniques: []Technique{"T1003.007"},
		Title:   "A process has the node's memory open",
		Meaning: "A descriptor is open to all of the machine's memory. Whoever captures an image does that, and whoever looks for secrets or changes the kernel.",
		Needs:   Needs{Processes: true}, Benign: []string{"the capture of this image"}, Next: "nodelens ps IMAGE --pid {pid}", Check: perProcess(memoryDevice),
	},
	{
		ID: "file-deleted-executable", Group: Files, Severity: Medium, Techniques: []Technique{"T1070.004"},
		Title:   "A pod holds a program that was deleted",
		Meaning: "A process in a pod has a file open or mapped that can be executed and is in no directory any more. Somebody put it there, ran it or will, and removed its name.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Next: "nodelens files IMAGE --pid {pid}", Check: perNameless(deletedExecutable),
	},
	{
		ID: "file-deleted-log", Group: Files, Severity: Low, Techniques: []Technique{"T1685.006", "T1070.003"},
		Title:   "A log or a history was deleted while it was open",
		Meaning: "A file of a log or of what was typed into a shell is in no directory any more, and still open. Rotation of logs does that at once; who hides leaves it so.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Benign: []string{"logs are rotated"}, Next: "nodelens files IMAGE --pid {pid}", Check: perNameless(deletedLog),
	},
	{
		ID: "file-deleted-hidden", Group: Files, Severity: Medium, Techniques: []Technique{"T1070.004", "T1564.001"},
		Title:   "A pod holds a hidden file that was deleted",
		Meaning: "A process in a pod has a file open whose name began with a dot and which is in no directory any more. Names like that are chosen so that nobody sees them.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Next: "nodelens files IMAGE --pid {pid}", Check: perNameless(deletedHidden),
	},
	{
		ID: "file-hidden-name", Group: Files, Severity: Medium, Techniques: []Technique{"T1564.001"},
		Title:   "A process in a pod has a file open whose name deceives",
		Meaning: "The path has a part of dots or spaces alone, or with characters that terminals obey or do not show. No program of an image needs such names.",
		Needs:   Needs{Processes: true}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(hiddenName),
	},
}

var runtimeSockets = regexp.MustCompile(`(^|/)(containerd/(containerd|s/[0-9a-f]{64})|docker|crio/crio|cri-dockerd|podman/podman)\.sock(\.ttrpc)?$|(^|/)containerd/s/[0-9a-f]{64}$`)

func runtimeSocket(n *Node, s *cos.Socket, found func(Finding)) {
	if s.Family != socket.Unix || s.PodUID == "" || s.Peer == 0 {
		return
	}
	peer := n.unix[s.Peer]
	if peer == nil || !runtimeSockets.MatchString(peer.Path) || peer.PodUID == s.PodUID {
		return
	}
	found(Finding{Confidence: Certain, Object: peer.Path, Evidence: []Evidence{ofSocket(s, "peer", fmt.Sprint(s.Peer)), ofSocket(peer, "path", peer.Path)}, Summary: "it is connected to " + quote(peer.Path)})
}

var podSecrets = regexp.MustCompile(`/pods/([^/]+)/volumes/kubernetes\.io~(secret|projected)/`)

func otherSecrets(_ *Node, p *cos.Process, found func(Finding)) {
	if p.PodUID == "" {
		return
	}
	for i := range p.FDs {
		if m := podSecrets.FindStringSubmatch(p.FDs[i].Path); m != nil && m[1] != p.PodUID {
			found(Finding{Confidence: Certain, Object: p.FDs[i].Path, Evidence: []Evidence{ofFile(&p.FDs[i], p.FDs[i].Path)}, Summary: "it has what is pod " + m[1] + "'s open"})
		}
	}
}

var (
	memoryDevices = regexp.MustCompile(`(^|/)(dev/(k?mem|port|crash|fmem)|proc/kcore|proc/vmcore)$`)
	captureTools  = regexp.MustCompile(`^(avml.*|capture|lime|dd|dcfldd|linpmem|winpmem|crash|drgn|makedumpfile|analyzenode|nodelens)$`)
)

// captureLife is how long before the image's time a capture may have begun.
const captureLife = 12 * time.Hour

func memoryDevice(n *Node, p *cos.Process, found func(Finding)) {
	for i := range p.FDs {
		if !hasAny(p.FDs[i].Path, []string{"dev/", "proc/"}) || !memoryDevices.MatchString(p.FDs[i].Path) {
			continue
		}
		// A name proves nothing: whoever has it is still told, as what may be the capture.
		f := Finding{Confidence: Certain, Object: p.FDs[i].Path, Evidence: []Evidence{ofFile(&p.FDs[i], p.FDs[i].Path), ofTask(p, "exe", p.Exe)}, Summary: "it has " + quote(p.FDs[i].Path) + " open"}
		if now := n.Now(); captureTools.MatchString(called(p)) && !now.IsZero() && now.Sub(p.StartTime) < captureLife {
			f.Severity, f.Confidence = High, Possible
		}
		found(f)
	}
}

// perNameless looks at each file without a name; what is found is of the first process in a pod that has it, or else of the first.
func perNameless(look func(f *cos.NamelessFile, found func(Finding))) check {
	return perNode(func(n *Node, found func(Finding)) {
		for i := range n.Report.Files.Nameless {
			f := &n.Report.Files.Nameless[i]
			if len(f.Holders) == 0 {
				continue
			}
			look(f, func(g Finding) {
				g.Subject, g.Object = n.ofHolder(f), f.Path
				found(g)
			})
		}
	})
}

func (n *Node) ofHolder(f *cos.NamelessFile) Subject {
	for _, h := range f.Holders {
		if p := n.Process(h.PID); p != nil && p.PodUID == f.PodUID {
			return n.OfProcess(p)
		}
	}
	return n.OfContainer(f.PodUID, f.ContainerID)
}

// isExe reports whether a file is the program of who holds it, of which other rules tell.
func isExe(f *cos.NamelessFile) bool {
	for _, h := range f.Holders {
		if h.How == "exe" {
			return true
		}
	}
	return false
}

// ofKernel reports whether a file is one that the kernel made without a name, such as shared memory.
func ofKernel(f *cos.NamelessFile) bool {
	return f.FSType == "tmpfs" && (strings.HasPrefix(f.Path, "/memfd:") || strings.HasPrefix(f.Path, "/SYSV") || strings.HasPrefix(f.Path, "/dev/zero"))
}

func deletedExecutable(f *cos.NamelessFile, found func(Finding)) {
	if f.PodUID == "" || f.Mode&0o111 == 0 || !f.IsRegular() || f.Size == 0 || isExe(f) || ofKernel(f) {
		return
	}
	found(Finding{Confidence: Certain, Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "mode", fmt.Sprintf("%#o", f.Mode)), ofInode(f, "size", fmt.Sprint(f.Size))}, Summary: "it holds " + quote(f.Path) + ", which can be executed"})
}

var logFile = regexp.MustCompile(`^/var/log/|/\.(ba|z|a)?sh_history \(deleted\)$|/\.(python|mysql|psql)_history \(deleted\)$`)

func deletedLog(f *cos.NamelessFile, found func(Finding)) {
	if f.IsRegular() && logFile.MatchString(f.Path) {
		found(Finding{Confidence: Possible, Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "size", fmt.Sprint(f.Size))}, Summary: "it holds " + quote(f.Path)})
	}
}

var hiddenFile = regexp.MustCompile(`/\.[^/]*$`)

func deletedHidden(f *cos.NamelessFile, found func(Finding)) {
	if f.PodUID == "" || !f.IsRegular() || isExe(f) || ofKernel(f) || logFile.MatchString(f.Path) || !hiddenFile.MatchString(strings.TrimSuffix(f.Path, " (deleted)")) {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "size", fmt.Sprint(f.Size))}, Summary: "it holds " + quote(f.Path)})
}

var dotsAlone = regexp.MustCompile(`^(\.{3,}|\.?\s+|\.\.\s+|\s+.*|.*\s+)$`)

func hiddenName(_ *Node, p *cos.Process, found func(Finding)) {
	if p.PodUID == "" {
		return
	}
	for i := range p.FDs {
		path := strings.TrimSuffix(p.FDs[i].Path, " (deleted)")
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/memfd:") {
			continue
		}
		for part := range strings.SplitSeq(path, "/") {
			if part != "" && (misleading(part) || dotsAlone.MatchString(part)) {
				found(Finding{Confidence: Likely, Object: p.FDs[i].Path, Evidence: []Evidence{ofFile(&p.FDs[i], p.FDs[i].Path)}, Summary: "the part " + quote(part) + " of the path deceives"})
				break
			}
		}
	}
}

// A descriptorSign is what a descriptor can be open to.
type descriptorSign struct {
	id, title, meaning string
	severity           Severity
	techniques         []Technique
	benign             []string
	pods, system       bool // in pods alone; in the cluster's own as well
	path               *regexp.Regexp
	literals           []string       // no path without one of them can match
	not                *regexp.Regexp // programs that have it open by what they are; nil: none
}

func (d *descriptorSign) look(n *Node, p *cos.Process, found func(Finding)) {
	if p.KernelThread || d.pods && p.PodUID == "" || d.pods && !d.system && !n.Ordinary(p) || d.not != nil && p.PodUID == "" && d.not.MatchString(called(p)) {
		return
	}
	var first *linux.FD
	count := 0
	for i := range p.FDs {
		if path := p.FDs[i].Path; hasAny(path, d.literals) && d.path.MatchString(path) {
			if count++; first == nil {
				first = &p.FDs[i]
			}
		}
	}
	if first == nil {
		return
	}
	found(Finding{Confidence: Certain, Object: first.Path, Evidence: []Evidence{ofFile(first, first.Path), ofTask(p, "descriptors of that kind", fmt.Sprint(count))},
		Summary: fmt.Sprintf("descriptor %d is open to %s", first.FD, quote(first.Path))})
}

var descriptorSigns = []descriptorSign{
	{
		id: "file-block-device", severity: Critical, techniques: []Technique{"T1611"}, pods: true, system: true, benign: []string{"a driver of volumes"},
		title:    "A process in a pod has a disk of the node open",
		meaning:  "A descriptor is open to a block device. By it all files of the node can be read and changed past every permission.",
		path:     regexp.MustCompile(`^/(host/)?dev/(sd[a-z]+\d*|nvme\d+n\d+(p\d+)?|vd[a-z]+\d*|xvd[a-z]+\d*|dm-\d+|loop\d+|md\d+|mapper/[^c]\S*|disk/.*)$`),
		literals: []string{"/dev/"},
	},
	{
		id: "file-node-credentials", severity: Critical, techniques: []Technique{"T1552.001"}, pods: true, system: true, benign: []string{causeAgent},
		title:    "A process in a pod has the node's credentials open",
		meaning:  "A descriptor is open to a key or a configuration by which the kubelet or the control plane is known to the cluster. With it one acts as the node.",
		path:     regexp.MustCompile(`/etc/kubernetes/(pki/|admin\.conf|kubelet\.conf|super-admin\.conf|controller-manager\.conf|scheduler\.conf)|/var/lib/kubelet/(kubeconfig|pki/|bootstrap-kubeconfig)|/etc/srv/kubernetes/|/home/kubernetes/kube-env`),
		literals: []string{"kube"},
	},
	{
		id: "file-user-credentials", severity: Medium, techniques: []Technique{"T1552.001", "T1552.004"}, benign: []string{"the program that they are for"},
		title:    "A process has somebody's keys open",
		meaning:  "A descriptor is open to a private key or a file of credentials of a cloud, a cluster or a registry. Programs read these at once and close them; who copies them may be longer at it.",
		path:     regexp.MustCompile(`/\.ssh/(id_\w+|identity)$|/\.aws/credentials$|/gcloud/(credentials\.db|application_default_credentials\.json|legacy_credentials/.*)$|/\.kube/config$|/\.docker/config\.json$|/\.azure/\w+\.json$|/\.git-credentials$|/\.netrc$|/\.vault-token$`),
		literals: []string{"/.", "gcloud/"},
		not:      regexp.MustCompile(`^(ssh|ssh-agent|ssh-add|aws|gcloud|kubectl|docker|az|git)$`),
	},
	{
		id: "file-password-hashes", severity: Medium, techniques: []Technique{"T1003.008"}, benign: []string{"a login, or a change of a password"},
		title:    "A process has the hashes of passwords open",
		meaning:  "A descriptor is open to /etc/shadow or its like. What changes passwords opens these for a moment; who takes them away does so, too.",
		path:     regexp.MustCompile(`/etc/(g?shadow|security/opasswd|master\.passwd)-?$`),
		literals: []string{"/etc/"},
	},
	{
		id: "file-tunnel-device", severity: Medium, techniques: []Technique{"T1572"}, pods: true, benign: []string{"a VPN that is meant to be there"},
		title:    "A process in a pod has a tunnel open",
		meaning:  "A descriptor is open to /dev/net/tun: the process has a network device of its own. Traffic can so leave past what is seen of the pod.",
		path:     regexp.MustCompile(`^/dev/(net/tun|tap\d+)$`),
		literals: []string{"/dev/"},
	},
	{
		id: "file-virtual-machine", severity: Medium, techniques: []Technique{"T1564.006"}, pods: true, benign: []string{"a runtime that runs pods in virtual machines"},
		title:    "A process in a pod has the hypervisor open",
		meaning:  "A descriptor is open to /dev/kvm or to the devices of its networks. In a virtual machine of its own a program is hidden from the node.",
		path:     regexp.MustCompile(`^/dev/(kvm|vhost-(net|vsock))$`),
		literals: []string{"/dev/"},
	},
	{
		id: "file-msr-device", severity: Medium, techniques: []Technique{"T1496.001"}, benign: []string{"a tool for the processor's power or errors"},
		title:    "A process has the processor's registers open",
		meaning:  "A descriptor is open to model-specific registers. Miners write to these for speed, tools for power read them.",
		path:     regexp.MustCompile(`^/dev/cpu/\d+/msr$`),
		literals: []string{"/dev/cpu/"},
	},
	{
		id: "file-bpf-descriptor", severity: Medium, techniques: []Technique{"T1014", "T1205.002"}, pods: true, benign: []string{causeAgent},
		title:    "A process in a pod has BPF open",
		meaning:  "A descriptor is open to a BPF program, map or link, in a pod that is none of the cluster's own. Agents for networks and security do that; from there the kernel can be made to lie.",
		path:     regexp.MustCompile(`^(anon_inode:)?\[?bpf[-_](prog|map|link|iter|token)\]?$|^anon_inode:bpf-(prog|map|link)$`),
		literals: []string{"bpf"},
	},
	{
		id: "file-perf-descriptor", severity: Low, techniques: []Technique{"T1082"}, pods: true, benign: []string{causeDebugger},
		title:    "A process in a pod measures the kernel",
		meaning:  "A descriptor is open to a perf event. Profilers do that, and attacks by side channels.",
		path:     regexp.MustCompile(`^anon_inode:\[perf_event\]$`),
		literals: []string{"[perf_event]"},
	},
	{
		id: "file-userfaultfd", severity: Low, techniques: []Technique{"T1068"}, pods: true, benign: []string{"a virtual machine, or a checkpoint"},
		title:    "A process in a pod handles page faults",
		meaning:  "A descriptor is open to userfaultfd, by which a program can hold the kernel up where it reads memory. Exploits use that.",
		path:     regexp.MustCompile(`^anon_inode:\[userfaultfd\]$`),
		literals: []string{"[userfaultfd]"},
	},
	{
		id: "file-io-uring", severity: Low, techniques: []Technique{"T1068"}, pods: true, benign: []string{"a database or a server that is written so"},
		title:    "A process in a pod uses io_uring",
		meaning:  "A descriptor is open to io_uring, by which files and sockets are used past filters of system calls. Databases use it for speed.",
		path:     regexp.MustCompile(`^anon_inode:\[io_uring\]$`),
		literals: []string{"[io_uring]"},
	},
	{
		id: "file-pidfd", severity: Low, techniques: []Technique{"T1055"}, pods: true, benign: []string{"a supervisor of processes"},
		title:    "A process in a pod holds a handle of a process",
		meaning:  "A descriptor stands for a process, by which its descriptors can be taken. Supervisors use that to wait for an end.",
		path:     regexp.MustCompile(`^anon_inode:\[pidfd\]$|^pidfd:\[`),
		literals: []string{"pidfd"},
	},
	{
		id: "file-core-dump", severity: Low, techniques: []Technique{"T1003.007"}, benign: []string{"a crash that is looked into"},
		title:    "A process has a dump of memory open",
		meaning:  "A descriptor is open to a core dump or a checkpoint of a container, which have all secrets of what was dumped.",
		path:     regexp.MustCompile(`(^|/)core(\.[\w.-]*\d+|\.zst|\.lz4)?$|/checkpoints/checkpoint-.*\.tar$|\.(hprof|dmp)$`),
		literals: []string{"core", "/checkpoints/", ".hprof", ".dmp"},
	},
}
