package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/printk"
)

// A report's modules and log are a line each, which ends in what does not belong.
func TestPrintKernel(t *testing.T) {
	plain := cos.Module{Module: module.Module{Name: "veth", Size: 32 << 10}}
	foreign := cos.Module{Module: module.Module{Name: "root\x1bkit", Size: 4 << 10, Taints: 1<<12 | 1<<13}}
	hidden := cos.Module{Module: module.Module{Name: "shy", Missing: module.InList | module.InKobjects}}
	log := []printk.Record{{Sequence: 7, Time: 1e9, Level: 4}, {Sequence: 8, Level: 3}, {Sequence: 11, Time: 12_345_678_901, Level: 6}}
	for _, tt := range []struct {
		modules []cos.Module
		log     []printk.Record
		want    string
	}{
		{nil, nil, ""},
		{[]cos.Module{}, []printk.Record{}, "modules: 0, 0 bytes\nkernel log: 0 records\n"},
		{[]cos.Module{plain}, log[:1], "modules: 1, 32 KiB\nkernel log: 1 record from 1.000 s to 1.000 s; 7 records before that overwritten\n"},
		{[]cos.Module{plain, foreign, hidden}, log, `modules: 3, 36 KiB; that taint the kernel: root\x1bkit (OE); HIDDEN: shy, which list and kobjects lack` +
			"\nkernel log: 3 records from 1.000 s to 12.345 s, 1 of level err or worse; 7 records before that overwritten; LOST in between: 2\n"},
	} {
		r := node()
		r.Modules, r.Log = tt.modules, tt.log
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
