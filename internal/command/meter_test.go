package command

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bytes.Buffer
		m := NewMeter(&w, false)
		m.shows = true // as if it were a terminal
		m.Show("searching", 1, 100)
		m.Clear()
		if w.Len() > 0 {
			t.Errorf("at once: %q", &w)
		}
		time.Sleep(patience)
		m.Show("searching", 50, 100)
		m.Show("searching", 51, 100)
		time.Sleep(4 * time.Second)
		m.Show("searching", 60, 100)
		m.Show("a\x1b", 9, 0)
		time.Sleep(2 * time.Second)
		m.Show("a\x1b", 9, 0)
		m.Line("a line")
		m.Clear()
		want := "\r\x1b[Ksearching: 50 %\r\x1b[Ksearching: 60 %, 3 s left" + "\r\x1b[Ka\\x1b, 2 s" + "\r\x1b[Ka line\n"
		if got := w.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestMeterElsewhere checks that logs get no progress, but lines.
func TestMeterElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bytes.Buffer
		m := NewMeter(&w, false)
		time.Sleep(2 * patience)
		m.Show("searching", 50, 100)
		m.Line("a line")
		m.Clear()
		if got := w.String(); got != "a line\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestProgress(t *testing.T) {
	for want, test := range map[string]struct {
		since       time.Duration
		done, total int64
	}{
		", 61 s":             {61 * time.Second, 7, 0},
		": 0 %":              {time.Minute, -1, 100},
		": 1 %":              {time.Minute, 1, 100},
		": 10 %, 9 min left": {time.Minute, 10, 100},
		": 50 %, 10 h left":  {10 * time.Hour, 50, 100},
		", 5 s":              {5 * time.Second, 2, 3},
		": 100 %":            {time.Minute, 200, 100},
	} {
		if got := progress(test.since, test.done, test.total); got != want {
			t.Errorf("%v, %d of %d: %q, want %q", test.since, test.done, test.total, got, want)
		}
	}
}
