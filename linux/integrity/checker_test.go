package integrity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// TestVerdict asks of addresses of all kinds: code of the kernel and of modules is so, data of either and memory of
// neither are unknown.
func TestVerdict(t *testing.T) {
	n := nodes.Bundled(t)
	prog := Code{Range: vmem.Range[vmem.VirtAddr]{Start: 0xffffffffc0f00000, Size: 0x100}, Symbol: "bpf_prog_1234", Owner: "bpf", Verdict: Verdict{Kind: BPF, ID: 9}, Evidence: []string{"given"}}
	c, err := Open(t.Context(), n.K, &Options{Modules: n.c.Modules(), Code: []Code{prog}})
	if err != nil {
		t.Fatal(err)
	}
	symbol := func(name string) vmem.VirtAddr {
		at, err := n.K.Symbol(name)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	m := c.Modules().Find("vsock")
	data := m.Areas[len(m.Areas)-1]
	if data.Kind == module.Text {
		t.Fatalf("%v", m.Areas)
	}
	for at, want := range map[vmem.VirtAddr]string{
		symbol("_stext"):             "kernel",
		symbol("kernel_clone"):       "kernel",
		symbol("_etext") - 1:         "kernel",
		symbol("_etext"):             "unknown",
		symbol("_sinittext"):         "unknown",
		symbol("init_task"):          "unknown",
		m.Base:                       "module vsock",
		data.Range.Start:             "unknown",
		prog.Range.Start - 1:         "unknown",
		prog.Range.Start:             "bpf 9",
		prog.Range.Last():            "bpf 9",
		prog.Range.Last() + 1:        "unknown",
		0:                            "unknown",
		0xffff888000001000:           "unknown",
		^vmem.VirtAddr(0):            "unknown",
		0x00007fffffffe000:           "unknown",
		symbol("init_task") &^ 0xfff: "unknown",
	} {
		if got := c.Verdict(at).String(); got != want {
			t.Errorf("%s is %s, not %s", c.Symbols().Describe(at), got, want)
		}
		h := c.Hook("t", "e", 1, at)
		if h.Verdict.String() != want || h.Suspect != (want == "unknown") || h.Suspect && len(h.Evidence) == 0 {
			t.Errorf("%v", h)
		}
	}
	if h := c.Hook("t", "e", 0, prog.Range.Start+4); h.Symbol != "bpf_prog_1234+0x4" || h.Owner != "bpf" || fmt.Sprint(h.Evidence) != "[given]" {
		t.Errorf("%+v", h)
	}
	if h := c.Hook("t", "e", 0, data.Range.Start); !strings.Contains(h.Evidence[0], "of module vsock, not in its code") {
		t.Errorf("%+v", h)
	}
	if allocs := testing.AllocsPerRun(10, func() { c.Verdict(m.Base + 100) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestVerdictText(t *testing.T) {
	for _, v := range []Verdict{{}, {Kind: Kernel}, {Kind: Module, Name: "a b\xff"}, {Kind: BPF, ID: 1<<32 - 1}, {Kind: Trampoline}} {
		text, err := v.MarshalText()
		var back Verdict
		if err2 := back.UnmarshalText(text); err != nil || err2 != nil || back != v {
			t.Errorf("%v: %q, %v, %v, %v", v, text, back, err, err2)
		}
	}
	for _, text := range []string{"", "module", "bpf", "bpf x", "bpf 4294967296", "kernel x", "kind 7", "unknown "} {
		if err := new(Verdict).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if text, err := json.Marshal(Hook{Verdict: Verdict{Kind: BPF, ID: 3}}); err != nil || !strings.Contains(string(text), `"verdict":"bpf 3"`) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestEnds: the context ends the reading, and so does who ranges over it.
func TestEnds(t *testing.T) {
	n := nodes.Bundled(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := 0
	for _, err := range n.c.Hooks(ctx) {
		if steps++; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	if steps == 0 || steps >= len(n.hooks) {
		t.Errorf("%d steps of %d", steps, len(n.hooks))
	}
	steps = 0
	for _, err := range n.c.Hooks(t.Context()) {
		if steps++; err != nil {
			t.Error(err)
		}
		break
	}
	if steps != 1 {
		t.Errorf("%d steps", steps)
	}
}

// BenchmarkVerdict is to take less than a microsecond.
func BenchmarkVerdict(b *testing.B) {
	n := nodes.Bundled(b)
	at := n.c.Modules().Modules()[0].Base
	for b.Loop() {
		n.c.Verdict(at)
	}
}

func BenchmarkHooks(b *testing.B) {
	n := nodes.Bundled(b)
	for b.Loop() {
		all(b.Context(), n.c)
	}
}
