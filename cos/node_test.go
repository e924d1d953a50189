package cos

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
)

// A node that stays open answers for single processes and pods what the report says.
func TestNode(t *testing.T) {
	t.Parallel()
	n := bundledNode(t)
	r, err := n.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n.Image().Format != "LiME" || n.Kernel().Info().Release != r.Kernel.Release {
		t.Errorf("image %v, kernel %v", n.Image(), n.Kernel().Info())
	}
	pods := map[string]Pod{}
	for _, p := range r.Pods {
		pods[p.UID] = p
	}
	var wg sync.WaitGroup
	for _, p := range r.Processes {
		wg.Go(func() {
			task, err := n.Process(t.Context(), p.PID)
			if err != nil || task.Addr != p.Address || task.PID != p.PID {
				t.Errorf("PID %d: %v, %v", p.PID, task, err)
				return
			}
			pod, err := n.Pod(t.Context(), task)
			switch {
			case p.PodUID == "" && (pod != nil || !errors.Is(err, ErrNoPod)):
				t.Errorf("%v, in no pod: %v, %v", task, pod, err)
			case p.PodUID != "" && err != nil:
				t.Errorf("%v, in pod %s: %v", task, p.PodUID, err)
			case p.PodUID != "":
				if diff := cmp.Diff(pods[p.PodUID], *pod); diff != "" {
					t.Errorf("%v: pod (-want +got):\n%s", task, diff)
				}
			}
		})
	}
	wg.Wait()
	if task, err := n.Process(t.Context(), 99999); task != nil || !errors.Is(err, ErrNoProcess) {
		t.Errorf("PID that is none: %v, %v", task, err)
	}
}

// Threads are in the pod of their process.
func TestNodeThread(t *testing.T) {
	t.Parallel()
	n := bundledNode(t)
	found := false
	for leader, err := range n.Kernel().Processes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		pod, err := n.Pod(t.Context(), leader)
		if err != nil {
			continue
		}
		for thread, err := range leader.Threads(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			found = true
			if got, err := n.Pod(t.Context(), thread); got != pod {
				t.Errorf("%v: %v, %v", thread, got, err)
			}
		}
	}
	if !found {
		t.Error("no thread in a pod")
	}
}

// One reads, the others wait; who fails leaves it to the next; who waits may give up.
func TestCached(t *testing.T) {
	t.Parallel()
	var c cached[int]
	var calls atomic.Int64
	read := func(context.Context) (int, error) {
		if calls.Add(1) == 1 {
			return 0, errors.New("the first fails")
		}
		time.Sleep(time.Millisecond)
		return 7, nil
	}
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			v, err := c.get(t.Context(), false, read)
			if err != nil {
				failed.Add(1)
			} else if v != 7 {
				t.Errorf("value %d", v)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 2 || failed.Load() != 1 {
		t.Errorf("read %d times, %d failed", calls.Load(), failed.Load())
	}
	if v, err := c.get(t.Context(), true, read); v != 7 || err != nil || calls.Load() != 3 {
		t.Errorf("fresh: %d, %v, read %d times", v, err, calls.Load())
	}

	var slow cached[int]
	started, release := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		_, err := slow.get(t.Context(), false, func(context.Context) (int, error) {
			close(started)
			<-release
			return 1, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := slow.get(ctx, false, read); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "first") {
		t.Errorf("gave up: %v", err)
	}
	close(release)
	wg.Wait()
}

// A file that shrinks while the node is open makes a report with gaps.
func TestNodeShrinks(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	name := filepath.Join(t.TempDir(), "node.lime")
	copyFile(t, bundled(t).Path, name)
	n, err := OpenNode(t.Context(), File(name), ownOrGiven(t))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := os.Truncate(name, 100<<20); err != nil {
		t.Fatal(err)
	}
	r, err := n.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Whole() || r.Gaps[0].Object != "image" || r.Gaps[0].Reason() != "truncated" || len(r.Processes) < 10 {
		t.Errorf("%d processes, gaps %.3v", len(r.Processes), r.Gaps)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
