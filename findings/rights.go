package findings

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/vmem"
)

var rightsNeeds = Needs{Processes: true, Sections: cos.SectionSecurity}

// rightsRules are about what a process may do, beside what its container may.
var rightsRules = []Rule{
	{
		ID: "process-capabilities-gained", Group: Processes, Severity: Critical, Techniques: []Technique{"T1068", "T1611"},
		Title:   "A process may do more than its container",
		Meaning: "It has capabilities that are not in the bounding set of the container's first process, in the same user namespace. None of what a container does can give it these.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(capabilitiesGained),
	},
	{
		ID: "process-seccomp-lost", Group: Processes, Severity: High, Techniques: []Technique{"T1611", "T1068"},
		Title:   "A process is without the filter of its container",
		Meaning: "The container's first process has a filter of system calls, and this one has none, though filters are inherited and can't be taken off. Runtimes give one to what is brought in as well.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(seccompLost),
	},
	{
		ID: "process-apparmor-lost", Group: Processes, Severity: High, Techniques: []Technique{"T1611"},
		Title:   "A process is without the AppArmor profile of its container",
		Meaning: "The container's first process is confined by AppArmor, and this one is not. Profiles may let programs out on purpose; the runtimes' own do not.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(appArmorLost),
	},
	{
		ID: "process-privileges-regained", Group: Processes, Severity: High, Techniques: []Technique{"T1548"},
		Title:   "A process may gain privileges, and its container may not",
		Meaning: "The container's first process has no_new_privs set, and this one has not, though it is inherited and can't be cleared. What an older runtime brings in may lack it.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(privilegesRegained),
	},
	{
		ID: "process-shared-credentials", Group: Processes, Severity: Critical, Techniques: []Technique{"T1068", "T1134"},
		Title:   "Two processes have one set of credentials",
		Meaning: "Their tasks point to the same struct cred, which the kernel copies for each process. Exploits and rootkits give a process another's credentials so.",
		Needs:   rightsNeeds, Benign: []string{causeSmear}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(sharedCredentials),
	},
	{
		ID: "process-thread-rights-differ", Group: Processes, Severity: Low, Techniques: []Technique{"T1068"},
		Title:   "Threads of a process have different rights",
		Meaning: "A thread has other users or capabilities than the process it is of. Servers that act for users do that; a thread that is root in a process that is not is High.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(threadRights),
	},
	{
		ID: "process-root-by-login", Group: Processes, Severity: Low, Techniques: []Technique{"T1548", "T1068"},
		Title:   "A user who logged in is root now",
		Meaning: "The process is root, and the one who logged in was not, by the audit system's account. sudo and su do that; where they are not among its ancestors it is Medium.",
		Needs:   rightsNeeds, Benign: []string{causeOperator}, Next: "nodelens ps IMAGE --pid {pid}", Check: perRights(rootByLogin),
	},
	{
		ID: "process-setuid-in-container", Group: Processes, Severity: Low, Techniques: []Technique{"T1548.001"},
		Title:   "A process in a container has another effective user",
		Meaning: "Its real and effective user differ, as of a program that is setuid. Images seldom need such programs.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid}", Check: perRights(setuidInContainer),
	},
	{
		ID: "process-ambient-capabilities", Group: Processes, Severity: Low, Techniques: []Technique{"T1548"},
		Title:   "A process in a container has ambient capabilities",
		Meaning: "It has capabilities that stay with every program it starts, which runtimes clear. A program in the container has set them.",
		Needs:   rightsNeeds, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(ambientCapabilities),
	},
	{
		ID: "process-user-namespace", Group: Processes, Severity: Low, Techniques: []Technique{"T1068"},
		Title:   "A process in a container has made a user namespace",
		Meaning: "It is root of a user namespace below the container's, where much of the kernel that is else closed can be reached. Browsers and rootless builds do that.",
		Needs:   rightsNeeds, Benign: []string{"a sandbox or a build in the container"}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perRights(userNamespace),
	},
	{
		ID: "process-no-randomization", Group: Processes, Severity: Low, Techniques: []Technique{"T1068"},
		Title:   "A process runs without randomised addresses",
		Meaning: "Its personality switches address space randomisation off, or makes all readable memory executable. Debuggers and old programs ask for that; exploits are easier so.",
		Needs:   rightsNeeds, Benign: []string{causeDebugger}, Next: "nodelens maps IMAGE --pid {pid}", Check: perRights(noRandomization),
	},
}

// perRights looks at what each process may do; what is found is of the process. What was lost of a process looks as if it could not do
// something, or had no filter: those are left out, and told as losses.
func perRights(look func(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding))) check {
	return perProcess(func(n *Node, p *cos.Process, found func(Finding)) {
		if s := n.Security(p.PID); s != nil && !n.lossy[p.PID] && p.State != linux.Zombie && p.State != linux.Dead {
			look(n, p, s, found)
		}
	})
}

// firstRights returns what the first process of a process's container may do; nil for the first process itself, and where it is not known or
// has changed its user namespace.
func (n *Node) firstRights(p *cos.Process, s *cos.ProcessSecurity) *cos.ProcessSecurity {
	first := n.Init(p.ContainerID)
	if first == nil || first == p || n.lossy[first.PID] || first.State == linux.Zombie || n.startsContainer(p) {
		return nil
	}
	f := n.Security(first.PID)
	if f == nil || f.Credentials.UserNamespace != s.Credentials.UserNamespace || f.Address == 0 || s.Address == 0 {
		return nil
	}
	return f
}

func ofCred(s *process.Security, field, value string) Evidence {
	return Evidence{Type: "cred", Addr: s.Address, Field: field, Value: value}
}

func capabilitiesGained(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	first := n.firstRights(p, s)
	if first == nil {
		return
	}
	if more := (s.Permitted | s.Effective | s.Bounding) &^ first.Bounding; more != 0 {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofCred(&s.Security, "permitted", s.Permitted.String()), ofCred(&first.Security, "bounding", first.Bounding.String())},
			Summary: "it has " + strings.Join(more.Names(), ", ") + " beyond the container"})
	}
}

func seccompLost(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if first := n.firstRights(p, s); first != nil && first.Seccomp.Mode == "filter" && s.Seccomp.Mode == "off" {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofTask(p, "seccomp.mode", s.Seccomp.Mode), ofTask(n.Init(p.ContainerID), "seccomp.mode", first.Seccomp.Mode)}, Summary: "it has no filter of system calls, and the container's first process has one"})
	}
}

func appArmorLost(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	first := n.firstRights(p, s)
	if first == nil || first.AppArmor == nil || s.AppArmor == nil || first.AppArmor.Mode == "unconfined" || s.AppArmor.Mode != "unconfined" {
		return
	}
	found(Finding{Confidence: Certain, Evidence: []Evidence{ofCred(&s.Security, "AppArmor", s.AppArmor.Profile), ofCred(&first.Security, "AppArmor", first.AppArmor.Profile)},
		Summary: "it is unconfined, and the container's first process is confined by " + quote(first.AppArmor.Profile)})
}

func privilegesRegained(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if first := n.firstRights(p, s); first != nil && first.NoNewPrivs && !s.NoNewPrivs {
		found(Finding{Confidence: Likely, Evidence: []Evidence{ofTask(p, "no_new_privs", "false"), ofTask(n.Init(p.ContainerID), "no_new_privs", "true")}, Summary: "it lacks no_new_privs, which the container's first process has"})
	}
}

func sharedCredentials(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	other := n.creds[s.Address]
	if s.Address == 0 || other == nil || other == p || p.KernelThread {
		return
	}
	f := Finding{Confidence: Certain, Object: s.Address.String(), Evidence: []Evidence{ofCred(&s.Security, "shared with", fmt.Sprintf("PID %d", other.PID)), ofTask(p, "exe", p.Exe)},
		Summary: fmt.Sprintf("its credentials are those of PID %d", other.PID), Benign: []Benign{{causeSmear, RuledOut}}}
	if n.Report.Consistency == nil || n.Report.Consistency.Broken > 0 {
		f.Confidence, f.Benign[0].State = Possible, Unchecked
	}
	found(f)
}

// indexCreds finds which process has each struct cred first.
func (n *Node) indexCreds() {
	n.creds = map[vmem.VirtAddr]*cos.Process{}
	for i := range n.Report.Security {
		s := &n.Report.Security[i]
		if p := n.processes[s.PID]; p != nil && n.creds[s.Address] == nil {
			n.creds[s.Address] = p
		}
	}
}

func threadRights(_ *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	for i := range s.Threads {
		t := &s.Threads[i]
		if t.UID == s.UID && t.EUID == s.EUID && t.FSUID == s.FSUID && t.Permitted == s.Permitted && t.Effective == s.Effective {
			continue
		}
		severity := Low
		if t.EUID == 0 && s.EUID != 0 && s.UID != 0 && s.SUID != 0 {
			severity = High
		}
		found(Finding{Severity: severity, Confidence: Certain, Object: fmt.Sprintf("thread %d", t.TID), Evidence: []Evidence{ofCred(&t.Security, "euid", fmt.Sprint(t.EUID)), ofCred(&t.Security, "permitted", t.Permitted.String()),
			ofCred(&s.Security, "euid", fmt.Sprint(s.EUID)), ofCred(&s.Security, "permitted", s.Permitted.String())}, Summary: fmt.Sprintf("thread %d has other rights than PID %d", t.TID, p.PID)})
	}
}

// becomeRoot are programs by which users become root.
var becomeRoot = map[string]bool{"sudo": true, "su": true, "doas": true, "pkexec": true, "run0": true, "login": true, "sshd": true, "sshd-session": true}

func rootByLogin(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if s.LoginUID == nil || *s.LoginUID == 0 || s.EUID != 0 || p.KernelThread || becomeRoot[called(p)] {
		return
	}
	f := Finding{Severity: Medium, Confidence: Possible, Evidence: []Evidence{ofCred(&s.Security, "euid", "0"), ofTask(p, "loginuid", fmt.Sprint(*s.LoginUID))}, Summary: fmt.Sprintf("user %d logged in, and is root", *s.LoginUID)}
	above := n.Process(p.PPID)
	for range maxAncestors {
		if above == nil {
			break
		}
		if becomeRoot[called(above)] {
			f.Severity, f.Evidence = Low, append(f.Evidence, ofTask(above, "exe", above.Exe))
			break
		}
		above = n.Process(above.PPID)
	}
	found(f)
}

func setuidInContainer(_ *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if p.PodUID != "" && s.UID != s.EUID {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofCred(&s.Security, "uid", fmt.Sprint(s.UID)), ofCred(&s.Security, "euid", fmt.Sprint(s.EUID))}, Summary: fmt.Sprintf("user %d acts as user %d", s.UID, s.EUID)})
	}
}

func ambientCapabilities(_ *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if p.PodUID != "" && s.Ambient != 0 {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofCred(&s.Security, "ambient", s.Ambient.String())}, Summary: "it has " + strings.Join(s.Ambient.Names(), ", ") + " ambient"})
	}
}

func userNamespace(n *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	first := n.Init(p.ContainerID)
	if first == nil || s.UserNamespace == nil {
		return
	}
	f := n.Security(first.PID)
	ns := s.UserNamespace
	if f == nil || f.UserNamespace == nil || ns.Address == f.UserNamespace.Address || ns.Level <= f.UserNamespace.Level {
		return
	}
	found(Finding{Confidence: Certain, Object: fmt.Sprint(ns.Inum), Evidence: []Evidence{{Type: "user_namespace", Addr: ns.Address, Field: "level", Value: fmt.Sprint(ns.Level)}, ofCred(&s.Security, "effective", s.Effective.String())},
		Summary: fmt.Sprintf("it is in a user namespace of level %d, and its container of level %d", ns.Level, f.UserNamespace.Level)})
}

// Bits of a personality (include/uapi/linux/personality.h).
const (
	addrNoRandomize = 0x0040000
	readImpliesExec = 0x0400000
)

func noRandomization(_ *Node, p *cos.Process, s *cos.ProcessSecurity, found func(Finding)) {
	if !p.KernelThread && s.Personality&(addrNoRandomize|readImpliesExec) != 0 {
		found(Finding{Confidence: Certain, Evidence: []Evidence{ofTask(p, "personality", fmt.Sprintf("%#x", s.Personality))}, Summary: fmt.Sprintf("its personality is %#x", s.Personality)})
	}
}
