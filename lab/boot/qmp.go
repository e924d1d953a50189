package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// readyLine is what the node writes to its second serial line when its memory may be dumped.
const readyLine = "LAB-READY"

// dial connects to a socket that QEMU is about to make.
func dial(path string) (net.Conn, error) {
	for range 100 {
		if c, err := net.Dial("unix", path); err == nil {
			return c, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return net.Dial("unix", path)
}

// waitReady returns when the node is ready, QEMU has ended, or the limit is over.
func (m *machine) waitReady(ended <-chan error) error {
	c, err := dial(m.path("ready"))
	if err != nil {
		return err
	}
	defer c.Close()
	line := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			if strings.Contains(lines.Text(), readyLine) {
				line <- nil
				return
			}
		}
		line <- errors.New("the node's serial line closed")
	}()
	select {
	case err := <-line:
		return err
	case err := <-ended:
		return fmt.Errorf("QEMU ended before the node was ready: %w", cmp.Or(err, errors.New("it gave no reason")))
	case <-time.After(m.limit):
		return fmt.Errorf("the node was not ready after %v; see %s", m.limit, m.path("serial.log"))
	}
}

// dump pauses the machine and writes its memory and registers.
func (m *machine) dump() error {
	c, err := dial(m.path("qmp"))
	if err != nil {
		return err
	}
	defer c.Close()
	q := &monitor{enc: json.NewEncoder(c), dec: json.NewDecoder(c)}
	file, err := filepath.Abs(m.path("dump.elf"))
	if err != nil {
		return err
	}
	q.receive() // the greeting
	q.execute("qmp_capabilities", nil)
	q.execute("stop", nil)
	q.execute("dump-guest-memory", map[string]any{"paging": false, "protocol": "file:" + file})
	registers := q.execute("human-monitor-command", map[string]any{"command-line": "info registers -a"})
	q.execute("quit", nil)
	if q.err != nil {
		return q.err
	}
	var text string
	if err := json.Unmarshal(registers, &text); err != nil {
		return err
	}
	return os.WriteFile(m.path("registers.txt"), []byte(text), 0o644)
}

// monitor speaks the QEMU Machine Protocol; the first error sticks.
type monitor struct {
	enc *json.Encoder
	dec *json.Decoder
	err error
}

type request struct {
	Execute   string         `json:"execute"`
	Arguments map[string]any `json:"arguments,omitempty"`
}

type message struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Description string `json:"desc"`
	} `json:"error"`
	QMP json.RawMessage `json:"QMP"`
}

// receive returns the next message that is not an event.
func (q *monitor) receive() message {
	var r message
	for q.err == nil && r.Return == nil && r.Error == nil && r.QMP == nil {
		q.err = q.dec.Decode(&r)
	}
	return r
}

// execute sends a command and returns what it returns.
func (q *monitor) execute(command string, arguments map[string]any) json.RawMessage {
	if q.err != nil {
		return nil
	}
	q.err = q.enc.Encode(request{command, arguments})
	r := q.receive()
	if q.err == nil && r.Error != nil {
		q.err = fmt.Errorf("%s: %s", command, r.Error.Description)
	}
	return r.Return
}
