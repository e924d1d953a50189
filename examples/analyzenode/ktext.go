package main

import (
	"bufio"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// maxTold is how many modifications are printed: the report has all.
const maxTold = 50

// printText says how much of the kernel's code was compared, and what of it was changed.
func printText(w *bufio.Writer, r *cos.NodeReport) {
	if r.Text == nil {
		return
	}
	size, places := uint64(0), 0
	for _, a := range r.Text.Areas {
		size += a.Range.Size - a.Lost
	}
	for _, p := range r.Text.Patched {
		places += p.Count
	}
	fmt.Fprintf(w, "kernel text: %d bytes compared, %d places patched by the kernel itself", size, places)
	if len(r.Text.Modifications) == 0 {
		fmt.Fprintln(w, ", no modification")
		return
	}
	fmt.Fprintf(w, ", %s:\n", text.Count(len(r.Text.Modifications), "modification", "modifications"))
	for i := range r.Text.Modifications {
		if i == maxTold {
			fmt.Fprintf(w, "    and %d more\n", len(r.Text.Modifications)-maxTold)
			return
		}
		fmt.Fprintf(w, "    %s\n", text.Line(r.Text.Modifications[i].String()))
	}
}
