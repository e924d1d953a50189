package command

import (
	"cmp"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nodelens/nodelens/internal/text"
)

// patience is how long a command may take without a word.
const patience = time.Second

// A Meter shows progress on the current line of a terminal, once a command takes longer
// than a second. Elsewhere, in a log say, it shows none. It is safe for concurrent use.
type Meter struct {
	w     io.Writer
	shows bool

	mu    sync.Mutex // guards all below
	next  time.Time  // when to show something again
	stage string
	since time.Time // when the stage began
	shown bool      // there is something on the line
}

// NewMeter returns a Meter that writes to w, if that is a terminal and the user has not
// asked for quiet.
func NewMeter(w io.Writer, quiet bool) *Meter {
	return &Meter{w: w, shows: !quiet && isTerminal(w), next: time.Now().Add(patience)}
}

// overwrite moves the cursor to the start of the line and clears it (ECMA-48, CR and EL).
const overwrite = "\r\x1b[K"

// words are what users are told of stages whose names in the library are for those who know
// how it works.
var words = map[string]string{
	"finding kallsyms":                  "finding the kernel's symbols",
	"decoding types and symbols":        "reading the kernel's types and symbols",
	"finding symbols that no table has": "finding the rest of the kernel's symbols",
	"unpack":                            "unpacking the debug information",
	"units":                             "converting the debug information",
}

// fewest is how much a stage must have to do that its share is worth telling: less are steps
// of different length.
const fewest = 100

// Show says how far a stage is: done of total, or how long it takes if total is 0 or small.
func (m *Meter) Show(stage string, done, total int64) {
	if !m.shows {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if stage != m.stage {
		m.stage, m.since = stage, now
	}
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(patience / 5)
	m.shown = true
	fmt.Fprintf(m.w, "%s%s", overwrite, text.Line(cmp.Or(words[m.stage], m.stage))+progress(now.Sub(m.since), done, total))
}

// progress says how far something is that takes since then.
func progress(since time.Duration, done, total int64) string {
	if total < fewest {
		return ", " + about(since)
	}
	done = max(0, min(done, total))
	share := float64(done) / float64(total)
	s := fmt.Sprintf(": %d %%", int(100*share))
	if since < 3*time.Second || share < 0.02 || done == total {
		return s // too early to tell
	}
	return s + ", " + about(time.Duration(float64(since)*(1-share)/share)) + " left"
}

// about returns a duration in words.
func about(d time.Duration) string {
	switch s := int(d.Round(time.Second).Seconds()); {
	case s < 100:
		return fmt.Sprintf("%d s", s)
	case s < 100*60:
		return fmt.Sprintf("%d min", (s+30)/60)
	default:
		return fmt.Sprintf("%d h", (s+1800)/3600)
	}
}

// Line prints a line of its own, whether there is a terminal or not.
func (m *Meter) Line(s string) {
	m.Clear()
	fmt.Fprintln(m.w, s)
}

// Clear wipes the line, if there is something on it.
func (m *Meter) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shown {
		fmt.Fprint(m.w, overwrite)
		m.shown = false
	}
}
