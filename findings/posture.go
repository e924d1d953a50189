package findings

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

// A postureSign is what a container is allowed that it should not be. The cluster's own pods are so by design: of these it is Low at most.
type postureSign struct {
	id, title, meaning string
	severity           Severity
	techniques         []Technique
	look               func(n *Node, c *cos.ContainerDetail) []sign
}

// A sign is one thing that a container is allowed.
type sign struct {
	object, summary string
	severity        Severity // Info: that of the rule
	evidence        []Evidence
}

func postureRules() (all []Rule) {
	for i := range postureSigns {
		s := &postureSigns[i]
		all = append(all, Rule{ID: s.id, Group: Orchestration, Severity: s.severity, Techniques: s.techniques, Title: s.title, Meaning: s.meaning, Needs: detailNeeds,
			Benign: []string{causeAgent}, Next: "nodelens pods IMAGE --container {container} -o json", Check: perContainer(s.check)})
	}
	return all
}

func (s *postureSign) check(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	if c.Sandbox {
		return
	}
	for _, sign := range s.look(n, c) {
		f := Finding{Object: sign.object, Severity: max(sign.severity, Info), Confidence: Certain, Evidence: sign.evidence, Summary: sign.summary}
		if f.Severity == Info {
			f.Severity = s.severity
		}
		if n.OfContainer(c.PodUID, c.ID).System {
			f.Severity = min(f.Severity, Low)
		}
		found(f)
	}
}

// dangerous are capabilities by which a container can become the node.
var dangerous = []string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_SYS_BOOT", "CAP_SYSLOG",
	"CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_SYS_TIME", "CAP_CHECKPOINT_RESTORE"}

var postureSigns = []postureSign{
	{"pod-privileged", "A container is privileged", "It has the capabilities by which the node can be changed, no filter of system calls and unmasked files of /proc, as privileged containers have. Who is in it is on the node.", High, []Technique{"T1610", "T1611"}, privileged},
	{"pod-dangerous-capabilities", "A container has capabilities that lead to the node", "Each of them lets a process change the kernel, other processes or the network of the node. Few applications need one.", Medium, []Technique{"T1611"}, dangerousCapabilities},
	{"pod-host-process-namespace", "A container sees the node's processes", "It is in the node's PID namespace: it can signal all processes of its user, and as root reads what they have.", High, []Technique{"T1611"}, hostNamespace("pid")},
	{"pod-host-network", "A container is in the node's network", "It has the node's addresses, sees its traffic and reaches what listens on it alone.", Medium, []Technique{"T1611"}, hostNamespace("network")},
	{"pod-host-ipc", "A container shares memory with the node", "It is in the node's IPC namespace, with the shared memory of its processes.", Medium, []Technique{"T1611"}, hostNamespace("ipc")},
	{"pod-runtime-socket-mounted", "A container has the runtime's socket", "The socket of the container runtime, or the directory of it, is mounted. Who can write to it starts containers with all rights.", High, []Technique{"T1610", "T1611"}, mounted(runtimeSources, "the runtime's socket", High, High)},
	{"pod-sensitive-host-path", "A container has files of the node by which it can be taken over", "A directory of the node is mounted that has its configuration, its devices or its users' files. Where it can be written to, that is the node.", High, []Technique{"T1611"}, mounted(sensitiveSources, "a sensitive directory of the node", High, Medium)},
	{"pod-host-path", "A container has files of the node", "A directory of the node is mounted that is no volume of the pod. The Pod Security Standards forbid it at the level baseline.", Low, []Technique{"T1611"}, mounted(nil, "a directory of the node", Low, Low)},
	{"pod-shared-mounts", "A container's mounts reach the node", "A mount is shared with the node: what is mounted in the container below it, is on the node as well.", Medium, []Technique{"T1611"}, sharedMounts},
	{"pod-cgroups-writable", "A container can change cgroups", "Its cgroups can be written to: limits can be lifted, and with version 1 the node can be made to start a program.", Medium, []Technique{"T1611"}, writableMount("cgroup")},
	{"pod-sysfs-writable", "A container can change devices", "Its /sys can be written to, by which devices and parts of the kernel are set up.", Medium, []Technique{"T1611"}, writableMount("sysfs")},
	{"pod-devices", "A container has devices of the node", "It was given devices beyond those that every container has.", Low, []Technique{"T1611"}, devices},
	{"pod-proc-unmasked", "A container sees all of /proc", "No file of /proc is hidden from it or kept from being written, as runtimes do by default.", Low, []Technique{"T1611"}, unmasked},
	{"pod-unsafe-sysctls", "A container sets the kernel up", "It was given settings of the kernel that are not known to concern it alone.", Medium, []Technique{"T1611"}, violated("baseline", "sysctls")},
	{"pod-no-seccomp", "A container may make every system call", "Its first process has no filter of system calls. The Pod Security Standards ask for one at the level restricted.", Low, []Technique{"T1611"}, noSeccomp},
	{"pod-root", "A container runs as root", "Its first process is user 0 of the node. What breaks out of it is root.", Low, []Technique{"T1611"}, violated("restricted", "runAsNonRoot")},
	{"pod-privilege-escalation", "A container's programs can gain privileges", "no_new_privs is not set, so that programs that are setuid give more. The Pod Security Standards ask for it at the level restricted.", Low, []Technique{"T1548"}, violated("restricted", "allowPrivilegeEscalation")},
	{"pod-restricted-volume", "A container has a volume of a kind that is restricted", "A volume is mounted whose kind the Pod Security Standards do not allow at the level restricted.", Low, []Technique{"T1611"}, violated("restricted", "restrictedVolumes")},
	{"pod-app-armor-off", "A container is not confined by AppArmor, and others are", "The node confines containers by AppArmor, and this one not.", Medium, []Technique{"T1611"}, appArmorOff},
	{"pod-no-memory-limit", "A container may take all memory", "It was given no limit of memory. One such container can bring down the node.", Low, []Technique{"T1499"}, noLimit("memory", func(s *cos.ContainerSpec) bool { return s.MemoryLimit <= 0 })},
	{"pod-no-process-limit", "A container may make any number of processes", "It was given no limit of processes, at least not by the runtime. One such container can bring down the node.", Low, []Technique{"T1499"}, noLimit("processes", func(s *cos.ContainerSpec) bool { return s.PidsLimit <= 0 })},
	{"pod-terminal", "A container has a terminal", "It was started with a terminal, for somebody to type into.", Low, []Technique{"T1609"}, terminal},
}

func privileged(n *Node, c *cos.ContainerDetail) []sign {
	if c.Actual == nil || len(missing([]string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"}, c.Actual.Capabilities.Bounding)) > 0 {
		return nil
	}
	evidence := []Evidence{n.ofFirst(c, "capabilities", "CAP_SYS_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO and others")}
	if c.Actual.Seccomp == "off" {
		evidence = append(evidence, n.ofFirst(c, "seccomp", "off"))
	}
	if s := c.Spec; s != nil {
		if len(s.MaskedPaths) == 0 && len(s.ReadOnlyPaths) == 0 {
			evidence = append(evidence, ofSpec("masked paths of /proc", "none"))
		}
		if len(s.Devices) > 0 {
			evidence = append(evidence, ofSpec("devices", fmt.Sprint(len(s.Devices))))
		}
	}
	if len(evidence) < 2 {
		return nil
	}
	return []sign{{summary: fmt.Sprintf("%d of 4 signs say so", len(evidence)), evidence: evidence}}
}

func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}

func dangerousCapabilities(n *Node, c *cos.ContainerDetail) []sign {
	if c.Actual == nil || len(privileged(n, c)) > 0 {
		return nil
	}
	has := slices.DeleteFunc(slices.Clone(dangerous), func(s string) bool { return !slices.Contains(c.Actual.Capabilities.Bounding, s) })
	if len(has) == 0 {
		return nil
	}
	severity := Medium
	if slices.Contains(has, "CAP_SYS_ADMIN") || slices.Contains(has, "CAP_SYS_MODULE") || slices.Contains(has, "CAP_SYS_RAWIO") {
		severity = High
	}
	return []sign{{summary: "it may have " + strings.Join(has, ", "), severity: severity, evidence: []Evidence{n.ofFirst(c, "bounding", strings.Join(c.Actual.Capabilities.Bounding, ", "))}}}
}

func hostNamespace(name string) func(*Node, *cos.ContainerDetail) []sign {
	return func(n *Node, c *cos.ContainerDetail) []sign {
		if c.Actual == nil || !slices.Contains(c.Actual.HostNamespaces, name) {
			return nil
		}
		return []sign{{summary: "its " + name + " namespace is the node's", evidence: []Evidence{n.ofFirst(c, "namespaces of the node", strings.Join(c.Actual.HostNamespaces, ", "))}}}
	}
}

var (
	runtimeSources   = regexp.MustCompile(`^(/var)?/run(/containerd(/containerd\.sock)?|/docker\.sock|/crio(/crio\.sock)?|/cri-dockerd\.sock|/podman(/podman\.sock)?|/k3s/containerd(/containerd\.sock)?)?$`)
	sensitiveSources = regexp.MustCompile(`^/$|^/(proc|sys|dev|etc|root|home|boot|bin|sbin|lib|usr|opt)(/|$)|^/var$|^/var/lib$|^/var/lib/(kubelet|docker|containerd|containers|rancher|etcd)(/|$)|^/var/spool/cron|^/home/kubernetes`)
	harmlessSources  = regexp.MustCompile(`^/(etc/(localtime|timezone|ssl/certs|pki/ca-trust|os-release|machine-id|resolv\.conf|hosts|hostname|nsswitch\.conf)|usr/share/(ca-certificates|zoneinfo)|dev/(null|zero|full|random|urandom|tty|shm|termination-log)|lib/modules|usr/lib/modules)(/|$)`)
)

// mounted returns a look for mounts of the node's files, by where they are from: nil takes those that no other rule has.
func mounted(from *regexp.Regexp, what string, writable, readOnly Severity) func(*Node, *cos.ContainerDetail) []sign {
	return func(_ *Node, c *cos.ContainerDetail) (all []sign) {
		if c.Spec == nil {
			return nil
		}
		for _, m := range c.Spec.Mounts {
			source := path.Clean(m.Source)
			if m.Kind != "host-path" || m.Source == "" || kindOfSource(source) != from {
				continue
			}
			severity, how := writable, "written to"
			if slices.Contains(m.Options, "ro") {
				severity, how = readOnly, "read"
			}
			all = append(all, sign{m.Destination, what + ", " + quote(m.Source) + ", can be " + how + " at " + quote(m.Destination), severity,
				[]Evidence{ofSpec("mount", m.Source+" at "+m.Destination), ofSpec("options", strings.Join(m.Options, ","))}})
		}
		return all
	}
}

// kindOfSource returns which of the expressions takes a path of the node; nil for none.
func kindOfSource(source string) *regexp.Regexp {
	switch {
	case runtimeSources.MatchString(source):
		return runtimeSources
	case harmlessSources.MatchString(source):
		return nil
	case sensitiveSources.MatchString(source):
		return sensitiveSources
	}
	return nil
}

func sharedMounts(_ *Node, c *cos.ContainerDetail) (all []sign) {
	if c.Spec == nil {
		return nil
	}
	for _, m := range c.Spec.Mounts {
		if slices.Contains(m.Options, "rshared") || slices.Contains(m.Options, "shared") {
			all = append(all, sign{object: m.Destination, summary: quote(m.Destination) + " is shared with the node", evidence: []Evidence{ofSpec("mount", m.Source+" at "+m.Destination), ofSpec("options", strings.Join(m.Options, ","))}})
		}
	}
	return all
}

func writableMount(kind string) func(*Node, *cos.ContainerDetail) []sign {
	return func(n *Node, c *cos.ContainerDetail) (all []sign) {
		if c.Spec == nil || len(privileged(n, c)) > 0 {
			return nil // privileged containers have it, which another rule tells
		}
		for _, m := range c.Spec.Mounts {
			if m.Type == kind && !slices.Contains(m.Options, "ro") {
				all = append(all, sign{object: m.Destination, summary: quote(m.Destination) + " can be written to", evidence: []Evidence{ofSpec("mount", m.Type+" at "+m.Destination), ofSpec("options", strings.Join(m.Options, ","))}})
			}
		}
		return all
	}
}

func devices(n *Node, c *cos.ContainerDetail) []sign {
	if c.Spec == nil || len(c.Spec.Devices) == 0 || len(privileged(n, c)) > 0 {
		return nil
	}
	evidence := []Evidence{}
	for _, d := range c.Spec.Devices {
		evidence = append(evidence, ofSpec("device", d))
	}
	return []sign{{summary: fmt.Sprintf("it was given %d devices", len(c.Spec.Devices)), evidence: evidence}}
}

func unmasked(n *Node, c *cos.ContainerDetail) []sign {
	if c.Spec == nil || len(c.Spec.MaskedPaths)+len(c.Spec.ReadOnlyPaths) > 0 || len(privileged(n, c)) > 0 {
		return nil
	}
	return []sign{{summary: "no path of /proc is masked or read-only", evidence: []Evidence{ofSpec("masked paths", "none"), ofSpec("read-only paths", "none")}}}
}

// violated returns a look for what package cos holds against the Pod Security Standards.
func violated(level, check string) func(*Node, *cos.ContainerDetail) []sign {
	return func(n *Node, c *cos.ContainerDetail) (all []sign) {
		for _, v := range c.Violations {
			if v.Level == level && v.Check == check {
				all = append(all, sign{object: v.Evidence, summary: v.Evidence, evidence: []Evidence{n.ofFirst(c, check, v.Evidence)}})
			}
		}
		return all
	}
}

func noSeccomp(n *Node, c *cos.ContainerDetail) []sign {
	if c.Actual == nil || c.Actual.Seccomp != "off" || len(privileged(n, c)) > 0 {
		return nil
	}
	return []sign{{summary: "it has no filter of system calls", evidence: []Evidence{n.ofFirst(c, "seccomp", "off")}}}
}

// appArmorOff compares with the node's other containers: that profiles are asked for shows that the node has them.
func appArmorOff(n *Node, c *cos.ContainerDetail) []sign {
	if c.Spec == nil || c.Spec.AppArmor != "" && c.Spec.AppArmor != "unconfined" || len(privileged(n, c)) > 0 {
		return nil
	}
	for i := range n.Report.Containers {
		if o := n.Report.Containers[i].Spec; o != nil && !n.Report.Containers[i].Sandbox && o.AppArmor != "" && o.AppArmor != "unconfined" {
			return []sign{{summary: "it has no profile, and " + quote(n.Report.Containers[i].Name) + " has " + quote(o.AppArmor), evidence: []Evidence{ofSpec("apparmorProfile", c.Spec.AppArmor)}}}
		}
	}
	return nil
}

func noLimit(what string, none func(*cos.ContainerSpec) bool) func(*Node, *cos.ContainerDetail) []sign {
	return func(_ *Node, c *cos.ContainerDetail) []sign {
		if c.Spec == nil || !none(c.Spec) {
			return nil
		}
		return []sign{{summary: "it has no limit of " + what, evidence: []Evidence{ofSpec("limit of "+what, "none")}}}
	}
}

func terminal(_ *Node, c *cos.ContainerDetail) []sign {
	if c.Spec == nil || !c.Spec.Terminal {
		return nil
	}
	return []sign{{summary: "it has a terminal", evidence: []Evidence{ofSpec("terminal", "true")}}}
}
