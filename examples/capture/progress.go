package main

import (
	"fmt"
	"io"
	"time"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/text"
)

// A progress shows how far a capture is, at most once a second.
type progress struct {
	w     io.Writer
	last  time.Time
	shown bool
}

func (p *progress) show(done, total int64) {
	if now := time.Now(); now.Sub(p.last) >= time.Second {
		p.last, p.shown = now, true
		fmt.Fprintf(p.w, "\r%d of %d MiB", done>>20, total>>20)
	}
}

// end ends the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.w)
	}
}

// explain says what the image lacks.
func explain(w io.Writer, m *capture.Manifest) {
	var missing uint64
	for _, x := range m.Missing {
		missing += x.Size
	}
	fmt.Fprintf(w, "the image lacks %d KiB in %d places; see the manifest\n", missing>>10, len(m.Missing))
	for _, n := range m.Notes {
		fmt.Fprintln(w, text.Line(n))
	}
}
