package findings_test

import (
	"testing"
	"time"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// A disguise is what somebody does so that a rule does not find him, or takes him for what does no harm.
type disguise struct {
	rule string
	put  func(f fixture)
}

var disguises = map[string]disguise{
	"a program for crashes in /tmp":                 {"kernel-core-pattern", func(f fixture) { f.Kernel.Settings.CorePattern.Value = "|/tmp/x" }},
	"a program for crashes with the name of dumps":  {"kernel-core-pattern", func(f fixture) { f.Kernel.Settings.CorePattern.Value = "|/var/crash/core" }},
	"a path that leads out of where collectors are": {"kernel-core-pattern", func(f fixture) { f.Kernel.Settings.CorePattern.Value = "|/usr/lib/core_collector/../../../tmp/x" }},
	"an interpreter whose path leads elsewhere": {"kernel-binary-format", func(f fixture) {
		f.Kernel.Settings.BinfmtMisc = []settings.MiscFormat{{Name: "x", Enabled: true, Interpreter: "/usr/bin/qemu-x/../../../tmp/x"}}
	}},
	"a thread that is hidden beside": {"process-hidden", func(f fixture) {
		f.process(pidServer).Sources = linux.InPIDIDR
		f.Gaps = []vmem.Gap{{Object: "task 205, thread of task 102", Place: vmem.KernelPlace(0xffff888000205000), Err: linux.ErrHidden}}
	}},
	"a thread alone that is hidden": {"process-hidden", func(f fixture) {
		f.Gaps = []vmem.Gap{{Object: "task 205, thread of task 102", Place: vmem.KernelPlace(0xffff888000205000), Err: linux.ErrHidden}}
	}},
	"a capability of a process called runc": {"process-capabilities-gained", func(f fixture) {
		f.rights(pidWorker).Permitted |= 1 << 21
		f.process(pidWorker).Comm = "runc"
	}},
	"a lost filter of a process called runc": {"process-seccomp-lost", func(f fixture) {
		f.rights(pidWorker).Seccomp.Mode = "off"
		f.process(pidWorker).Comm = "runc:[2:INIT]"
	}},
	"the node's files for a process called crun": {"process-node-namespaces", func(f fixture) {
		f.process(pidWorker).Namespaces.Mnt = 1
		f.process(pidWorker).Comm = "crun"
	}},
	"other namespaces of a process called runc": {"process-namespace-differs", func(f fixture) {
		f.process(pidWorker).Namespaces.Net = 1
		f.process(pidWorker).Comm = "runc"
	}},
	"a shell called runc": {"process-exec-shell", func(f fixture) { f.in(200, 50, "runc", "/bin/bash", "bash") }},
	"a program called runc in the sandbox": {"pod-sandbox-program", func(f fixture) {
		p := f.process(pidPause)
		p.Comm, p.Exe = "runc", "/x"
	}},
	"a program in memory below another that is called runc": {"process-memfd-program", func(f fixture) {
		f.start(70, 1, "runc", "/tmp/x", "runc")
		p := f.start(71, 70, "runc", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", "init")
		p.StartTime = imaged.Add(-time.Second)
		f.gone("tmpfs", p.Exe, 71, "exe")
	}},
	"a program in memory below one that is called as a shim is": {"process-memfd-program", func(f fixture) {
		f.start(70, 1, "containerd-shim", "/tmp/containerd-shim", "containerd-shim")
		p := f.start(71, 70, "runc", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", "init")
		p.StartTime = imaged.Add(-time.Second)
		f.gone("tmpfs", p.Exe, 71, "exe")
	}},
}

// No disguise takes a finding away, or explains it.
func TestDisguises(t *testing.T) {
	for name, d := range disguises {
		t.Run(name, func(t *testing.T) {
			f := clean()
			d.put(f)
			if r := ruleFinds(t, d.rule, f); len(alarms(r)) == 0 {
				t.Errorf("%s does not find it: %+v; not checked: %+v", d.rule, r.Findings, r.NotChecked)
			}
		})
	}
}
