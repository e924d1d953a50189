package bpf

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestInstructions compares the instructions of all programs, before and after they were compiled, with what the
// kernel gave bpftool, and the text of them with bpftool's.
func TestInstructions(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		names := kallsymsOf(t, n)
		compared := 0
		for _, p := range n.set.Programs() {
			file := func(suffix string) []byte {
				data, err := os.ReadFile(filepath.Join(n.Truth, "kernel", "prog", fmt.Sprint(p.ID)+suffix))
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				return data
			}
			xlated, jited := file(".xlated.bin"), file(".jited.bin")
			if xlated == nil {
				continue
			}
			compared++
			all, err := n.set.Xlated(p)
			if err != nil {
				t.Error(err)
			}
			var got []byte
			for _, in := range all {
				got = in.Append(got)
			}
			if !bytes.Equal(xlated, got) {
				t.Errorf("%v: instructions differ:\n%s\n%s", p, hex.EncodeToString(xlated), hex.EncodeToString(got))
			}
			codes, err := n.set.JITed(p)
			if err != nil {
				t.Error(err)
			}
			got = nil
			for i := range codes {
				got = append(got, codes[i].Bytes...)
				if lines, err := n.set.DisassembleJITed(context.Background(), &codes[i]); err != nil || slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, "(bad)") }) {
					t.Errorf("%v: %v %s", p, err, strings.Join(lines, "\n"))
				}
			}
			if !bytes.Equal(jited, got) {
				t.Errorf("%v: code differs:\n%s\n%s", p, hex.EncodeToString(jited), hex.EncodeToString(got))
			}
			compareText(t, n, p, file(".xlated.json"), names)
		}
		if _, err := os.Stat(filepath.Join(n.Truth, "kernel", "prog")); err == nil && compared == 0 {
			t.Error("no program was compared")
		}
	})
}

// kallsymsOf returns all names of the addresses of /proc/kallsyms: of several bpftool shows any.
func kallsymsOf(t *testing.T, n *node) map[string][]string {
	at := map[string][]string{}
	of := map[string][]string{}
	for line := range strings.Lines(string(n.read(t, "proc", "kallsyms"))) {
		if f := strings.Fields(line); len(f) >= 3 {
			at[f[0]] = append(at[f[0]], f[2])
		}
	}
	for _, all := range at {
		for _, name := range all {
			of[name] = all
		}
	}
	return of
}

func compareText(t *testing.T, n *node, p *Program, data []byte, names map[string][]string) {
	var want []struct {
		Text string `json:"disasm"`
	}
	var functions []struct {
		Insns []struct {
			Text string `json:"disasm"`
		} `json:"insns"`
	}
	if json.Unmarshal(data, &functions) == nil {
		for _, f := range functions {
			want = append(want, f.Insns...)
		}
	}
	if len(want) == 0 {
		_ = json.Unmarshal(data, &want)
	}
	if len(want) == 0 {
		return
	}
	got, err := n.set.Disassemble(p)
	if err != nil {
		t.Error(err)
	}
	for i := range got {
		if i >= len(want) || got[i] == want[i].Text {
			continue
		}
		_, a, ok := strings.Cut(want[i].Text, " call ")
		_, b, ok2 := strings.Cut(got[i], " call ")
		if ok && ok2 {
			a, _, _ = strings.Cut(a, "#")
			b, _, _ = strings.Cut(b, "#")
			if slices.Contains(names[a], b) {
				continue
			}
		}
		t.Errorf("%v, line %d: bpftool has %q, found is %q", p, i, want[i].Text, got[i])
	}
	if len(got) != len(want) {
		t.Errorf("%v has %d lines, found are %d", p, len(want), len(got))
	}
}

// TestElements compares the content of all maps with what bpftool dumped.
func TestElements(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, m := range n.set.Maps() {
			data, err := os.ReadFile(filepath.Join(n.Truth, "kernel", "map", fmt.Sprint(m.ID)+".json"))
			if err != nil {
				continue
			}
			var dump struct {
				Elements []map[string]any `json:"elements"`
			}
			var want []map[string]any
			if json.Unmarshal(data, &want) != nil {
				if json.Unmarshal(data, &dump) != nil {
					continue
				}
				want = dump.Elements
			}
			compareElements(t, n, m, want)
		}
	})
}

func compareElements(t *testing.T, n *node, m *Map, truth []map[string]any) {
	var want, got []string
	for _, e := range truth {
		var text strings.Builder
		text.WriteString(hexOf(e["key"]) + ":")
		if v, ok := e["value"].(map[string]any); ok && v["error"] != nil {
			continue // processes can't read it
		}
		if values, ok := e["values"].([]any); ok {
			for _, v := range values {
				text.WriteString(" " + hexOf(v.(map[string]any)["value"]))
			}
		} else {
			text.WriteString(" " + hexOf(e["value"]))
		}
		want = append(want, text.String())
	}
	for e, err := range n.set.Elements(context.Background(), m) {
		if err != nil {
			t.Errorf("%v: %v", m, err)
			continue
		}
		var text strings.Builder
		text.WriteString(hex.EncodeToString(e.Key) + ":")
		for _, v := range e.PerCPU {
			text.WriteString(" " + hex.EncodeToString(v))
		}
		if e.PerCPU == nil {
			text.WriteString(" " + hex.EncodeToString(e.Value))
		}
		got = append(got, text.String())
	}
	switch m.Type {
	case PerfEventArray, CgroupArray, XSKMap, SkStorage, InodeStorage, TaskStorage, CgrpStorage, Queue, Stack: // which bpftool can't read
		if len(want) == 0 {
			return
		}
	}
	if m.Type == CgroupStorage || m.Type == PerCPUCgroupStorage || strings.HasSuffix(m.Name, ".bss") { // whose programs go on counting
		for _, all := range [][]string{want, got} {
			for i := range all {
				all[i], _, _ = strings.Cut(all[i], ":")
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%v %v (-truth +found)\n%s", m, m.Type, diff)
	}
}

// hexOf returns the bytes that bpftool wrote.
func hexOf(v any) string {
	var out strings.Builder
	list, _ := v.([]any)
	for _, b := range list {
		s, _ := b.(string)
		out.WriteString(strings.TrimPrefix(s, "0x"))
	}
	return out.String()
}

// TestOwners compares who holds programs, maps and links with the descriptors' own fdinfo.
func TestOwners(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		var want, got []string
		dirs, err := filepath.Glob(filepath.Join(n.Truth, "pid", "*", "fdinfo", "*"))
		if err != nil || len(dirs) == 0 {
			t.Skip("no fdinfo")
		}
		for _, name := range dirs {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pid := filepath.Base(filepath.Dir(filepath.Dir(name)))
			kind, id := "", ""
			for line := range strings.Lines(string(data)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
				switch key {
				case "link_id", "map_id", "btf_id":
					kind, id = key, strings.TrimSpace(value)
				case "prog_id":
					if kind == "" {
						kind, id = key, strings.TrimSpace(value)
					}
				}
			}
			if kind != "" {
				want = append(want, fmt.Sprint(kind, " ", id, " ", pid, " ", filepath.Base(name)))
			}
		}
		add := func(kind string, id uint32, owners []Owner) {
			for _, o := range owners {
				if o.TID == 0 {
					got = append(got, fmt.Sprint(kind, " ", id, " ", o.PID, " ", o.FD))
				}
			}
		}
		for _, p := range n.set.Programs() {
			add("prog_id", p.ID, p.Owners)
		}
		for _, m := range n.set.Maps() {
			add("map_id", m.ID, m.Owners)
		}
		for _, l := range n.set.Links() {
			add("link_id", l.ID, l.Owners)
		}
		for _, b := range n.set.BTFs() {
			add("btf_id", b.ID, b.Owners)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}
