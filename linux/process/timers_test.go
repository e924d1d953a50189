package process

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
)

// TestTimers compares the timers of all processes with what /proc/PID/timers said, and with what the lab's cases set.
func TestTimers(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		compared, timers, real := 0, 0, 0
		all := map[string]Timers{}
		for _, p := range n.Tasks {
			got, err := n.r.Timers(t.Context(), p)
			if err != nil {
				t.Errorf("%v: %v", p, err)
				continue
			}
			all[fmt.Sprint(p.PID)] = got
			if got.Interval[0].Expires != 0 {
				real++
			}
			timers += len(got.POSIX)
			want, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "timers")
			if !ok {
				continue
			}
			compared++
			if diff := gocmp.Diff(want, got.String()); diff != "" {
				t.Errorf("%v (-timers +found):\n%s", p, diff)
			}
		}
		toldTimers(t, n, all)
		t.Logf("%d compared; %d timers, %d of real time", compared, timers, real)
	})
}

// toldTimers compares with what the lab's cases set.
func toldTimers(t *testing.T, n *node, all map[string]Timers) {
	t.Helper()
	text, _ := n.Read(t, "task", "told", "timers")
	for line := range strings.Lines(text) {
		w := strings.Fields(line) // PID, ID, clock, how, signal, value, first, interval, flags
		i := slices.IndexFunc(all[w[0]].POSIX, func(o Timer) bool { return fmt.Sprint(o.ID) == w[1] })
		deleted, _ := n.Read(t, "task", "told", "timers_deleted")
		if gone := strings.Contains("\n"+deleted, "\n"+w[0]+" "+w[1]+"\n"); gone != (i < 0) {
			t.Errorf("timer %s of %s: deleted %v, found %v", w[1], w[0], gone, i >= 0)
		}
		if i < 0 {
			continue
		}
		o := all[w[0]].POSIX[i]
		if got, want := fmt.Sprintf("%d %d %x", o.Signal, o.Interval.Nanoseconds(), o.Value), w[4]+" "+w[7]+" "+w[5]; got != want {
			t.Errorf("timer %s of %s: %s, set %s", w[1], w[0], got, want)
		}
		if w[8] == "0" {
			relativeTimer(t, n, &o, w)
		}
		if w[8] == "1" && fmt.Sprint(o.Expires.Nanoseconds()) != w[6] { // TIMER_ABSTIME
			t.Errorf("timer %s of %s expires at %v, set %s", w[1], w[0], o.Expires, w[6])
		}
	}
	text, _ = n.Read(t, "task", "told", "itimers")
	for line := range strings.Lines(text) {
		w := strings.Fields(line) // PID, which, first, interval
		var which int
		if _, err := fmt.Sscan(w[1], &which); err != nil {
			t.Fatal(err)
		}
		o := all[w[0]].Interval[which]
		interval, err := time.ParseDuration(w[3] + "s")
		if err != nil || o.Interval != interval || o.Expires == 0 {
			t.Errorf("timer %d of %s: %+v, set %s", which, w[0], o, w[3])
		}
	}
}

// relativeTimer: a timer that was set to a time from then on has about that left at the end of the truth, on the clock that it expires on.
func relativeTimer(t *testing.T, n *node, o *Timer, w []string) {
	t.Helper()
	text, _ := n.Read(t, "clock")
	name := map[int32]string{0: "realtime", 1: "monotonic", 7: "boottime", 8: "realtime", 9: "boottime", 11: "realtime"}[o.ExpiresOn] // nobody set the offset of TAI
	now := int64(0)                                                                                                                   // of processor time
	if m := regexp.MustCompile(`(?m)^` + name + ` (\d+)$`).FindStringSubmatch(text); m != nil {
		now, _ = strconv.ParseInt(m[1], 10, 64)
	}
	first, err := strconv.ParseInt(w[6], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	const day, hour = 24 * time.Hour, time.Hour
	left := o.Expires - time.Duration(now)
	if first := time.Duration(first); first >= day && (left-first).Abs() > hour {
		t.Errorf("timer %s of %s: expires in %v on clock %d, set to %v", w[1], w[0], left, o.ExpiresOn, first)
	}
}

// noTerminal is /proc/PID/stat of a process without a controlling terminal: tty_nr is 0.
var noTerminal = regexp.MustCompile(`^\d+ \(.*\) [A-Z] -?\d+ \d+ \d+ 0 `)

// TestTerminals compares the names of controlling terminals with what the lab's cases told.
func TestTerminals(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, n *node) {
		text, ok := n.Read(t, "task", "told", "terminals")
		if !ok {
			t.Skip("nothing was told")
		}
		for line := range strings.Lines(text) {
			w := strings.Fields(line)
			i := slices.IndexFunc(n.Tasks, func(p *linux.Task) bool { return fmt.Sprint(p.PID) == w[0] })
			if i < 0 {
				continue
			}
			want := strings.TrimPrefix(w[1], "/dev/")
			if stat, _ := n.Read(t, "pid", w[0], "stat"); noTerminal.MatchString(stat) { // it has that terminal open, and none that controls it
				want = ""
			}
			got, err := n.r.Relations(t.Context(), n.Tasks[i])
			if err != nil || got.Terminal != want {
				t.Errorf("%v: terminal %q, %v, told %q", n.Tasks[i], got.Terminal, err, want)
			}
		}
	})
}
