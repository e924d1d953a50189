package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// patience is how long a run may take without a word.
const patience = time.Second

// A meter shows progress on a terminal's current line, once that takes longer than
// patience. It is safe for concurrent use.
type meter struct {
	mu    sync.Mutex // guards all below
	w     io.Writer
	start time.Time
	next  time.Time // when to show something again
	shown int       // bytes on the line
}

func newMeter(w io.Writer) *meter {
	now := time.Now()
	return &meter{w: w, start: now, next: now.Add(patience)}
}

// show says how far a stage is.
func (m *meter) show(stage string, done, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(patience / 5)
	text := fmt.Sprintf("%s, %d s", stage, int(now.Sub(m.start).Seconds()))
	if total > 0 {
		text = fmt.Sprintf("%s: %d %%", stage, 100*done/total)
	}
	n, _ := fmt.Fprintf(m.w, "\r%-*s", m.shown, text)
	m.shown = max(m.shown, n-1)
}

// clear wipes the line, if there is something on it.
func (m *meter) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shown > 0 {
		fmt.Fprintf(m.w, "\r%*s\r", m.shown, "")
		m.shown = 0
	}
}
