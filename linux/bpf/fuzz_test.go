package bpf

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// FuzzDisassemble has any bytes be instructions: each is one line, or half of one, and is written
// back as it was.
func FuzzDisassemble(f *testing.F) {
	n := nodes.Bundled(f)
	for _, p := range n.set.Programs() {
		all, err := n.set.Xlated(p)
		if err != nil {
			f.Fatal(err)
		}
		var b []byte
		for _, in := range all {
			b = in.Append(b)
		}
		f.Add(b)
	}
	d := &disassembler{call: func(*Instruction) string { return "f" }, value: valueText}
	f.Fuzz(func(t *testing.T, data []byte) {
		all := decodeInstructions(data)
		var back []byte
		for _, in := range all {
			back = in.Append(back)
		}
		if hex.EncodeToString(back) != hex.EncodeToString(data[:len(data)/insnSize*insnSize]) {
			t.Errorf("%x was written back as %x", data, back)
		}
		lines := d.lines(all)
		if len(lines) > len(all) || 2*len(lines) < len(all) {
			t.Errorf("%d lines of %d instructions", len(lines), len(all))
		}
		for _, l := range lines {
			if l == "" || strings.Contains(l, "%!") {
				t.Errorf("%q", l)
			}
		}
	})
}

// FuzzCode has any bytes be code of the processor, whose addresses are looked for.
func FuzzCode(f *testing.F) {
	n := nodes.Bundled(f)
	for _, p := range n.set.Programs()[:3] {
		codes, err := n.set.JITed(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(codes[0].Bytes)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		const at = vmem.VirtAddr(0xffffffff81000000)
		if found := codeAddresses(code, at); len(found) > 4*len(code) {
			t.Errorf("%d addresses in %d bytes", len(found), len(code))
		}
		lines, err := n.set.DisassembleJITed(t.Context(), &Code{Address: at, Bytes: code})
		if err != nil || len(lines) > len(code) {
			t.Errorf("%d lines of %d bytes: %v", len(lines), len(code), err)
		}
	})
}

// TestFindInCode finds the tables of IDs in the code of the kernel, as where kallsyms has no data, and compares
// them with their symbols.
func TestFindInCode(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, name := range []string{progIDR, mapIDR, linkIDR, btfIDR, rawStart, rawStop, "ftrace_events"} {
			want, err := n.K.Symbol(name)
			if err != nil {
				t.Skip("this kernel does not name them:", err)
			}
			if got := n.set.findInCode(name); got != want {
				t.Errorf("%s is at %v, found at %v", name, want, got)
			}
		}
		table := n.set.views.tramps.table
		if want, err := n.K.Symbol(table); err == nil && n.set.hasTrampolines() {
			if got := n.set.findInCode(table); got != want {
				t.Errorf("%s is at %v, found at %v", table, want, got)
			}
		}
	})
}
