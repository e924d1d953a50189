package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// maxLosses is how many kinds of losses are told.
const maxLosses = 12

// printLosses says in a few lines what a report lacks.
func printLosses(w io.Writer, r *cos.NodeReport) {
	fmt.Fprintf(w, "NOT WHOLE: %s; -v and -json tell each\n", text.Count(len(r.Gaps), "loss", "losses"))
	if missing := r.MissingMemory(); missing > 0 {
		fmt.Fprintf(w, "  %s of memory is missing in the image\n", text.Size(missing))
	}
	losses := r.Losses()
	for i, l := range losses {
		if i == maxLosses {
			fmt.Fprintf(w, "  and %d other kinds\n", len(losses)-i)
			return
		}
		fmt.Fprintf(w, "  %s: %d, %s\n", l.What, l.Count, l.Why)
	}
}

// explain says on stderr that a report is not whole: why, if the report was printed as JSON,
// and each loss if the user wants it.
func (s *settings) explain(stderr io.Writer, r *cos.NodeReport) {
	var b bytes.Buffer
	switch {
	case s.open.Verbose:
		fmt.Fprintf(&b, "the report is not whole: %s\n", text.Count(len(r.Gaps), "loss", "losses"))
		for _, g := range r.Gaps {
			fmt.Fprintf(&b, "  %s\n", text.Message(g))
		}
	case s.json:
		b.WriteString("the report is ")
		printLosses(&b, r)
	default:
		b.WriteString("the report is not whole: it begins with what is missing\n")
	}
	fmt.Fprintf(stderr, "analyzenode: %s", &b)
}
