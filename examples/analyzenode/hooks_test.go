package main

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/integrity"
)

// TestPrintHooks: what is the kernel's own is counted, the rest is listed, what does not belong last.
func TestPrintHooks(t *testing.T) {
	hooks := []integrity.Hook{
		{Table: "sys_call_table", Entry: "62", Target: 0xffffffffc0000000, Suspect: true, Evidence: []string{"it is in no code"}},
		{Table: "sys_call_table", Entry: "63", Symbol: "__x64_sys_uname", Verdict: integrity.Verdict{Kind: integrity.Kernel}},
		{Table: "kprobes", Entry: "a\x1b[2J", Symbol: "pre", Verdict: integrity.Verdict{Kind: integrity.Module, Name: "m"}},
		{Table: "proc", Entry: "net/m show", Symbol: "show", Verdict: integrity.Verdict{Kind: integrity.Module, Name: "m"}},
		{Table: "proc", Entry: "net/tcp show", Symbol: "show", Verdict: integrity.Verdict{Kind: integrity.Module, Name: "m"}, Suspect: true},
		{Table: "tracepoints", Entry: "b", Symbol: "bpf_prog_1", Owner: "bpf", Verdict: integrity.Verdict{Kind: integrity.BPF, ID: 7}},
	}
	for want, hooks := range map[string][]integrity.Hook{
		`hooks: 6 places, 1 kernel, 3 module, 1 bpf, 1 unknown
  kprobes a\x1b[2J: pre, module m
  tracepoints b: bpf_prog_1, bpf 7
  2 do not belong:
    sys_call_table 62: 0xffffffffc0000000, unknown (it is in no code)
    proc net/tcp show: show, module m
`: hooks,
		"hooks: 1 place, 1 kernel\n  all of them belong\n": hooks[1:2],
		"": nil,
	} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		printHooks(w, &cos.NodeReport{Hooks: hooks})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
