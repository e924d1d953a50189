package findings

import (
	"context"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
)

// Causes without harm that several rules know.
const (
	causeSealed   = "a container runtime runs from a sealed copy of itself while it starts a container"
	causeUpgraded = "its package was upgraded while it ran"
	causeJIT      = "a just-in-time compiler"
	causeAgent    = "an agent of the node, such as one for logs, metrics or security"
	causeOperator = "an operator at work"
	causeSmear    = "the machine ran while its memory was copied"
)

func processRules() []Rule {
	return []Rule{
		{
			ID: "process-kernel-name", Group: Processes, Severity: High, Techniques: []Technique{"T1036.004", "T1036.009"},
			Title:   "A process calls itself a thread of the kernel",
			Meaning: "Its name or its first argument is that of a kernel thread, but it runs a program of its own. Programs that hide among kernel threads do that; nothing else is known to.",
			Needs:   Needs{Processes: true}, Next: "nodelens maps --pid {pid}", Check: kernelName,
		},
		{
			ID: "process-memfd-program", Group: Processes, Severity: High, Techniques: []Technique{"T1620"},
			Title:   "A program runs that was only ever in memory",
			Meaning: "The program's file is a memfd: it was never on a disk, and is gone when the process ends. Malware is started so to leave no file behind.",
			Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Benign: []string{causeSealed}, Next: "nodelens dump --pid {pid} --exe", Check: memfdProgram,
		},
		{
			ID: "process-deleted-program", Group: Processes, Severity: Medium, Techniques: []Technique{"T1070.004"},
			Title:   "A program runs whose file was deleted",
			Meaning: "The file that the process was started from is in no directory any more. Malware deletes itself once it runs; upgrades of packages do the same.",
			Needs:   Needs{Processes: true, Sections: cos.SectionFiles}, Benign: []string{causeUpgraded}, Next: "nodelens dump --pid {pid} --exe", Check: deletedProgram,
		},
		{
			ID: "process-hidden", Group: Processes, Severity: Critical, Techniques: []Technique{"T1014", "T1564"},
			Title:   "A process is hidden from a view of the kernel",
			Meaning: "One of the two views that every process is in lacks it, though that view is whole. Rootkits take processes out of the list that ps reads.",
			Needs:   Needs{Processes: true}, Benign: []string{causeSmear}, Next: "nodelens ps --pid {pid} -o json", Check: hiddenProcess,
		},
	}
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

// kernelThreadName matches names that kernel threads have, as the comm of a task or in brackets as ps shows them.
var kernelThreadName = regexp.MustCompile(`^\[?(kworker/|ksoftirqd/\d|migration/\d|cpuhp/\d|idle_inject/\d|rcu_(gp|par_gp|preempt|sched|bh|tasks)|kthreadd\b|` +
	`kswapd\d|kcompactd\d|khugepaged\b|ksmd\b|kauditd\b|khungtaskd\b|kdevtmpfs\b|oom_reaper\b|watchdogd\b|kblockd\b|kintegrityd\b|jbd2/|ext4-rsv-|xfsaild/|` +
	`scsi_eh_\d|scsi_tmf_\d|irq/\d|kthrotld\b|kstrp\b|netns\b|slub_flushwq|mm_percpu_wq|inet_frag_wq|writeback\b|md\d+_raid|loop\d+$|nvme-\w+-wq)`)

// kernelThreadNames that programs have as well: of these the brackets alone are a sign.
var sharedNames = map[string]bool{"netns": true, "writeback": true}

func kernelName(ctx context.Context, n *Node, r *Reporter) error {
	return eachProcess(ctx, n, func(p *cos.Process) {
		if p.KernelThread || p.Exe == "" { // helpers that the kernel starts have its threads' names until they have a program
			return
		}
		var evidence []Evidence
		if kernelThreadName.MatchString(p.Comm) && !sharedNames[p.Comm] {
			evidence = append(evidence, ofTask(p, "comm", p.Comm))
		}
		if len(p.Args) > 0 && strings.HasPrefix(p.Args[0], "[") && kernelThreadName.MatchString(p.Args[0]) {
			evidence = append(evidence, ofTask(p, "argv[0]", p.Args[0]))
		}
		if len(evidence) == 0 {
			return
		}
		evidence = append(evidence, ofTask(p, "exe", p.Exe))
		r.Found(Finding{Subject: n.OfProcess(p), Confidence: Certain, Evidence: evidence,
			Summary: "it is called as a thread of the kernel is, and runs " + p.Exe})
	})
}

// goneProgram returns the file without a name that is a process's program; nil where its program has one.
func (n *Node) goneProgram(pid int32) *cos.NamelessFile {
	for i := range n.Report.Files.Nameless {
		f := &n.Report.Files.Nameless[i]
		for _, h := range f.Holders {
			if h.PID == pid && h.How == "exe" {
				return f
			}
		}
	}
	return nil
}

// inMemoryOnly reports whether a file without a name is a memfd. No directory is above the file system that those are in, so no name
// of a file that somebody chose is there.
func inMemoryOnly(f *cos.NamelessFile) bool {
	return f.FSType == "tmpfs" && strings.HasPrefix(f.Path, "/memfd:")
}

func ofInode(f *cos.NamelessFile, field, value string) Evidence {
	return Evidence{Type: "inode", Addr: f.Addr, Field: field, Value: value}
}

func memfdProgram(ctx context.Context, n *Node, r *Reporter) error {
	return eachProcess(ctx, n, func(p *cos.Process) {
		f := n.goneProgram(p.PID)
		if f == nil || !inMemoryOnly(f) {
			return
		}
		r.Found(Finding{Subject: n.OfProcess(p), Confidence: Certain, Object: f.Path, Benign: []Benign{{causeSealed, n.sealedRuntime(p)}},
			Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "file system", f.FSType), ofTask(p, "exe", p.Exe)},
			Summary:  "it runs " + f.Path + ", which is in no file system"})
	})
}

// runtimePrograms are those that start containers from a copy of themselves, and those that start these.
var (
	runtimePrograms = regexp.MustCompile(`^(runc|crun|youki)(:|$)`)
	runtimeParents  = regexp.MustCompile(`^(containerd-shim.*|containerd|crio|conmon|dockerd|podman|runc|crun)$`)
)

// sealedLife is how long a runtime may be at starting a container.
const sealedLife = 30 * time.Second

// sealedRuntime reports whether a process is a container runtime's that has just begun: by its name, by a parent that is one of those that
// start it, and by its age.
func (n *Node) sealedRuntime(p *cos.Process) BenignState {
	if !runtimePrograms.MatchString(p.Comm) {
		return RuledOut
	}
	parent := n.Process(p.PPID)
	if parent == nil || p.StartTime.IsZero() || n.Now().IsZero() {
		return Unchecked
	}
	if parent.PodUID != "" || !runtimeParents.MatchString(path.Base(parent.Exe)) && !runtimePrograms.MatchString(parent.Comm) || n.Now().Sub(p.StartTime) > sealedLife {
		return RuledOut
	}
	return Applies
}

// Now returns when memory was imaged, as the kernel's clock has it; zero where that is not known.
func (n *Node) Now() time.Time {
	if c := n.Report.Consistency; c != nil && !c.Latest.IsZero() {
		return c.Latest
	}
	return n.Report.Provenance.Captured
}

func deletedProgram(ctx context.Context, n *Node, r *Reporter) error {
	return eachProcess(ctx, n, func(p *cos.Process) {
		f := n.goneProgram(p.PID)
		if f == nil || inMemoryOnly(f) {
			return
		}
		severity := Medium
		state := Unchecked
		if p.PodUID != "" {
			severity, state = High, RuledOut // images are not upgraded in place
		}
		r.Found(Finding{Subject: n.OfProcess(p), Severity: severity, Confidence: Certain, Object: f.Path, Benign: []Benign{{causeUpgraded, state}},
			Evidence: []Evidence{ofInode(f, "path", f.Path), ofInode(f, "file system", f.FSType), ofTask(p, "exe", p.Exe)},
			Summary:  "it runs " + f.Path + ", which is in no directory any more"})
	})
}

func hiddenProcess(ctx context.Context, n *Node, r *Reporter) error {
	if !n.TasksWhole() {
		r.NotChecked("the views of the set of tasks are not whole: that one lacks a task says nothing")
		return nil
	}
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
