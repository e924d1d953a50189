package jiffies

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// initial are jiffies at the start: INITIAL_JIFFIES of include/linux/jiffies.h.
func initial(hz uint64) uint64 { return 1<<32 - 300*hz }

// TestTrueTicks holds the time in ticks against the clock, and the rate against what the node said of both a while before in
// /proc/timer_list: only the right rate fits, but five minutes after the start.
func TestTrueTicks(t *testing.T) {
	nodes := nodetest.Set[*nodetest.Node]{Make: func(n *nodetest.Node) (*nodetest.Node, error) { return n, nil }}
	nodes.Each(t, func(t *testing.T, n *nodetest.Node) {
		j, err := Read(n.K)
		if err != nil {
			t.Fatal(err)
		}
		boot, err := n.K.BootTime()
		if err != nil {
			t.Fatal(err)
		}
		now, err := n.K.Clock()
		if err != nil {
			t.Fatal(err)
		}
		checkTicks(t, j.HZ, j.Now, now.Sub(boot))
		list, ok := n.Read(t, "kernel", "timer_list")
		if !ok {
			return // a node whose truth is of its processes only
		}
		ns, ticks := number(t, list, `now at (\d+) nsecs`), number(t, list, `(?m)^jiffies: (\d+)$`)
		checkTicks(t, j.HZ, ticks, time.Duration(ns)) //nolint:gosec // minutes
	})
}

func checkTicks(t *testing.T, hz, ticks uint64, ran time.Duration) {
	t.Helper()
	if hz == 0 || ticks < initial(hz) {
		t.Fatalf("%d ticks at %d a second", ticks, hz)
	}
	// An emulated machine loses some of the ticks of its start.
	if got := (Time{HZ: hz}).Ticks(ticks - initial(hz)); (got - ran).Abs() > 3*time.Second {
		t.Errorf("%d ticks at %d a second are %v, not %v", ticks, hz, got, ran)
	}
}

func number(t *testing.T, text, pattern string) uint64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s", pattern)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
