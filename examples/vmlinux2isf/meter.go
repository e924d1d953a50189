package main

import (
	"fmt"
	"io"
	"os"
)

// A meter shows progress: on a terminal in one line that it writes over again, and
// elsewhere not at all.
type meter struct {
	w        io.Writer
	terminal bool
	shown    bool // there is something to write over
}

func newMeter(w io.Writer) *meter {
	m := &meter{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		m.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return m
}

// overwrite moves the cursor to the start of the line and clears it (ECMA-48, CR and EL).
const overwrite = "\r\x1b[K"

// update shows that done bytes of total are done.
func (m *meter) update(stage string, done, total int64) {
	if !m.terminal || total <= 0 {
		return
	}
	m.shown = true
	fmt.Fprintf(m.w, "%s%s: %3d %% of %d MB", overwrite, stage, done*100/total, total>>20)
}

// clear removes what update shows.
func (m *meter) clear() {
	if m.shown {
		fmt.Fprint(m.w, overwrite)
		m.shown = false
	}
}

// line prints a line of its own.
func (m *meter) line(s string) {
	m.clear()
	fmt.Fprintln(m.w, s)
}
