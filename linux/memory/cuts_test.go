package memory

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// inPieces searches text as it is searched that is read in pieces of a size.
func inPieces(text []byte, expr *regexp.Regexp, size int) (all []string) {
	s := searcher{patterns: []Pattern{{Expr: expr}}, overlap: 7, context: 1, ends: make([]vmem.VirtAddr, 1)}
	s.yield = func(h Hit, _ error) bool {
		all = append(all, fmt.Sprintf("%d %q", h.Address, h.Data))
		return true
	}
	have := 0
	for done := 0; done < len(text); {
		n := min(size-have, len(text)-done)
		s.match(nil, &linux.VMA{}, vmem.VirtAddr(done-have), text[done-have:done+n], have, done+n == len(text))
		have = min(s.overlap+s.context, have+n)
		done += n
	}
	return all
}

// Where text is cut to be searched makes no difference, also to what depends on the bytes before.
func TestCuts(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, pattern := range []string{`^a`, `\ba+`, `\Ba`, `(?m)^b`, `a b`, `b$`, `(?m)b$`, `\bab\b`, `[ab]{1,3}`, `\w+?b`, `.`, `\x00+`} {
		expr := regexp.MustCompile(pattern)
		for range 200 {
			text := make([]byte, rng.IntN(200))
			for i := range text {
				text[i] = "aab \n\x00"[rng.IntN(6)]
			}
			text = bytes.ReplaceAll(text, []byte("aaaaa"), []byte("aa\x00aa")) // no match is longer than what pieces share
			text = bytes.ReplaceAll(text, []byte("\x00\x00\x00\x00\x00"), []byte("\x00\x00a\x00\x00"))
			var want []string
			for _, m := range expr.FindAllIndex(text, -1) {
				want = append(want, fmt.Sprintf("%d %q", m[0], text[m[0]:m[1]]))
			}
			for _, size := range []int{17, 40} {
				if got := inPieces(text, expr, size); !slices.Equal(want, got) {
					t.Fatalf("%s in %q, pieces of %d (-whole +pieces):\n%s", pattern, text, size, cmp.Diff(want, got))
				}
			}
		}
	}
}

// What of a huge page was captured is there, and the rest is not.
func TestSplit(t *testing.T) {
	t.Parallel()
	captured := []vmem.Range[vmem.PhysAddr]{{Start: 0, Size: 0x201000}, {Start: 0x300000, Size: 0x1000}, {Start: 0x3ff000, Size: 0x100000}}
	run := Run{Range: vmem.Range[vmem.VirtAddr]{Start: 0x7f0000000000, Size: 0x200000}, Dirty: true}
	var got []string
	for _, r := range split(captured, 0x200000, run) {
		got = append(got, fmt.Sprintf("%#x+%#x %v %v", uint64(r.Range.Start), r.Range.Size, r.Dirty, r.Err))
	}
	want := []string{
		"0x7f0000000000+0x1000 true <nil>", "0x7f0000001000+0xff000 true not captured", "0x7f0000100000+0x1000 true <nil>",
		"0x7f0000101000+0xfe000 true not captured", "0x7f00001ff000+0x1000 true <nil>",
	}
	for i := range want {
		want[i] = regexp.MustCompile(`not captured`).ReplaceAllString(want[i], vmem.ErrNotCaptured.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A mapping in more pieces than are told is so up to its end.
func TestManyRuns(t *testing.T) {
	n := nodes.Bundled(t)
	cut := 0
	for _, task := range n.Tasks {
		mm, err := task.MM()
		if err != nil {
			continue
		}
		for v, err := range mm.VMAs(t.Context()) {
			whole := n.r.runs(t.Context(), mm, &v, maxRuns)
			if err != nil || len(whole) < 3 {
				continue
			}
			few := n.r.runs(t.Context(), mm, &v, 2)
			last := few[len(few)-1]
			if len(few) != 3 || !errors.Is(last.Err, kstruct.ErrTooMany) || last.Range.Last() != v.Range.Last() || !slices.Equal(few[:1], whole[:1]) {
				t.Fatalf("%v: %v, of %v", v.Range, few, whole)
			}
			cut++
		}
		if cut > 20 {
			return
		}
	}
	t.Error("no such mappings")
}
