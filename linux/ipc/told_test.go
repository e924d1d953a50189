package ipc

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// told returns the lines of what the lab's cases told of themselves, split into words.
func told(t *testing.T, n *node, name string) (lines [][]string) {
	t.Helper()
	text, ok := n.Read(t, "task", "told", name)
	if !ok {
		t.Skipf("no %s was told", name)
	}
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}

func number(t *testing.T, word string) int {
	t.Helper()
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// spaceOf returns the namespace of a process.
func (n *node) spaceOf(t *testing.T, pid string) *Namespace {
	t.Helper()
	for _, ns := range n.spaces {
		if slices.ContainsFunc(ns.PIDs, func(p int32) bool { return fmt.Sprint(p) == pid }) {
			return ns
		}
	}
	t.Fatalf("process %s is in no namespace", pid)
	return nil
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// TestToldMessages compares the messages of System V with what the lab's cases sent.
func TestToldMessages(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := map[string][]string{}
		for _, w := range told(t, n, "msg") {
			key := w[0] + " " + w[1]
			want[key] = append(want[key], fmt.Sprint(w[2], " ", w[3], " ", w[4]))
		}
		for key, messages := range want {
			pid, id, _ := strings.Cut(key, " ")
			ns := n.spaceOf(t, pid)
			i := slices.IndexFunc(ns.Msg, func(m Msg) bool { return fmt.Sprint(m.ID) == id })
			if i < 0 {
				t.Errorf("no queue %s of process %s", id, pid)
				continue
			}
			var got []string
			for _, m := range ns.Msg[i].Messages {
				got = append(got, fmt.Sprint(m.Type, " ", len(m.Data), " ", sum(m.Data)))
			}
			if diff := gocmp.Diff(messages, got); diff != "" {
				t.Errorf("queue %s of process %s (-sent +found):\n%s", id, pid, diff)
			}
		}
	})
}

// TestToldQueues compares the POSIX queues with what the lab's cases sent, and with their files.
func TestToldQueues(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		type message struct {
			priority string
			text     string
		}
		want := map[string][]message{}
		for _, w := range told(t, n, "mqueue") {
			key := w[0] + " " + w[1]
			want[key] = append(want[key], message{w[2], fmt.Sprint(w[2], " ", w[3], " ", w[4])})
		}
		r := New(n.K)
		for _, p := range n.Tasks {
			for fd, err := range p.Files(t.Context()) {
				messages, ok := want[fmt.Sprintf("%d %d", p.PID, fd.FD)]
				if err != nil || !ok {
					continue
				}
				delete(want, fmt.Sprintf("%d %d", p.PID, fd.FD))
				inode, err := r.views.shm.inode.Load(r.mem, fd.Addr)
				if err != nil {
					t.Error(err)
					continue
				}
				ns := n.spaceOf(t, fmt.Sprint(p.PID))
				i := slices.IndexFunc(ns.Queues, func(q Queue) bool { return q.Inode == inode })
				if i < 0 {
					t.Errorf("%v: no queue of %s", p, fd.Path)
					continue
				}
				slices.SortStableFunc(messages, func(a, b message) int {
					return number(t, b.priority) - number(t, a.priority)
				})
				var sent, got []string
				for _, m := range messages {
					sent = append(sent, m.text)
				}
				for _, m := range ns.Queues[i].Messages {
					got = append(got, fmt.Sprint(m.Type, " ", len(m.Data), " ", sum(m.Data)))
				}
				if diff := gocmp.Diff(sent, got); diff != "" {
					t.Errorf("%v: %s (-sent +found):\n%s", p, fd.Path, diff)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("not found: %v", want)
		}
		files := 0
		for _, q := range n.initial(t).Queues {
			text, ok := n.Read(t, "task", "mqueue", strings.TrimPrefix(q.Name, "/"))
			if !ok {
				continue
			}
			files++
			if diff := gocmp.Diff(strings.TrimRight(text, " \n"), strings.TrimRight(q.String(), " ")); diff != "" {
				t.Errorf("%s (-file +found):\n%s", q.Name, diff)
			}
		}
		t.Logf("%d files", files)
	})
}

// TestToldMemory compares shared memory with what the lab's cases wrote.
func TestToldMemory(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		r := New(n.K)
		for _, w := range told(t, n, "shm") {
			ns := n.spaceOf(t, w[0])
			i := slices.IndexFunc(ns.Shm, func(s Shm) bool { return fmt.Sprint(s.ID) == w[1] })
			if i < 0 {
				t.Errorf("no segment %s of process %s", w[1], w[0])
				continue
			}
			size := number(t, w[2])
			data := make([]byte, size)
			for e, err := range r.Content(t.Context(), &ns.Shm[i]) {
				if err != nil {
					t.Error(err)
				}
				copy(data[min(e.Offset, uint64(size)):], e.Data)
			}
			if got := sum(data); got != w[3] {
				t.Errorf("segment %s of process %s: %d bytes of %s, not %s", w[1], w[0], size, got, w[3])
			}
		}
	})
}

// TestToldSemaphores compares values of semaphores with what the lab's case saw.
func TestToldSemaphores(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, w := range told(t, n, "sem") {
			ns := n.spaceOf(t, w[0])
			i := slices.IndexFunc(ns.Sem, func(s Sem) bool { return fmt.Sprint(s.ID) == w[1] })
			if i < 0 {
				t.Errorf("no set %s of process %s", w[1], w[0])
				continue
			}
			at := number(t, w[2])
			if at >= len(ns.Sem[i].Values) {
				t.Errorf("set %s has %d semaphores, not %d", w[1], len(ns.Sem[i].Values), at)
				continue
			}
			v := ns.Sem[i].Values[at]
			if got, want := fmt.Sprint(v.Value, v.PID), w[3]+" "+w[4]; got != want {
				t.Errorf("semaphore %d of set %s: %s, not %s", at, w[1], got, want)
			}
		}
	})
}
