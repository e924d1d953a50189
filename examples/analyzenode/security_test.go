package main

import (
	"bufio"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/memory"
	lp "github.com/nodelens/nodelens/linux/process"
)

// TestPrintSecurity: what processes of pods may do is told, and what is suspicious in memory, safely for a terminal.
func TestPrintSecurity(t *testing.T) {
	r := &cos.NodeReport{
		Security: []cos.ProcessSecurity{
			{PID: 1},
			{PID: 7, PodUID: "u", Security: lp.Security{
				Credentials: lp.Credentials{EUID: 5, Effective: 3}, NoNewPrivs: true, Seccomp: lp.Seccomp{Mode: "filter"}, AppArmor: &lp.AppArmor{Profile: "p\x1b", Mode: "enforce"},
			}},
			{PID: 8, PodUID: "u", Security: lp.Security{Credentials: lp.Credentials{Effective: lp.AllCapabilities}, Seccomp: lp.Seccomp{Mode: "off"}}},
		},
		Memory: []cos.SuspiciousMemory{{Finding: memory.Finding{
			Kind: memory.WritableCode, Level: memory.High, Why: "it can be written and executed", PID: 7, Address: 0x1000, Flags: "rwxp", Path: "/a\nb", Code: []string{"0x1000: nop"},
		}}},
		Maps: []cos.ProcessMaps{{PID: 1}, {PID: 7, PodUID: "u", Mappings: []cos.Mapping{{
			Start: 0x1000, End: 0x3000, Flags: "rw-p", Offset: 0x2000, Major: 8, Minor: 17, Inode: 5, Path: "/a\nb", Usage: memory.Usage{RSS: 4096, Size: 8192},
		}}}},
	}
	want := `security: 3 processes
  process 7: uid 5, 2 capabilities, seccomp filter, AppArmor p\x1b (enforce), no new privileges
  process 8: uid 0, all capabilities, seccomp off, AppArmor unconfined
memory: 1 findings
  high: process 7 at 0x1000: rwxp /a\nb: it can be written and executed
    0x1000: nop
maps: 2 processes
  process 7: 1 mappings
    00001000-00003000 rw-p 00002000 08:11 5 /a\nb: 4 kB of 8
`
	var b strings.Builder
	w := bufio.NewWriter(&b)
	printSecurity(w, r)
	printMemory(w, r)
	printMaps(w, r)
	printSecurity(w, new(cos.NodeReport))
	printMemory(w, new(cos.NodeReport))
	printMaps(w, new(cos.NodeReport))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
