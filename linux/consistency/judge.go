package consistency

import "time"

const (
	// still is the window up to which an image is one of a machine that stood still: clocks
	// that tick are a few ticks apart.
	still = 100 * time.Millisecond
	// locked is how much can be torn in such an image: what a CPU was just about to change
	// when it was stopped.
	locked = 2
	// Of a thousand checks at most so many are broken by smear. What is impossible is so, but
	// rarely: where a page was freed and used for something else.
	smearedShare, impossibleShare = 50, 1
)

// judge returns the verdict on what was counted. known says that the window is.
func (r *Report) judge(known bool) Verdict {
	over := func(n, share int) bool { return n*1000 > r.Checked*share }
	switch {
	case r.Checked == 0:
		return Damaged
	case r.Broken == 0:
		return Consistent
	case known && time.Duration(r.Window) < still && (r.Impossible > 0 || r.Broken > locked):
		return Damaged // without time nothing smears
	case over(r.Impossible, impossibleShare) || over(r.Broken, smearedShare):
		return Damaged
	}
	return Smeared
}
