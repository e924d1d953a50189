package fleet

import (
	"bytes"
	"strings"

	"github.com/nodelens/nodelens/internal/text"
)

// How much is kept of what a child says, and of a line of it, in bytes.
const (
	maxTail  = 8 << 10
	maxCrash = 512
)

// crashes are how lines begin by which Go says why a program crashed.
var crashes = [][]byte{[]byte("panic: "), []byte("fatal error: "), []byte("runtime: "), []byte("runtime/cgo: "), []byte("SIG")}

// A tail keeps the end of what a child says; once Go says that it crashed, what it says from there on, for behind the cause there can be a lot.
type tail struct {
	kept  []byte
	line  []byte // the one that is being written
	crash string // how Go says it
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	for part := range bytes.Lines(p) {
		t.keep(part)
		t.line = append(t.line, part[:min(len(part), max(0, maxCrash-len(t.line)))]...)
		if part[len(part)-1] == '\n' {
			t.endLine()
		}
	}
	return len(p), nil
}

// keep keeps a part of a line, as far as there is room.
func (t *tail) keep(part []byte) {
	if t.crash != "" {
		t.kept = append(t.kept, part[:min(len(part), max(0, maxTail-len(t.kept)))]...)
		return
	}
	t.kept = append(t.kept, part[max(0, len(part)-maxTail):]...)
	if len(t.kept) > maxTail {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxTail:]...)
	}
}

// endLine looks at the line that ended.
func (t *tail) endLine() {
	for _, start := range crashes {
		if t.crash == "" && bytes.HasPrefix(t.line, start) {
			t.crash = text.Line(strings.TrimSpace(string(t.line)))
			t.kept = append(t.kept[:0], t.line...)
		}
	}
	t.line = t.line[:0]
}

// String returns the end, safe to print line by line.
func (t *tail) String() string {
	var lines []string
	for line := range strings.Lines(string(t.kept)) {
		lines = append(lines, text.Line(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
	}
	return strings.Join(lines, "\n")
}

// last returns the last line that has something in it.
func (t *tail) last() string {
	all := strings.TrimSpace(t.String())
	return all[strings.LastIndexByte(all, '\n')+1:]
}

// short reports whether Go crashed because the system gave it no more memory.
func (t *tail) short() bool {
	if t.crash == "" {
		return false
	}
	for _, words := range []string{"out of memory", "cannot allocate memory", "pthread_create failed"} { // the last for the stack of a thread
		if bytes.Contains(t.kept, []byte(words)) {
			return true
		}
	}
	return false
}
