package findings

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Causes without harm that several rules know.
const (
	causeSealed   = "a container runtime runs from a sealed copy of itself while it starts a container"
	causeUpgraded = "its package was upgraded while it ran"
	causeJIT      = "a just-in-time compiler"
	causeAgent    = "an agent of the node, such as one for logs, metrics or security"
	causeOperator = "an operator at work"
	causeSmear    = "the machine ran while its memory was copied"
	causeTitle    = "a program that changes its own title"
	causeDebugger = "a debugger, a profiler or a checkpoint"
	causeBuild    = "a build, or an application that starts programs"
)

func processRules() []Rule {
	all := []Rule{}
	for _, part := range [][]Rule{identityRules, programRules, argumentRules(), environmentRules, sessionRules, rightsRules} {
		all = append(all, part...)
	}
	return all
}

// identityRules are about what a process says that it is.
var identityRules = []Rule{
	{
		ID: "process-kernel-name", Group: Processes, Severity: High, Techniques: []Technique{"T1036.004", "T1036.009"},
		Title:   "A process calls itself a thread of the kernel",
		Meaning: "Its name or its first argument is that of a kernel thread, but it runs a program of its own. Programs that hide among kernel threads do that; nothing else is known to.",
		Needs:   Needs{Processes: true}, Next: "nodelens maps IMAGE --pid {pid}", Check: perProcess(kernelName),
	},
	{
		ID: "process-kernel-thread-user", Group: Processes, Severity: Critical, Techniques: []Technique{"T1014"},
		Title:   "A thread of the kernel has what only programs have",
		Meaning: "It is marked as a thread of the kernel and has a program, arguments or a socket. A rootkit that makes its process look like a kernel thread leaves that.",
		Needs:   Needs{Processes: true}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(kernelThreadUser),
	},
	{
		ID: "process-system-name", Group: Processes, Severity: Medium, Techniques: []Technique{"T1036.005", "T1036.011"},
		Title:   "A process calls itself a service of the system and is another program",
		Meaning: "Its first argument is the path of a well-known service, and the program that runs is another. Backdoors take such names so that a list of processes looks as always.",
		Needs:   Needs{Processes: true}, Benign: []string{causeTitle}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(systemName),
	},
	{
		ID: "process-three-names", Group: Processes, Severity: Low, Techniques: []Technique{"T1036.005"},
		Title:   "A process has three different names",
		Meaning: "Its name, its first argument and its program have nothing in common. Scripts and programs that set titles do that, and programs that hide.",
		Needs:   Needs{Processes: true}, Benign: []string{causeTitle}, Next: "nodelens ps IMAGE --pid {pid}", Check: perProcess(threeNames),
	},
	{
		ID: "process-unprintable-name", Group: Processes, Severity: Medium, Techniques: []Technique{"T1036", "T1564"},
		Title:   "The name of a process is not made to be read",
		Meaning: "Its name is empty or has characters that terminals obey or do not show. Such names deceive who reads lists of processes.",
		Needs:   Needs{Processes: true}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perProcess(unprintableName),
	},
	{
		ID: "process-hidden", Group: Processes, Severity: Critical, Techniques: []Technique{"T1014", "T1564"},
		Title:   "A process is hidden from a view of the kernel",
		Meaning: "One of the two views that every process is in lacks it, though that view is whole. Rootkits take processes out of the list that ps reads.",
		Needs:   Needs{Processes: true}, Benign: []string{causeSmear}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: hiddenProcess,
	},
	{
		ID: "process-start-time", Group: Processes, Severity: Low, Techniques: []Technique{"T1070.006"},
		Title:   "A process was started before its parent, or in the future",
		Meaning: "The kernel gives times of start in one order, and this one does not fit. Somebody changed it, or the structures are damaged.",
		Needs:   Needs{Processes: true}, Benign: []string{causeSmear}, Next: "nodelens ps IMAGE --pid {pid} -o json", Check: perProcess(startTime),
	},
}

// programRules are about where the program of a process is from.
var programRules = []Rule{
	{
		ID: "process-memfd-program", Group: Processes, Severity: High, Techniques: []Technique{"T1620"},
		Title:   "A program runs that was only ever in memory",
		Meaning: "The program's file is a memfd: it was never on a disk, and is gone when the process ends. Malware is started so to leave no file behind.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Benign: []string{causeSealed}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(memfdProgram),
	},
	{
		ID: "process-deleted-program", Group: Processes, Severity: Medium, Techniques: []Technique{"T1070.004"},
		Title:   "A program runs whose file was deleted",
		Meaning: "The file that the process was started from is in no directory any more. Malware deletes itself once it runs; upgrades of packages do the same.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Benign: []string{causeUpgraded}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(deletedProgram),
	},
	{
		ID: "process-detached-gone", Group: Processes, Severity: High, Techniques: []Technique{"T1036", "T1070.004"},
		Title:   "A program without a file runs detached",
		Meaning: "Its program is in no directory, its three standard descriptors are /dev/null, and its parent is not who started it. That is how a dropper leaves what it dropped.",
		Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Next: "nodelens files IMAGE --pid {pid}", Check: perProcess(detachedGone),
	},
	{
		ID: "process-temporary-program", Group: Processes, Severity: High, Techniques: []Technique{"T1059", "T1036.005"},
		Title:   "A program runs out of a directory that everybody can write to",
		Meaning: "The program is in /tmp, /var/tmp, /dev/shm or below a descriptor of a process. Intruders put programs there, because they may; images and packages do not.",
		Needs:   Needs{Processes: true}, Benign: []string{causeBuild}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(temporaryProgram),
	},
	{
		ID: "process-hidden-directory-program", Group: Processes, Severity: Medium, Techniques: []Technique{"T1564.001"},
		Title:   "A program runs out of a hidden place",
		Meaning: "The program, or a directory above it, has a name that lists leave out or that looks like another. Known tools' own directories of that kind are not counted.",
		Needs:   Needs{Processes: true}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(hiddenDirectory),
	},
	{
		ID: "process-node-component-path", Group: Processes, Severity: High, Techniques: []Technique{"T1554", "T1036.005"},
		Title:   "A component of the node runs from an unusual place",
		Meaning: "A process is called as the kubelet or a container runtime is, and its program is in none of the places where nodes have them. It may have been replaced.",
		Needs:   Needs{Processes: true}, Benign: []string{"a distribution with places of its own"}, Next: "nodelens dump exe IMAGE --pid {pid} -o program", Check: perProcess(componentPath),
	},
}

// eachProcess calls do with each process until ctx ends.
func eachProcess(ctx context.Context, n *Node, do func(p *cos.Process)) error {
	for i := range n.Report.Processes {
		if err := ctx.Err(); err != nil {
			return err
		}
		do(&n.Report.Processes[i])
	}
	return nil
}

// kernelThreadName matches names that kernel threads have and programs have not, as the comm of a task or in brackets as ps shows them.
var kernelThreadName = regexp.MustCompile(`^\[?(kworker/|ksoftirqd/\d|migration/\d|cpuhp/\d|idle_inject/\d|rcu_(gp|par_gp|preempt|sched|bh|tasks)|kthreadd\b|` +
	`kswapd\d|kcompactd\d|khugepaged\b|ksmd\b|kauditd\b|khungtaskd\b|kdevtmpfs\b|oom_reaper\b|watchdogd\b|kblockd\b|kintegrityd\b|jbd2/|ext4-rsv-|xfsaild/|` +
	`scsi_eh_\d|scsi_tmf_\d|irq/\d|kthrotld\b|kstrp\b|slub_flushwq|mm_percpu_wq|inet_frag_wq|md\d+_raid|nvme-\w+-wq)`)

func kernelName(_ *Node, p *cos.Process, found func(Finding)) {
	if p.KernelThread || p.Exe == "" { // helpers that the kernel starts have its threads' names until they have a program
		return
	}
	var evidence []Evidence
	if kernelThreadName.MatchString(p.Comm) {
		evidence = append(evidence, ofTask(p, "comm", p.Comm))
	}
	if len(p.Args) > 0 && strings.HasPrefix(p.Args[0], "[") && kernelThreadName.MatchString(p.Args[0]) {
		evidence = append(evidence, ofTask(p, "argv[0]", p.Args[0]))
	}
	if len(evidence) == 0 {
		return
	}
	found(Finding{Confidence: Certain, Evidence: append(evidence, ofTask(p, "exe", p.Exe)),
		Summary: "it is called as a thread of the kernel is, and runs " + quote(p.Exe)})
}

// callsItselfKernel reports whether a process passes for a thread of the kernel.
func callsItselfKernel(p *cos.Process) (yes bool) {
	kernelName(nil, p, func(Finding) { yes = true })
	return yes
}

func kernelThreadUser(_ *Node, p *cos.Process, found func(Finding)) {
	if !p.KernelThread {
		return
	}
	var evidence []Evidence
	if p.Exe != "" {
		evidence = append(evidence, ofTask(p, "exe", p.Exe))
	}
	if len(p.Args) > 0 {
		evidence = append(evidence, ofTask(p, "argv[0]", p.Args[0]))
	}
	for i := range p.FDs {
		if strings.HasPrefix(p.FDs[i].Path, "socket:") {
			evidence = append(evidence, ofFile(&p.FDs[i], p.FDs[i].Path))
		}
	}
	if len(evidence) > 0 {
		found(Finding{Confidence: Certain, Evidence: evidence, Summary: "it is marked as a thread of the kernel, and has what only programs have"})
	}
}

// services are programs of a system by whose paths backdoors are known to call themselves.
var services = regexp.MustCompile(`^/(usr/)?(local/)?(s?bin|lib|libexec)/.*(sshd|systemd-journald|systemd-logind|systemd-resolved|systemd-networkd|dbus-daemon|agetty|crond?|atd|rsyslogd|` +
	`auditd|polkitd|udevd|chronyd|ntpd|kubelet|containerd|dockerd|NetworkManager|irqbalance|dhclient)$`)

func systemName(_ *Node, p *cos.Process, found func(Finding)) {
	if p.KernelThread || p.Exe == "" || len(p.Args) == 0 {
		return
	}
	said := strings.Fields(p.Args[0] + " ")
	if len(said) == 0 || !services.MatchString(said[0]) {
		return
	}
	name, is := path.Base(said[0]), program(p)
	if multicall.MatchString(is) || strings.HasPrefix(is, name) || strings.HasPrefix(name, is) || is == "udevadm" || shells.MatchString(is) {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{ofTask(p, "argv[0]", p.Args[0]), ofTask(p, "exe", p.Exe)},
		Summary: "it calls itself " + quote(said[0]) + ", and is " + quote(p.Exe)})
}

// alike reports whether one name begins with the other, which the kernel cuts off after 15 bytes.
func alike(a, b string) bool {
	return a == "" || b == "" || strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

func threeNames(_ *Node, p *cos.Process, found func(Finding)) {
	if p.KernelThread || p.Exe == "" || len(p.Args) == 0 || p.Args[0] == "" {
		return
	}
	is, said := program(p), path.Base(strings.TrimPrefix(p.Args[0], "-"))
	if multicall.MatchString(is) || alike(is, said) || alike(p.Comm, is) || alike(p.Comm, said) {
		return
	}
	found(Finding{Confidence: Possible, Evidence: []Evidence{ofTask(p, "comm", p.Comm), ofTask(p, "argv[0]", p.Args[0]), ofTask(p, "exe", p.Exe)},
		Summary: "its name is " + quote(p.Comm) + ", it calls itself " + quote(said) + ", and its program is " + quote(is)})
}

// misleading reports whether a text has characters that deceive who reads it.
func misleading(s string) bool {
	for _, c := range s {
		switch {
		case c < ' ' || c == 0x7f, c >= 0x80 && c <= 0x9f, c >= 0x200b && c <= 0x200f, c >= 0x202a && c <= 0x202e, c >= 0x2060 && c <= 0x2069, c == 0xfeff:
			return true
		}
	}
	return false
}

func unprintableName(_ *Node, p *cos.Process, found func(Finding)) {
	if !misleading(p.Comm) && strings.TrimSpace(p.Comm) != "" || p.KernelThread {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{ofTask(p, "comm", p.Comm), ofTask(p, "exe", p.Exe)}, Summary: "its name is empty, or has characters that are not shown"})
}

func hiddenProcess(ctx context.Context, n *Node, r *Reporter) error {
	if !n.TasksWhole() {
		r.NotChecked("the views of the set of tasks are not whole: that one lacks a task says nothing")
		return nil
	}
	n.hiddenThreads(r.Found)
	return eachProcess(ctx, n, func(p *cos.Process) {
		lack := linux.LeaderSources &^ p.Sources
		if lack == 0 || p.State == linux.Dead || p.State == linux.Zombie {
			return
		}
		f := Finding{Subject: n.OfProcess(p), Confidence: Certain, Evidence: []Evidence{ofTask(p, "found by", p.Sources.String()), ofTask(p, "missing from", lack.String())},
			Summary: "it is missing from " + lack.String() + ", and was found by " + p.Sources.String(), Benign: []Benign{{causeSmear, RuledOut}}}
		if n.Report.Consistency == nil || n.Report.Consistency.Broken > 0 {
			f.Confidence, f.Benign[0].State = Possible, Unchecked
		}
		r.Found(f)
	})
}

// hiddenThread is how the object of a loss names a thread that is not in the table of PIDs, and its process.
var hiddenThread = regexp.MustCompile(`^task \d+, thread of task (\d+)$`)

// hiddenThreads looks for threads that the table of PIDs lacks, of which the losses alone tell.
func (n *Node) hiddenThreads(found func(Finding)) {
	for i := range n.Report.Gaps {
		g := &n.Report.Gaps[i]
		m := hiddenThread.FindStringSubmatch(g.Object)
		if m == nil || !errors.Is(g.Err, linux.ErrHidden) {
			continue
		}
		f := Finding{Object: g.Object, Confidence: Likely, Evidence: []Evidence{{"task_struct", vmem.VirtAddr(g.Place.Addr), "hidden", g.Err.Error()}}, Summary: g.Object + ", is missing from the table of PIDs"}
		if pid, err := strconv.ParseInt(m[1], 10, 32); err == nil && n.Process(int32(pid)) != nil {
			f.Subject = n.OfProcess(n.Process(int32(pid)))
		}
		found(f)
	}
}

// clockSlack is how far times of start may be apart without meaning anything.
const clockSlack = time.Second

func startTime(n *Node, p *cos.Process, found func(Finding)) {
	if p.StartTime.IsZero() || p.State == linux.Zombie || p.State == linux.Dead {
		return
	}
	at := ofTask(p, "start time", p.StartTime.UTC().Format(time.RFC3339Nano))
	if now := n.Now(); !now.IsZero() && p.StartTime.After(now.Add(clockSlack)) {
		found(Finding{Confidence: Likely, Evidence: []Evidence{at}, Summary: "it was started after the image was taken, " + now.UTC().Format(time.RFC3339)})
	}
	parent := n.Process(p.PPID)
	if parent == nil || parent.StartTime.IsZero() || !p.StartTime.Before(parent.StartTime.Add(-clockSlack)) {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{at, ofTask(parent, "start time", parent.StartTime.UTC().Format(time.RFC3339Nano))},
		Summary: fmt.Sprintf("it was started before its parent, PID %d", parent.PID)})
}

// goneProgram returns the file without a name that is a process's program; nil where its program has one.
func (n *Node) goneProgram(pid int32) *cos.NamelessFile { return n.gone[pid] }

// inMemoryOnly reports whether a file without a name is a memfd. No directory is above the file system that those are in, so no name
// of a file that somebody chose is there.
func inMemoryOnly(f *cos.NamelessFile) bool {
	return f.FSType == "tmpfs" && strings.HasPrefix(f.Path, "/memfd:")
}

func ofInode(f *cos.NamelessFile, field, value string) Evidence {
	return Evidence{Type: "inode", Addr: f.Addr, Field: field, Value: value}
}

func memfdProgram(n *Node, p *cos.Process, found func(Finding)) {
	f := n.goneProgram(p.PID)
	if f == nil || !inMemoryOnly(f) {
		return
	}
	found(Finding{Confidence: Certain, Object: f.Path, Benign: []Benign{{causeSealed, n.sealedRuntime(p)}},
		Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "file system", f.FSType), ofTask(p, "exe", p.Exe)},
		Summary:  "it runs " + quote(f.Path) + ", which is in no file system"})
}

// runtimePrograms are those that start containers from a copy of themselves, and those that start these.
var (
	runtimePrograms = regexp.MustCompile(`^(runc|crun|youki)(:|$)`)
	runtimeParents  = regexp.MustCompile(`^(containerd-shim.*|containerd|crio|conmon|dockerd|podman|runc|crun)$`)
)

// sealedLife is how long a runtime may be at starting a container.
const sealedLife = 30 * time.Second

// sealedRuntime reports whether a process is a container runtime's that has just begun: by its age, and by its ancestors, which but for copies
// like it are one of those that start it, outside of containers and where nodes have it. Its name alone, which it chooses itself, is no sign.
func (n *Node) sealedRuntime(p *cos.Process) BenignState {
	if !runtimePrograms.MatchString(p.Comm) {
		return RuledOut
	}
	if p.StartTime.IsZero() || n.Now().IsZero() {
		return Unchecked
	}
	parent := n.Process(p.PPID)
	for range maxCopies {
		if parent == nil || parent.PodUID != "" || parent.ContainerID != "" || !runtimePrograms.MatchString(parent.Comm) {
			break
		}
		parent = n.Process(parent.PPID)
	}
	switch {
	case n.Now().Sub(p.StartTime) > sealedLife:
		return RuledOut
	case parent == nil:
		return Unchecked
	case parent.PodUID != "" || parent.ContainerID != "" || !runtimeParents.MatchString(program(parent)) || !componentPlaces.MatchString(parent.Exe):
		return RuledOut
	}
	return Applies
}

// maxCopies is how many copies of a runtime are above each other while it starts a container.
const maxCopies = 4

// startsContainer reports whether a process is a runtime's at its work, which is in a container before it is what runs there.
func (n *Node) startsContainer(p *cos.Process) bool { return n.sealedRuntime(p) == Applies }

// Now returns when memory was imaged, as the kernel's clock has it; zero where that is not known.
func (n *Node) Now() time.Time {
	if c := n.Report.Consistency; c != nil && !c.Latest.IsZero() {
		return c.Latest
	}
	return n.Report.Provenance.Captured
}

func deletedProgram(n *Node, p *cos.Process, found func(Finding)) {
	f := n.goneProgram(p.PID)
	if f == nil || inMemoryOnly(f) {
		return
	}
	severity, state := Medium, Unchecked
	if p.PodUID != "" {
		severity, state = High, RuledOut // images are not upgraded in place
	}
	found(Finding{Severity: severity, Confidence: Certain, Object: f.Path, Benign: []Benign{{causeUpgraded, state}},
		Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "file system", f.FSType), ofTask(p, "exe", p.Exe)},
		Summary:  "it runs " + quote(f.Path) + ", which is in no directory any more"})
}

func detachedGone(n *Node, p *cos.Process, found func(Finding)) {
	f := n.goneProgram(p.PID)
	if f == nil || n.startsContainer(p) {
		return
	}
	for number := range 3 {
		if fd(p, number) != "/dev/null" {
			return
		}
	}
	parent := n.Process(p.PPID)
	if parent == nil || p.PPID != 1 && (p.ContainerID == "" || parent.ContainerID == p.ContainerID && n.Init(p.ContainerID) != parent) || n.Init(p.ContainerID) == p {
		return
	}
	found(Finding{Confidence: Likely, Object: f.Path, Evidence: []Evidence{ofInode(f, "path", f.Path), ofTask(p, "descriptors 0 to 2", "/dev/null"), ofTask(p, "parent", fmt.Sprint(p.PPID))},
		Summary: "its program is gone, its standard descriptors are /dev/null, and who started it has ended"})
}

var temporaryPlace = regexp.MustCompile(`^(/tmp|/var/tmp|/dev/shm|/dev/mqueue|/run/user/\d+|/proc/(\d+|self)/fd)/`)

func temporaryProgram(_ *Node, p *cos.Process, found func(Finding)) {
	if !temporaryPlace.MatchString(p.Exe) {
		return
	}
	severity := High
	if p.PodUID == "" {
		severity = Medium
	}
	found(Finding{Severity: severity, Confidence: Certain, Object: p.Exe, Evidence: []Evidence{ofTask(p, "exe", p.Exe)}, Summary: "it runs " + quote(p.Exe)})
}

// knownHidden are hidden directories of tools, with programs in them.
var knownHidden = regexp.MustCompile(`^\.(local|cargo|rustup|nvm|npm|npm-global|venv|virtualenvs|pyenv|rbenv|asdf|volta|bun|deno|dotnet|sdkman|jdks|gradle|m2|cache|config|vscode-server|cursor-server|krew|go|pnpm|yarn|linuxbrew|nix-profile|build-id|next|bin|heroku|poetry|rye|uv|mise|proto|fnm|opam|ghcup|cabal|stack|rvm|gem|composer|foundry|juliaup|swiftly|dapr|docker)$`)

func hiddenDirectory(_ *Node, p *cos.Process, found func(Finding)) {
	for part := range strings.SplitSeq(strings.TrimSuffix(p.Exe, " (deleted)"), "/") {
		odd := strings.HasPrefix(part, ".") && !knownHidden.MatchString(part) || part != "" && strings.TrimSpace(part) != part || misleading(part)
		if odd {
			found(Finding{Confidence: Likely, Object: p.Exe, Evidence: []Evidence{ofTask(p, "exe", p.Exe)}, Summary: "the part " + quote(part) + " of its path is hidden"})
			return
		}
	}
}

// components are programs of a node, and the directories in which nodes have them.
var (
	components      = regexp.MustCompile(`^(kubelet|containerd|containerd-shim.*|dockerd|crio|conmon|runc|kube-proxy)$`)
	componentPlaces = regexp.MustCompile(`^(/usr)?(/local)?/s?bin/|^/usr/(libexec|lib)/|^/home/kubernetes/bin/|^/opt/(bin|cni|containerd|k3s|rke2)/|^/var/lib/(rancher|toolbox|k0s)/|^/snap/|^/nix/store/|^/gnu/store/`)
)

func componentPath(_ *Node, p *cos.Process, found func(Finding)) {
	if p.PodUID != "" || p.Exe == "" || strings.HasPrefix(p.Exe, "/memfd:") || !components.MatchString(program(p)) || componentPlaces.MatchString(p.Exe) {
		return
	}
	found(Finding{Confidence: Likely, Object: p.Exe, Evidence: []Evidence{ofTask(p, "exe", p.Exe)}, Summary: "it runs " + quote(p.Exe)})
}
