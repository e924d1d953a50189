package bpf

import (
	"context"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// reopen opens a kernel in changed memory.
func reopen(ctx context.Context, n *node, mem vmem.Memory) (*linux.Kernel, []*linux.Task, error) {
	k, err := linux.Open(ctx, mem, &linux.Options{Symbols: n.K.Symbols(), TaskScan: linux.ScanNever})
	if err != nil {
		return nil, nil, err
	}
	var tasks []*linux.Task
	for t, err := range k.Processes(ctx) {
		if err == nil {
			tasks = append(tasks, t)
		}
	}
	return k, tasks, nil
}

// TestHidden takes a program out of the table of IDs, as idr_remove does: it is found by what else leads to it.
func TestHidden(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	ctx := t.Context()
	victim := n.set.Programs()[2]
	m := smeartest.New(n.Mem)
	idr, err := n.K.Symbol(progIDR)
	if err != nil {
		t.Fatal(err)
	}
	head, err := n.K.Struct("idr", idr).At("idr_rt.xa_head").Pointer()
	if err != nil {
		t.Fatal(err)
	}
	node := n.K.Struct("xa_node", head&^3)
	for i := range 64 {
		slot := node.At("slots").Index(i)
		if p, err := slot.Pointer(); err != nil || p != victim.Address {
			continue
		}
		put(t, n, m, slot.Addr(), make([]byte, 8))
		count, err := node.At("count").Uint()
		if err != nil {
			t.Fatal(err)
		}
		put(t, n, m, node.At("count").Addr(), []byte{byte(count) - 1})
	}
	k, tasks, err := reopen(ctx, n, m)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(ctx, k, &Options{Tasks: tasks})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.Programs() {
		if is := p.Address == victim.Address; p.Hidden != is || is && p.Sources != victim.Sources&^InIDR {
			t.Errorf("%v: hidden %v, found by %v", p, p.Hidden, p.Sources)
		}
	}
	for _, gap := range set.Gaps() {
		t.Error(gap)
	}
}

// put overwrites memory at an address of the kernel.
func put(t *testing.T, n *node, m *smeartest.Memory, at vmem.VirtAddr, b []byte) {
	t.Helper()
	to, err := n.K.Space().Translate(at)
	if err != nil {
		t.Fatal(err)
	}
	m.Write(to.At(at), b)
}

// FuzzDamage overwrites what is read of BPF: all ends soon, and takes no more memory than is bounded.
func FuzzDamage(f *testing.F) {
	n := nodes.Bundled(f)
	ctx := context.Background()
	r := smeartest.NewRecorder(n.Mem)
	k, tasks, err := reopen(ctx, n, r)
	if err != nil {
		f.Fatal(err)
	}
	before := r.Pages()
	if _, err := Open(ctx, k, &Options{Tasks: tasks}); err != nil {
		f.Fatal(err)
	}
	pages := slices.DeleteFunc(r.Pages(), func(p vmem.PhysAddr) bool { return slices.Contains(before, p) })
	at, err := n.K.Symbol("page_offset_base")
	if err != nil {
		f.Fatal(err)
	}
	direct, err := n.K.Space().Uint64(at)
	if err != nil {
		f.Fatal(err)
	}
	smeartest.AddEdits(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.Mem)
		m.Edit(edits, pages, direct)
		k, tasks, err := reopen(t.Context(), n, m)
		if err != nil {
			t.Skip(err)
		}
		smeartest.Bounded(t, func(ctx context.Context) {
			set, err := Open(ctx, k, &Options{Tasks: tasks})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range set.Programs() {
				_, _ = set.Disassemble(p) // an error is a loss
				_, _ = set.JITed(p)
			}
			for _, m := range set.Maps() {
				for _, err := range set.Elements(ctx, m) {
					_ = err // a loss
				}
			}
		})
	})
}
