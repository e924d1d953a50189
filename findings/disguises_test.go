package findings_test

import (
	"testing"

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
