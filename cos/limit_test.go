package cos

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
)

// lists are processes with as many arguments as given, each of ten bytes of JSON.
func lists(counts ...int) []facts {
	all := make([]facts, len(counts))
	for i, n := range counts {
		all[i] = facts{task: &linux.Task{PID: int32(i), Comm: "x"}}
		all[i].Args = slices.Repeat([]string{"seven77"}, n)
	}
	return all
}

func argsLeft(all []facts) (left []int) {
	for i := range all {
		left = append(left, len(all[i].Args))
	}
	return left
}

// The longest lists are cut, those that are equally long to the same length, in whatever
// order they come; each cut is told.
func TestBudget(t *testing.T) {
	counts := []int{3, 100, 5, 1000, 1000, 0, 20}
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6}, {4, 3, 6, 5, 1, 2, 0}, {6, 0, 3, 1, 4, 2, 5}} {
		all := lists(counts...)
		b := newBudget(1000, "bytes")
		for _, i := range order {
			b.add(shareOf(&all[i], "args", &all[i].Args, func(s *string) int { return jsonSize(*s) }))
			if held := jsonSize("seven77") * (len(all[1].Args) + len(all[3].Args)); held > 10*2100 {
				t.Fatalf("%d bytes held", held)
			}
		}
		b.finish(1000)
		// 1000 bytes are 100 arguments: 28 of the short ones, and 72 in three parts.
		if want := []int{3, 24, 5, 24, 24, 0, 20}; !slices.Equal(argsLeft(all), want) {
			t.Errorf("in the order %v: %v, want %v", order, argsLeft(all), want)
		}
		for i := range all {
			cut := len(all[i].Args) < counts[i]
			if (len(all[i].gaps) == 1) != cut || cut && !errors.Is(all[i].gaps[0], kstruct.ErrTooMany) {
				t.Errorf("process %d: gaps %v", i, all[i].gaps)
			}
		}
	}
}

// One element that is too long costs itself, but in a command line what follows it.
func TestBudgetFat(t *testing.T) {
	fat := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		share func(f *facts) share
		want  int
	}{
		"files": {func(f *facts) share { return shareOf(f, "args", &f.Args, func(s *string) int { return jsonSize(*s) }) }, 4},
		"args":  {func(f *facts) share { return textOf(f, "args", &f.Args) }, 1},
	} {
		f := facts{task: &linux.Task{PID: 1, Comm: "x"}}
		f.Args = []string{"a", fat, "b", "c", fat, "d"}
		b := newBudget(1000, "bytes")
		b.add(test.share(&f))
		b.finish(1000)
		if len(f.Args) != test.want || slices.Contains(f.Args, fat) || len(f.gaps) != 1 {
			t.Errorf("%s: %d left, gaps %v", name, len(f.Args), f.gaps)
		}
	}
}

// What is held meanwhile is bounded, too.
func TestBudgetHolds(t *testing.T) {
	b := newBudget(1000, "bytes")
	all := lists(slices.Repeat([]int{500}, 50)...)
	for i := range all {
		b.add(shareOf(&all[i], "args", &all[i].Args, func(s *string) int { return jsonSize(*s) }))
		held := 0
		for _, n := range argsLeft(all[:i+1]) {
			held += n * 10
		}
		if held > 1300+5000 {
			t.Fatalf("%d bytes are held after %d processes", held, i+1)
		}
	}
}

// There are no more processes than fit into a report.
func TestTooManyProcesses(t *testing.T) {
	all := lists(slices.Repeat([]int{1}, 100)...)
	b := newBudgets(linux.Limits{ReportFDs: 10, ReportBytes: 50_000})
	for i := range all {
		b.add(&all[i])
	}
	rest, gaps := b.finish(all)
	if len(rest) < 20 || len(rest) > 30 || len(gaps) != 1 || !errors.Is(gaps[0], kstruct.ErrTooMany) {
		t.Errorf("%d processes, gaps %v", len(rest), gaps)
	}
}

// Losses are cut where one process has most of them.
func TestCutGaps(t *testing.T) {
	all := lists(0, 0)
	for i := range 1000 {
		all[1].lose(fmt.Errorf("%w: %d", kstruct.ErrCorrupt, i))
	}
	all[0].lose(kstruct.ErrCycle)
	cutGaps(all, 10_000)
	if n := len(all[1].gaps); len(all[0].gaps) != 1 || n < 20 || n > 80 || !errors.Is(all[1].gaps[n-1], kstruct.ErrTooMany) {
		t.Errorf("%d and %d losses", len(all[0].gaps), n)
	}
}

// What a string costs is no less than it takes, and no more than a few times that.
func TestJSONSize(t *testing.T) {
	for _, s := range []string{"", "plain", "\x1b[2J", "\xff\xfe\x80", "a\u202eb", "<&>\"\\", "日本語", strings.Repeat("\x00", 99), "\U0001f600"} {
		text, err := (Process{Args: []string{s}}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		empty, err := (Process{Args: []string{""}}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		used := len(text) - len(empty) + 3 - len(`,"argsBytes":[]`)*bytes.Count(text, []byte("argsBytes"))
		if got := jsonSize(s); got < used || got > 4*used {
			t.Errorf("%q: %d bytes, of which %d are used", s, got, used)
		}
	}
}
