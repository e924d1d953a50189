package findings_test

import (
	"maps"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/linux/settings"
)

// hook is an example of a table: a place that leads to unknown code, and one that leads to what belongs there.
func hook(table string) example {
	place := func(suspect bool) func(f fixture) {
		return func(f fixture) {
			f.Hooks = []integrity.Hook{{Table: table, Entry: "entry", Address: 0xffffffff81000000, Target: 0xffffffffc0001000, Suspect: suspect, Evidence: []string{"it is in no code that the kernel knows of"}}}
		}
	}
	return example{subject: ofNode, hit: place(true), miss: place(false)}
}

func program(kind bpf.ProgramType, change func(p *cos.BPFProgram)) func(fixture) {
	return func(f fixture) {
		p := cos.BPFProgram{Program: bpf.Program{ID: 7, Type: kind, FullName: "prog", Owners: []bpf.Owner{{PID: 1, FD: 5}}}}
		if change != nil {
			change(&p)
		}
		f.BPF.Programs = []cos.BPFProgram{p}
	}
}

var kernelExamples = map[string]example{
	"kernel-syscall-hook": hook("sys_call_table"), "kernel-interrupt-hook": hook("idt"), "kernel-ftrace-hook": hook("ftrace"), "kernel-probe-hook": hook("kprobes"),
	"kernel-tracepoint-hook": hook("tracepoints"), "kernel-security-hook": hook("lsm"), "kernel-proc-hook": hook("proc"), "kernel-filesystem-hook": hook("superblocks"),
	"kernel-network-hook": hook("netfilter"), "kernel-input-hook": hook("tty"), "kernel-notifier-hook": hook("notifiers"), "kernel-timer-hook": hook("timers"),
	"kernel-thread-hook": hook("kthreads"), "kernel-patched-branch": hook("static_calls"), "kernel-other-hook": hook("a table that comes later"),
	"kernel-code-modified": {subject: ofNode,
		hit: func(f fixture) {
			f.Text = &ktext.Report{Modifications: []ktext.Modification{{Address: 0xffffffff81000000, Symbol: "tcp4_seq_show", Expected: "0f1f", Found: "e9aa", Meaning: "a jump"}}}
		},
		miss: func(f fixture) { f.Text = &ktext.Report{Patched: make([]ktext.Patched, 1)} }},
	"kernel-hidden-module": {subject: ofNode,
		hit:  func(f fixture) { f.load(module.Module{Name: "x", Missing: module.InList, Sources: module.InMemory}) },
		miss: func(f fixture) { f.load(module.Module{Name: "x", Missing: module.InList, State: module.Going}) }},
	"kernel-unsigned-module": {subject: ofNode,
		hit:  func(f fixture) { f.load(module.Module{Name: "x", Taints: 1 << 13}) },
		miss: func(f fixture) { f.load(module.Module{Name: "x", Taints: 1 << 10}) }}, // of the staging tree
	"kernel-taint-without-module": {subject: ofNode,
		hit:  func(f fixture) { f.Kernel.Settings.Taint.Letters = "O" },
		miss: func(f fixture) { f.Kernel.Settings.Taint.Letters = "O"; f.load(module.Module{Taints: 1 << 12}) }},
	"kernel-module-unloading-state": {subject: ofNode,
		hit: func(f fixture) { f.load(module.Module{Name: "x", State: module.Going}) }, miss: func(f fixture) { f.load(module.Module{Name: "x"}) }},
	"bpf-hidden": {subject: "node PID 1",
		hit: program(bpf.Tracing, func(p *cos.BPFProgram) { p.Hidden = true }), miss: program(bpf.Tracing, nil)},
	"bpf-writes-user-memory": {subject: "node PID 1",
		hit:  program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Helpers = []string{"bpf_probe_write_user"} }),
		miss: program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Helpers = []string{"bpf_probe_read_user"} })},
	"bpf-unowned": {subject: ofNode,
		hit:  program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Owners = nil }),
		miss: program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Owners, p.Pins = nil, []string{"/sys/fs/bpf/x"} })},
	"bpf-detached-in-force": {subject: "node PID 1",
		hit:  program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Attachments = []bpf.Attachment{{Kind: "cgroup", Flags: "effective alone"}} }),
		miss: program(bpf.Kprobe, func(p *cos.BPFProgram) { p.Attachments = []bpf.Attachment{{Kind: "cgroup", Flags: "multi"}} })},
	"bpf-kernel-program-of-pod": {subject: ofServer,
		hit:  program(bpf.Kprobe, func(p *cos.BPFProgram) { p.PodUID, p.Owners = podUID, []bpf.Owner{{PID: pidServer}} }),
		miss: program(bpf.SocketFilter, func(p *cos.BPFProgram) { p.PodUID, p.Owners = podUID, []bpf.Owner{{PID: pidServer}} })},
	"bpf-security-program": {subject: "node PID 1",
		hit: program(bpf.LSM, func(p *cos.BPFProgram) {
			p.Attachments = []bpf.Attachment{{Kind: "tracing", Target: "bpf_lsm_file_open"}}
		}),
		miss: program(bpf.LSM, func(p *cos.BPFProgram) { // systemd's own
			p.FullName, p.Attachments = "restrict_filesystems", []bpf.Attachment{{Kind: "tracing", Target: "bpf_lsm_file_open"}}
		})},
	"bpf-network-pinned": {subject: ofNode,
		hit:  program(bpf.SocketFilter, func(p *cos.BPFProgram) { p.Owners, p.Attachments = nil, []bpf.Attachment{{Kind: "socket"}} }),
		miss: program(bpf.SocketFilter, func(p *cos.BPFProgram) { p.Attachments = []bpf.Attachment{{Kind: "socket"}} })},
	"kernel-log-fault":           logs("BUG: kernel NULL pointer dereference, address: 0000000000000000", "debug: BUG: no", 1),
	"kernel-log-unsigned-module": logs("x: loading out-of-tree module taints kernel.", "x: loading module", 1),
	"kernel-log-bpf-write":       logs("x[12] is installing a program with bpf_probe_write_user helper that may corrupt user memory!", "bpf: program", 1),
	"kernel-log-crashes":         logs("x[12]: segfault at 0 ip 0000000000401000 sp 00007ffd00000000 error 4 in x[400000+1000]", "x[12]: done", 21),
	"kernel-log-out-of-memory":   logs("Memory cgroup out of memory: Killed process 12 (x) total-vm:1kB", "Out of socks", 1),
	"kernel-log-promiscuous":     logs("device eth0 entered promiscuous mode", "device eth0 left promiscuous mode", 1),
}

// logs are examples of records: as many as a rule asks for of the kernel; and others, and the same of a program.
func logs(hit, miss string, count int) example {
	return example{subject: ofNode,
		hit: func(f fixture) {
			for range count {
				f.Log = append(f.Log, printk.Record{Text: hit})
			}
		},
		miss: func(f fixture) {
			f.Log = []printk.Record{{Text: miss}}
			for range count {
				f.Log = append(f.Log, printk.Record{Facility: 1, Text: hit}) // by /dev/kmsg
			}
		}}
}

func settingExamples() map[string]example {
	all := maps.Clone(helperExamples)
	for id, s := range map[string][3]string{
		"kernel-aslr-off": {"kernel/randomize_va_space", "1", "2"}, "kernel-unprivileged-bpf": {"kernel/unprivileged_bpf_disabled", "0", "1"}, "kernel-pointers-shown": {"kernel/kptr_restrict", "0", "2"},
		"kernel-log-readable": {"kernel/dmesg_restrict", "0", "1"}, "kernel-ptrace-open": {"kernel/yama/ptrace_scope", "0", "2"}, "kernel-perf-open": {"kernel/perf_event_paranoid", "-1", "2"},
		"kernel-links-unprotected": {"fs/protected_symlinks", "0", "1"}, "kernel-hardlinks-unprotected": {"fs/protected_hardlinks", "0", "1"}, "kernel-setuid-dumps": {"fs/suid_dumpable", "1", "2"},
		"kernel-low-memory-mapped": {"vm/mmap_min_addr", "0", "4096"}, "kernel-userfaultfd-open": {"vm/unprivileged_userfaultfd", "1", "0"},
	} {
		all[id] = example{subject: ofNode, hit: func(f fixture) { f.sysctl(s[0], s[1]) }, miss: func(f fixture) { f.sysctl(s[0], s[2]) }}
	}
	return all
}

// of sets something of the kernel's settings.
func of(change func(s *settings.Settings)) func(fixture) {
	return func(f fixture) { change(f.Kernel.Settings) }
}

var helperExamples = map[string]example{
	"kernel-core-pattern": {subject: ofNode,
		hit: of(func(s *settings.Settings) { s.CorePattern.Value = "|/var/lib/containerd/x/fs/tmp/x %P" }),
		miss: of(func(s *settings.Settings) {
			s.CorePattern.Value = "|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h"
		})},
	"kernel-helper-program": {subject: ofNode,
		hit:  of(func(s *settings.Settings) { s.ModprobePath.Value = "/tmp/x" }),
		miss: of(func(s *settings.Settings) { s.ModprobePath.Value = "/usr/sbin/modprobe" })},
	"kernel-binary-format": {subject: ofNode,
		hit: of(func(s *settings.Settings) {
			s.BinfmtMisc = []settings.MiscFormat{{Name: "x", Enabled: true, Interpreter: "/tmp/x"}}
		}),
		miss: of(func(s *settings.Settings) {
			s.BinfmtMisc = []settings.MiscFormat{{Name: "x", Enabled: true, Interpreter: "/usr/bin/qemu-aarch64-static"}}
		})},
	"kernel-kexec-loaded": {subject: ofNode,
		hit:  of(func(s *settings.Settings) { s.KexecImage = 0xffff888000000000 }),
		miss: of(func(s *settings.Settings) { s.KexecCrash = 0xffff888000000000 })}, // kdump
	"kernel-live-patch": {subject: ofNode, hit: of(func(s *settings.Settings) { s.Livepatches = []string{"x"} }), miss: nothing},
	"kernel-command-line": {subject: ofNode,
		hit:  of(func(s *settings.Settings) { s.CommandLine.Value = "quiet nokaslr" }),
		miss: of(func(s *settings.Settings) { s.CommandLine.Value = "quiet mitigations=auto" })},
	"kernel-no-mandatory-access": {subject: ofNode,
		hit: of(func(s *settings.Settings) { s.LSMs = []string{"capability", "yama"} }), miss: of(func(s *settings.Settings) { s.LSMs = []string{"capability", "selinux"} })},
	"kernel-forced-taint": {subject: ofNode,
		hit: of(func(s *settings.Settings) { s.Taint.Letters = "D" }), miss: of(func(s *settings.Settings) { s.Taint.Letters = "W" })},
}
