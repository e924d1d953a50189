package fleet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A task is what a child is told to do: one line of JSON on its standard input, which stays open as long as whoever started it lives.
type task struct {
	Item    Item     `json:"item"`
	Out     string   `json:"out"` // the directory of results
	By      Analysis `json:"by"`
	Limits  Limits   `json:"limits"`
	Attempt int      `json:"attempt"`        // this is the one of that number
	Last    bool     `json:"last,omitempty"` // there will be no other
	Redo    bool     `json:"redo,omitempty"` // failures that are final, too
}

// A subject is what a child says as soon as it knows it: one line of JSON on its standard output.
type subject struct {
	Image Identity `json:"image"`
	Had   bool     `json:"had"` // there is a result already
}

// parseSubject reads what a child said, of which the last whole line counts. What is none is that nothing is known.
func parseSubject(said []byte) (s subject) {
	for line := range bytes.Lines(said) {
		var next subject
		if json.Unmarshal(line, &next) == nil {
			s = next
		}
	}
	return s
}

// maxTask is the length that a task has at most, in bytes: that of a line of a manifest, and more.
const maxTask = 2 * maxLine

// readTask reads the task.
func readTask(r *bufio.Reader) (*task, error) {
	line, err := readLine(r, maxTask)
	if err != nil {
		return nil, fmt.Errorf("no task on standard input: %w", err)
	}
	t := new(task)
	if err := json.Unmarshal(line, t); err != nil {
		return nil, fmt.Errorf("the task on standard input: %w", err)
	}
	return t, nil
}

// writeLine writes v as a line of JSON.
func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(append(line, '\n'))
	}
	return err
}
