package gaplist

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

func TestList(t *testing.T) {
	var l List
	if g := l.Gaps(); len(g) != 0 {
		t.Errorf("an empty list has %v", g)
	}
	for i := range Limit {
		if l.Full() {
			t.Fatalf("full with %d", i)
		}
		l.Add(vmem.ImagePlace(int64(i)), vmem.ErrNotCaptured)
	}
	g := l.Gaps()
	if len(g) != Limit || g[Limit-1].Place != vmem.ImagePlace(Limit-1) || !errors.Is(g[0], vmem.ErrNotCaptured) || !l.Full() {
		t.Fatalf("%d gaps, the last %v", len(g), g[len(g)-1])
	}
	l.Add(vmem.ImagePlace(1), vmem.ErrNotCaptured)
	l.Count(41)
	g = l.Gaps()
	if len(g) != Limit+1 || g[Limit].Error() != "image: more is lost than is listed: 42 gaps more" || g[Limit].Reason() != "too-many" {
		t.Errorf("%d gaps, the last %v", len(g), g[len(g)-1])
	}
}
