package pagecache

import (
	"errors"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// All losses are told, those beyond a bound by their number.
func TestLosses(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, maxGaps: maxGaps, maxGaps + 1: maxGaps + 1, 1000: maxGaps + 1} {
		var l losses
		for i := range n {
			l.add("file", vmem.VirtAddr(i), corrupt("%d", i))
		}
		gaps := l.gaps()
		if len(gaps) != want || len(l.gaps()) != want {
			t.Errorf("%d losses: %d gaps", n, len(gaps))
		}
		if n == 1000 {
			last := gaps[maxGaps]
			if !errors.Is(last, kstruct.ErrTooMany) || !strings.Contains(last.Error(), "900 more") || last.Place.Addr != maxGaps {
				t.Errorf("%v at %v", last, last.Place)
			}
		}
	}
}
