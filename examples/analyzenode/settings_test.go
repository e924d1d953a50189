package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	kernel "github.com/nodelens/nodelens/linux/settings"
)

// A kernel's settings are a line, which ends in what a responder should not overlook.
func TestPrintSettings(t *testing.T) {
	value := "1"
	sysctls := []kernel.Sysctl{{Name: "a", Value: &value}, {Name: "b", Namespace: "net:[7]"}, {Name: "c", Namespace: "net:[7]"}}
	usual := kernel.Text{Value: "/sbin/modprobe"}
	for _, tt := range []struct {
		settings kernel.Settings
		want     string
	}{
		{kernel.Settings{ModprobePath: usual, CorePattern: kernel.Text{Value: "core"}}, "kernel settings: 0 sysctls in 1 set of namespaces\n"},
		{kernel.Settings{
			Sysctls: sysctls, LSMs: []string{"capability", "yama"}, Lockdown: "none", Configuration: "CONFIG_X=y\n", Taint: kernel.Taint{Value: 4097, Meanings: []string{"proprietary module", "out-of-tree module"}},
			CorePattern: kernel.Text{Value: "|/tmp/\x1bx"}, ModprobePath: kernel.Text{Value: "/tmp/y"}, UeventHelper: kernel.Text{Value: "/tmp/z"},
			BinfmtMisc: []kernel.MiscFormat{{Name: "elf", Enabled: true, Interpreter: "/tmp/i"}, {Name: "off"}}, KexecImage: 0x10, Livepatches: []string{"patch"},
		}, `kernel settings: 3 sysctls in 2 sets of namespaces, configuration of 11 bytes, security modules capability,yama, lockdown none; ` +
			`TAINTED: 4097 (proprietary module, out-of-tree module); the kernel starts: for cores /tmp/\x1bx; for modules /tmp/y; for events /tmp/z; ` +
			"binary formats: elf by /tmp/i; kexec: another kernel is loaded; LIVEPATCHED: patch\n"},
	} {
		r := node()
		r.Kernel.Settings = &tt.settings
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		printReport(w, r)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(out.String(), "  symbols from the image\n")
		if want := tt.want + "\npod (unknown)"; !ok || !strings.HasPrefix(rest, want) {
			t.Errorf("%q, want %q", rest[:min(len(rest), len(want))], want)
		}
	}
}
