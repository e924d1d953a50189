package cos

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

func TestViews(t *testing.T) {
	v := (&NodeReport{Gaps: []vmem.Gap{{Object: "PID IDR entry 77", Err: kstruct.ErrCorrupt}, {Object: "task list", Err: kstruct.ErrCorrupt}}}).Views()
	if !v.explains(77, linux.InTaskList) || v.explains(78, linux.InTaskList) || v.explains(77, linux.InPIDIDR) {
		t.Errorf("a wrong entry and a wrong link: %+v", v)
	}
	if v = (&NodeReport{Gaps: []vmem.Gap{{Object: "PID IDR", Err: vmem.ErrSwapped}}}).Views(); !v.explains(78, linux.InTaskList) || v.explains(78, linux.InPIDIDR) {
		t.Errorf("a node of the table: %+v", v)
	}
}

// TestLosses checks that gaps of one kind and reason are one loss, and that those of the image come first.
func TestLosses(t *testing.T) {
	r := &NodeReport{Gaps: []vmem.Gap{
		{Object: "args of task 12 (a)", Err: vmem.ErrSwapped}, {Object: "args of task 13 (b)", Err: vmem.ErrSwapped}, {Object: "args of task 14 (c)", Err: vmem.ErrNotPresent},
		{Object: "image", Place: vmem.Place{Kind: vmem.InPhysical, Size: 8192}, Err: vmem.ErrNotCaptured},
		{Object: "image", Place: vmem.Place{Kind: vmem.InPhysical, Size: 4096}, Err: vmem.ErrNotCaptured},
		{Object: "strange\x1b of task 1 (x)", Err: vmem.ErrSwapped},
	}}
	want := []Loss{
		{"parts of the image", "not in the image", 2}, {"command lines", "swapped out", 2}, {"command lines", "not in memory", 1}, {`strange\x1b`, "swapped out", 1},
	}
	if d := cmp.Diff(want, r.Losses()); d != "" {
		t.Errorf("losses (-want +got):\n%s", d)
	}
	if got := r.MissingMemory(); got != 12288 {
		t.Errorf("missing: %d bytes", got)
	}
}
