package main

import (
	"bufio"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// printFiles says how many file systems there are, and tells the files without a name that processes of pods hold.
func printFiles(w *bufio.Writer, r *cos.NodeReport) {
	f := r.Files
	if f == nil {
		return
	}
	fmt.Fprintf(w, "\n%s, %s without a name\n", text.Count(len(f.FileSystems), "file system", "file systems"), text.Count(len(f.Nameless), "file", "files"))
	for i := range f.Nameless {
		n := &f.Nameless[i]
		if n.PodUID == "" || len(n.Holders) == 0 {
			continue
		}
		left := ""
		if len(n.Missing) > 0 {
			left = ", not whole in memory"
		}
		fmt.Fprintf(w, "  %s of %s%s, held by process %d\n", text.Word(n.Path), text.Size(n.Size), left, n.Holders[0].PID)
	}
}
