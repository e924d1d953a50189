package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/testimages"
)

// TestNextUncut: a command to copy is whole on a narrow terminal, which other lines are cut to.
func TestNextUncut(t *testing.T) {
	testimages.Long(t)
	const width = 50
	var out bytes.Buffer
	next := map[string]bool{}
	err := newApp(&out, &out, shared{}).ask(t.Context(), "node.lime", cos.AllSections, func(v *view) error {
		result, err := findings.Run(v.ctx, v.index, nil)
		if err != nil {
			return err
		}
		for _, f := range result.Findings {
			next["          next: "+strings.Replace(f.Next, " IMAGE", " node.lime", 1)] = true
		}
		p := &page{view: v, image: "node.lime", w: bufio.NewWriter(&out), width: width}
		p.wrong(result)
		return p.w.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	long := 0
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		n := utf8.RuneCountInString(line)
		switch isNext := strings.Contains(line, "next:"); {
		case isNext && !next[line]:
			t.Errorf("cut: %q", line)
		case isNext && n > width:
			long++
		case !isNext && n > width:
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if long == 0 {
		t.Error("no command is longer than the terminal is wide")
	}
}

// TestChangeRows: what changed has a row for each value, and what may have been lost says so.
func TestChangeRows(t *testing.T) {
	t.Parallel()
	got := changeRows([]diff.Change{
		{What: diff.Came, Kind: diff.Processes, Pod: diff.Pod{UID: "u", Namespace: "shop", Name: "web"}, Container: "c", Object: "7 sh", After: 1, Sure: true},
		{What: diff.Went, Kind: diff.Modules, Object: "m", Before: 2},
		{What: diff.Changed, Kind: diff.Processes, Object: "8 su", Fields: []diff.Field{{Name: "uid", Before: "1", After: "0"}, {Name: "cgroup", Before: "/a", After: "/b"}}, Sure: true, Notable: "it became root"},
	})
	want := []changeRow{
		{Change: "came", Kind: "process", Pod: "shop/web", Container: "c", Object: "7 sh", After: 1, Sure: true},
		{Change: "went", Kind: "module", Object: "m", Before: 2, Remark: "or lost"},
		{Change: "changed", Kind: "process", Object: "8 su", Field: "uid", Was: "1", Is: "0", Remark: "it became root", Sure: true},
		{Change: "changed", Kind: "process", Object: "8 su", Field: "cgroup", Was: "/a", Is: "/b", Remark: "it became root", Sure: true},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(changeRow{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
