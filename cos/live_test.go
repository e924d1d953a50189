package cos

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

var errFlicker = errors.New("changing")

// flickering is memory of which some pages can't be read the first time.
type flickering struct {
	vmem.Memory
	runs bool
	mu   sync.Mutex     // guards pages
	left map[int64]bool // pages whose first read is to come
}

func (m *flickering) Live() bool { return m.runs }

func (m *flickering) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left[off/pageSize] {
		delete(m.left, off/pageSize)
		return 0, errFlicker
	}
	return m.Memory.ReadAt(p, off)
}

// TestLive reads processes out of memory that a part of the first reads fails on. If it
// runs they are read again, and the result is as without failures; if not, there are gaps.
func TestLive(t *testing.T) {
	img := bundled(t)
	f, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols := symbolsOf(t, img)
	read := func(runs, fails bool) ([]Process, int) {
		touched := &touched{Memory: f.Memory}
		k, err := linux.Open(t.Context(), touched, &linux.Options{Symbols: symbols})
		if err != nil {
			t.Fatal(err)
		}
		touched.pages = map[int64]bool{}
		if _, _, _, err := processes(t.Context(), k, secrecy{}); err != nil {
			t.Fatal(err)
		}
		m := &flickering{Memory: f.Memory, runs: runs}
		if k, err = linux.Open(t.Context(), m, &linux.Options{Symbols: symbols}); err != nil {
			t.Fatal(err)
		}
		m.left = map[int64]bool{}
		for page := range touched.pages {
			m.left[page] = fails && page%16 == 0
		}
		all, _, gaps, err := processes(t.Context(), k, secrecy{})
		if err != nil {
			t.Fatal(err)
		}
		var list []Process
		lost := len(gaps)
		for i := range all {
			list = append(list, all[i].Process)
			lost += len(all[i].gaps)
		}
		slices.SortFunc(list, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
		return list, lost
	}
	want, none := read(false, false)
	_, some := read(false, true)
	got, left := read(true, true)
	if none != 0 || some == 0 || left != 0 {
		t.Errorf("gaps without failures, with them, and with them in a machine that runs: %d, %d, %d", none, some, left)
	}
	if d := gocmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("processes of a machine that runs (-want +got):\n%s", d)
	}
}

// TestEnded has a process end, and its task_struct be given to another, while it is read.
func TestEnded(t *testing.T) {
	img := bundled(t)
	f, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := &flickering{Memory: f.Memory, runs: true}
	k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: symbolsOf(t, img)})
	if err != nil {
		t.Fatal(err)
	}
	for task, err := range k.Processes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ended := *task
		ended.SinceBoot++
		for _, tt := range []struct {
			task *linux.Task
			gaps int
		}{{task, 0}, {&ended, 1}} {
			f := settle(true, func() facts { return facts{task: tt.task} })
			if len(f.gaps) != tt.gaps || tt.gaps > 0 && !errors.Is(&f.gaps[0], ErrEnded) {
				t.Errorf("%v: gaps %v", task, f.gaps)
			}
		}
	}
}
