package fdinfo

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// waiting returns the node with so many locks each of which waits for the one before, the first for one that is held, which comes beside it.
func waiting(t *testing.T, n *node, count int) (*nodetest.Node, *Lock) {
	t.Helper()
	locks, _, err := n.r.Locks(t.Context(), n.Tasks)
	if err != nil || len(locks) == 0 {
		t.Fatal(err, len(locks))
	}
	held, v, space := &locks[0], &n.r.views.locks, n.K.Space()
	object := make([]byte, vmem.PageSize)
	if _, err := space.ReadVirt(object[:v.lock.Size()], held.Address); err != nil {
		t.Fatal(err)
	}
	m, err := space.Translate(held.Address)
	if err != nil {
		t.Fatal(err)
	}
	direct := uint64(held.Address) - uint64(m.At(held.Address))
	list, member := int(v.blocked.Offset()), int(v.member.Offset())
	chain := func(last uint64) *smeartest.Array {
		return smeartest.NewArray(n.Mem, direct, object, count,
			smeartest.Link{At: list, Next: 1, To: member, Last: last},
			smeartest.Link{At: list + 8, Next: 1, To: member, Last: last},
			smeartest.Link{At: member, Next: -1, To: list, Last: uint64(v.blocked.Of(held.Address))},
			smeartest.Link{At: member + 8, Next: -1, To: list, Last: uint64(v.blocked.Of(held.Address))},
		)
	}
	all := chain(uint64(v.blocked.Of(chain(0).Object(count - 1)))) // for the last one waits none
	mem := smeartest.New(all)
	for i := range vmem.PhysAddr(2) {
		mem.PutUint64(m.At(v.blocked.Of(held.Address))+8*i, uint64(v.member.Of(all.Object(0))))
	}
	out := &nodetest.Node{Image: n.Image}
	if err := out.On(mem, &linux.Options{Symbols: n.K.Symbols()}); err != nil {
		t.Fatal(err)
	}
	return out, held
}

// TestWaiting: of locks each of which waits for the one before all are told, or that there are more.
func TestWaiting(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	for _, count := range []int{1, 40, maxWaiting, 2 * maxWaiting} {
		in, held := waiting(t, n, count)
		locks, gaps, err := New(in.K).Locks(t.Context(), in.Tasks)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for i := range locks {
			if locks[i].Address == held.Address {
				for l := &locks[i]; len(l.Waiters) > 0; l = &l.Waiters[0] {
					told++
				}
			}
		}
		if told != min(count, maxWaiting) {
			t.Errorf("%d of %d are told", told, count)
		}
		if more := len(gaps) == 1 && errors.Is(gaps[0], kstruct.ErrTooMany); more != (count > maxWaiting) {
			t.Errorf("%d: %v", count, gaps)
		}
	}
}

// TestLostInode: a file of which the inode can't be read, but the path can, is a loss to who would have found locks or a pipe in it.
func TestLostInode(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	locks, _, err := n.r.Locks(t.Context(), n.Tasks)
	if err != nil || len(locks) == 0 {
		t.Fatal(err, len(locks))
	}
	inode, err := n.K.Symbols().Field("file", "f_inode")
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.K.Space().Translate(locks[0].file + vmem.VirtAddr(inode.Offset))
	if err != nil {
		t.Fatal(err)
	}
	mem := smeartest.New(n.Mem)
	mem.PutUint64(m.At(locks[0].file+vmem.VirtAddr(inode.Offset)), 1)
	in := &nodetest.Node{Image: n.Image}
	if err := in.On(mem, &linux.Options{Symbols: n.K.Symbols()}); err != nil {
		t.Fatal(err)
	}
	r := New(in.K)
	left, gaps, err := r.Locks(t.Context(), in.Tasks)
	if err != nil || len(left) >= len(locks) {
		t.Fatal(err, len(left))
	}
	_, more, err := r.Pipes(t.Context(), in.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range [][]vmem.Gap{gaps, more} {
		if len(g) != 1 || !errors.Is(g[0], kstruct.ErrCorrupt) {
			t.Errorf("%v, not one loss", g)
		}
	}
}
