package cos

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/vmem"
)

// A Posture is what a container's first process is allowed to do, as the kernel has it.
type Posture struct {
	PID             int32           `json:"pid"` // of the process
	Cred            linux.Cred      `json:"cred"`
	Capabilities    CapabilityNames `json:"capabilities"`
	NoNewPrivileges bool            `json:"noNewPrivileges"`
	Seccomp         string          `json:"seccomp"`        // off, strict or filter
	ReadOnlyRoot    bool            `json:"readOnlyRoot"`   // its root is mounted so
	HostNamespaces  []string        `json:"hostNamespaces"` // those that it shares with process 1 of the node
}

// capabilitySet names the bits of a set.
func capabilitySet(bits uint64) []string {
	return slices.Sorted(slices.Values(process.Capabilities(bits).Names()))
}

// A capWord is kernel_cap_t: one number since 6.3 (f122a08b197d), two before.
type capWord struct {
	Val  uint64 `kernel:"val,optional"`
	Low  uint32 `kernel:"cap[0],optional"`
	High uint32 `kernel:"cap[1],optional"`
}

func (c capWord) bits() uint64 { return c.Val | uint64(c.Low) | uint64(c.High)<<32 }

// A credCaps is what is read of struct cred.
type credCaps struct {
	Inheritable capWord `kernel:"cap_inheritable"`
	Permitted   capWord `kernel:"cap_permitted"`
	Effective   capWord `kernel:"cap_effective"`
	Bounding    capWord `kernel:"cap_bset"`
	Ambient     capWord `kernel:"cap_ambient"`
}

// A taskSecurity is what is read of struct task_struct.
type taskSecurity struct {
	Cred    vmem.VirtAddr `kernel:"real_cred"`
	Flags   uint64        `kernel:"atomic_flags"`
	Seccomp int32         `kernel:"seccomp.mode,optional"` // absent from a kernel that is built without it
}

type postureViews struct {
	task *kstruct.View[taskSecurity]
	cred *kstruct.View[credCaps]
	err  error
}

func bindPosture(k *linux.Kernel) (v postureViews) {
	b := kstruct.NewBinder(k.Symbols())
	v.task = kstruct.Bind[taskSecurity](b, "task_struct")
	v.cred = kstruct.Bind[credCaps](b, "cred")
	v.err = b.Err()
	return v
}

var seccompModes = map[int32]string{0: "off", 1: "strict", 2: "filter"}

// read reads what the kernel allows a task. node are the namespaces of process 1.
func (v *postureViews) read(k *linux.Kernel, t *linux.Task, node linux.Namespaces) (*Posture, error) {
	if v.err != nil {
		return nil, v.err
	}
	s, err := v.task.Load(k.Space(), t.Addr)
	if err != nil {
		return nil, err
	}
	caps, err := v.cred.Load(k.Space(), s.Cred)
	if err != nil {
		return nil, err
	}
	p := &Posture{PID: t.PID, NoNewPrivileges: s.Flags&1 != 0} // PFA_NO_NEW_PRIVS of include/linux/sched.h
	if p.Cred, err = t.Cred(); err != nil {
		return nil, err
	}
	var ok bool
	if p.Seccomp, ok = seccompModes[s.Seccomp]; !ok {
		return nil, fmt.Errorf("%w: seccomp mode %d", kstruct.ErrCorrupt, s.Seccomp)
	}
	p.Capabilities = CapabilityNames{
		Bounding: capabilitySet(caps.Bounding.bits()), Effective: capabilitySet(caps.Effective.bits()), Inheritable: capabilitySet(caps.Inheritable.bits()),
		Permitted: capabilitySet(caps.Permitted.bits()), Ambient: capabilitySet(caps.Ambient.bits()),
	}
	ns, err := t.Namespaces()
	if err != nil {
		return nil, err
	}
	for _, n := range []struct {
		name       string
		mine, node uint32
	}{{"cgroup", ns.Cgroup, node.Cgroup}, {"ipc", ns.IPC, node.IPC}, {"mount", ns.Mnt, node.Mnt}, {"network", ns.Net, node.Net},
		{"pid", ns.PID, node.PID}, {"time", ns.Time, node.Time}, {"user", ns.User, node.User}, {"uts", ns.UTS, node.UTS}} {
		if n.mine != 0 && n.mine == n.node {
			p.HostNamespaces = append(p.HostNamespaces, n.name)
		}
	}
	return p, nil
}

// A Difference is a point in which a container is not what it was asked to be.
type Difference struct {
	What   string `json:"what"`
	Asked  string `json:"asked"`
	Actual string `json:"actual"`
}

// differences compares what was asked for with what is.
func differences(s *ContainerSpec, p *Posture) (all []Difference) {
	if s == nil || p == nil {
		return nil
	}
	compare := func(what, asked, actual string) {
		if asked != actual {
			all = append(all, Difference{what, asked, actual})
		}
	}
	if slices.Contains(p.HostNamespaces, "user") { // else the kernel's numbers are of another namespace
		compare("uid", fmt.Sprint(s.UID), fmt.Sprint(p.Cred.UID))
		compare("gid", fmt.Sprint(s.GID), fmt.Sprint(p.Cred.GID))
	}
	compare("noNewPrivileges", fmt.Sprint(s.NoNewPrivileges), fmt.Sprint(p.NoNewPrivileges))
	compare("readOnlyRoot", fmt.Sprint(s.ReadOnlyRoot), fmt.Sprint(p.ReadOnlyRoot))
	seccomp := "off"
	if s.Seccomp != "" {
		seccomp = "filter"
	}
	compare("seccomp", seccomp, p.Seccomp)
	asked := CapabilityNames{}
	if s.Capabilities != nil {
		asked = *s.Capabilities
	}
	for _, c := range []struct {
		name          string
		asked, actual []string
	}{{"bounding", asked.Bounding, p.Capabilities.Bounding}, {"effective", effective(s, asked), p.Capabilities.Effective},
		{"permitted", effective(s, asked, asked.Permitted...), p.Capabilities.Permitted}, {"inheritable", asked.Inheritable, p.Capabilities.Inheritable}} {
		want := slices.Sorted(slices.Values(c.asked))
		compare("capabilities."+c.name, strings.Join(want, ","), strings.Join(c.actual, ","))
	}
	return all
}

// effective is what the kernel leaves of a set of capabilities when a program is started: of a user that is not root, the ambient ones alone
// (cap_bprm_creds_from_file of security/commoncap.c).
func effective(s *ContainerSpec, asked CapabilityNames, set ...string) []string {
	switch {
	case s.UID != 0:
		return asked.Ambient
	case set != nil:
		return set
	}
	return asked.Effective
}

// A Violation is an effect that a level of the Pod Security Standards forbids. It is seen in the kernel's account or in what was asked
// for, not in the pod's own specification.
type Violation struct {
	Level    string `json:"level"` // baseline or restricted
	Check    string `json:"check"`
	Evidence string `json:"evidence"`
}

// Capabilities that the levels let containers have: those that may be added, at the level baseline, and NET_RAW beside them, which runtimes give by
// default; at the level restricted NET_BIND_SERVICE alone.
var baselineCapabilities = []string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_NET_RAW"}

// safeSysctls are those that baseline allows.
var safeSysctls = []string{"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
	"net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}

// forbiddenVolumes are the kinds of volumes that restricted does not allow and that can be told on the node. What else a pod may not name itself, such as nfs, it may have by a
// persistent volume claim, and the kubelet's directory is the same.
var forbiddenVolumes = []string{"host-path", "git-repo"}

// violations holds a container against the Pod Security Standards.
func violations(s *ContainerSpec, p *Posture) (all []Violation) {
	add := func(level, check, format string, args ...any) {
		all = append(all, Violation{level, check, fmt.Sprintf(format, args...)})
	}
	if p != nil {
		for _, ns := range []string{"network", "pid", "ipc"} {
			if slices.Contains(p.HostNamespaces, ns) {
				add("baseline", "hostNamespaces", "the %s namespace is the node's", ns)
			}
		}
		if more := without(p.Capabilities.Bounding, baselineCapabilities); len(more) > 0 {
			add("baseline", "capabilities", "%s", strings.Join(more, ", "))
		}
		if more := without(p.Capabilities.Bounding, []string{"CAP_NET_BIND_SERVICE"}); len(more) > 0 {
			add("restricted", "capabilities", "not all are dropped: %s", strings.Join(more, ", "))
		}
		if !p.NoNewPrivileges {
			add("restricted", "allowPrivilegeEscalation", "no_new_privs is not set")
		}
		if p.Seccomp != "filter" {
			add("restricted", "seccompProfile", "there is no filter")
		}
		if all := []string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"}; len(without(all, p.Capabilities.Bounding)) == 0 && p.Seccomp == "off" {
			add("baseline", "privileged", "all capabilities, and no filter of system calls")
		}
		if p.Cred.UID == 0 {
			add("restricted", "runAsNonRoot", "user 0")
		}
	}
	if s != nil {
		s.violations(add)
	}
	return all
}

func (s *ContainerSpec) violations(add func(level, check, format string, args ...any)) {
	if len(s.MaskedPaths) == 0 && len(s.ReadOnlyPaths) == 0 {
		add("baseline", "procMount", "no path of /proc is masked or read-only")
	}
	for _, m := range s.Mounts {
		if m.Kind == "host-path" {
			add("baseline", "hostPathVolumes", "%s at %s", m.Source, m.Destination)
		}
		if slices.Contains(forbiddenVolumes, m.Kind) {
			add("restricted", "restrictedVolumes", "%s at %s", m.Kind, m.Destination)
		}
	}
	for _, c := range s.Sysctls {
		if !slices.Contains(safeSysctls, c.Name) {
			add("baseline", "sysctls", "%s", c.Name)
		}
	}
}

// without returns what of all is not in allowed.
func without(all, allowed []string) (rest []string) {
	for _, a := range all {
		if !slices.Contains(allowed, a) {
			rest = append(rest, a)
		}
	}
	return rest
}
