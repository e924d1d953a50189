package consistency

import (
	"math"
	"testing"
	"time"

	"github.com/nodelens/nodelens/linux"
)

// evenly returns a span with moments at the tasks of a real node, as they are if memory is captured upwards and evenly.
func evenly(t *testing.T, began, took time.Duration) (*checker, *span) {
	t.Helper()
	k := openBundled(t).k
	var leaders []*linux.Task
	for p, err := range k.Processes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		leaders = append(leaders, p)
	}
	c := newChecker(t.Context(), k)
	c.collect(leaders)
	s := new(span)
	for _, task := range c.tasks {
		s.now = append(s.now, moment{0, task.addr})
	}
	points := c.points(s.now)
	if len(points) != len(c.tasks) || len(points) < 50 {
		t.Fatalf("%d of %d tasks are in the image", len(points), len(c.tasks))
	}
	for i, p := range points {
		s.now[i].at = began + time.Duration(p.share*float64(took))
	}
	return c, s
}

func TestPace(t *testing.T) {
	t.Parallel()
	const began, took = time.Hour, 90 * time.Second
	c, s := evenly(t, began, took)
	s.past = append(s.past, moment{began - time.Minute, s.now[0].addr}, s.now[1])
	near := func(a, b time.Duration) bool { return math.Abs(float64(a-b)) < float64(time.Millisecond) }
	if b, d := c.pace(s); !near(b, began) || !near(d, took) {
		t.Errorf("from %v, %v long", b, d)
	}
	s.past = append(s.past, moment{s.now[0].at + took/2, s.now[0].addr})
	if b, d := c.pace(s); d != 0 {
		t.Errorf("a page that knows what is to come: from %v, %v long", b, d)
	}
	s.past = nil
	for i := range s.now {
		s.now[i].at = 2*began - s.now[i].at
	}
	if b, d := c.pace(s); d != 0 {
		t.Errorf("downwards: from %v, %v long", b, d)
	}
	s.now = []moment{s.now[0], {s.now[0].at + time.Second, s.now[0].addr}}
	if b, d := c.pace(s); d != 0 {
		t.Errorf("all in one place: from %v, %v long", b, d)
	}
	s.now = s.now[:1]
	if b, d := c.pace(s); d != 0 {
		t.Errorf("one clock: from %v, %v long", b, d)
	}
}

// The clock since boot leads by what threads of the kernel say that ran once, whatever CPUs did since.
func TestLead(t *testing.T) {
	t.Parallel()
	c, _ := evenly(t, 0, time.Second)
	queues := c.runQueues()
	lead, ok := c.lead(queues)
	if !ok || lead < 0 || lead > time.Second {
		t.Fatalf("lead %v, %v", lead, ok)
	}
	for _, task := range c.tasks[:len(c.tasks)/2] { // as after hours of work
		task.Ran += uint64(time.Hour)
	}
	c.tasks[0].Boottime += uint64(2 * time.Hour) // one that was overwritten
	if l, ok := c.lead(queues); !ok || (l-lead).Abs() > 20*time.Millisecond {
		t.Errorf("lead %v, %v, was %v", l, ok, lead)
	}
}
