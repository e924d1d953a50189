package netfilter_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/netfilter/ipset"
	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/vmem"
)

// all reads all there is, and returns how many things there are and how many losses.
func all(ctx context.Context, n *nftest.Node) (found, lost int) {
	count := func(err error) {
		if err != nil {
			lost++
		} else {
			found++
		}
	}
	lost = n.Lost
	for _, err := range netfilter.Conntrack(ctx, n.K, n.Mods, n.Namespaces) {
		count(err)
	}
	for _, err := range netfilter.Expectations(ctx, n.K, n.Mods, n.Namespaces) {
		count(err)
	}
	for _, ns := range n.Namespaces {
		for _, err := range nftables.Tables(ctx, n.K, n.Mods, ns) {
			count(err)
		}
		for _, err := range xtables.Tables(ctx, n.K, n.Mods, ns) {
			count(err)
		}
		for _, err := range ipset.Sets(ctx, n.K, n.Mods, ns) {
			count(err)
		}
		for _, err := range ipvs.Services(ctx, n.K, n.Mods, ns) {
			count(err)
		}
		for _, err := range ipvs.Connections(ctx, n.K, n.Mods, ns) {
			count(err)
		}
	}
	return found, lost
}

// Memory of which many pages are overwritten is read to its end, and what is lost is told.
func TestDamage(t *testing.T) {
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		whole, none := all(t.Context(), n)
		r := rand.New(rand.NewPCG(1, 2))
		for _, pages := range []int{200, 2000, 8000} {
			mem := smeartest.New(n.Mem)
			mem.Pages(r, pages)
			damaged, err := n.On(mem)
			if err != nil {
				continue // the kernel itself is lost
			}
			start := time.Now()
			found, lost := all(t.Context(), damaged)
			if d := time.Since(start); d > time.Minute {
				t.Errorf("%d pages overwritten: it takes %v", pages, d)
			}
			if found < whole && lost <= none {
				t.Errorf("%d pages overwritten: %d of %d are found, and %d losses are told", pages, found, whole, lost)
			}
			t.Logf("%d pages: %d of %d found, %d losses", pages, found, whole, lost)
		}
	})
}

// A chain that leads back into itself ends, and is told.
func TestCycle(t *testing.T) {
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		// The first connection's node of the original direction follows itself.
		var first vmem.VirtAddr
		none := 0
		for c, err := range netfilter.Conntrack(t.Context(), n.K, n.Mods, n.Namespaces) {
			switch {
			case err != nil:
				none++
			case first == 0:
				first = c.Addr
			}
		}
		if first == 0 {
			t.Skip("no connection")
		}
		types, err := n.Mods.Types("nf_conntrack")
		if err != nil {
			t.Skip(err)
		}
		f, err := types.Field("nf_conn", "tuplehash")
		if err != nil {
			t.Fatal(err)
		}
		node := first + vmem.VirtAddr(f.Offset)
		at, err := n.K.Space().Translate(node)
		if err != nil {
			t.Fatal(err)
		}
		mem := smeartest.New(n.Mem)
		mem.PutUint64(at.At(node), uint64(node))
		bad, err := n.On(mem)
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, err := range netfilter.Conntrack(t.Context(), bad.K, bad.Mods, bad.Namespaces) {
			if err != nil {
				lost++
			}
		}
		if lost <= none {
			t.Error("a node that follows itself is not told")
		}
	})
}

// A chain of very many connections, each of which is as good as a real one, ends in bounded time and
// memory, and its losses (none of them is in the table by its other tuple) are told one by one up to
// a bound.
func TestEndless(t *testing.T) {
	const connections = 200_000
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		var first vmem.VirtAddr
		for c, err := range netfilter.Conntrack(t.Context(), n.K, n.Mods, n.Namespaces) {
			if err == nil && first == 0 {
				first = c.Addr
			}
		}
		types, err := n.Mods.Types("nf_conntrack")
		if err != nil || first == 0 {
			t.Skip(err)
		}
		f, err := types.Field("nf_conn", "tuplehash")
		if err != nil {
			t.Fatal(err)
		}
		object := make([]byte, vmem.PageSize)
		if _, err := n.K.Space().ReadVirt(object, first); err != nil {
			t.Fatal(err)
		}
		node := first + vmem.VirtAddr(f.Offset)
		at, err := n.K.Space().Translate(node)
		if err != nil {
			t.Fatal(err)
		}
		direct := uint64(node) - uint64(at.At(node))
		mem := smeartest.New(n.Mem)
		last, err := n.K.Space().Uint64(node)
		if err != nil {
			t.Fatal(err)
		}
		to := int(f.Offset)
		chain := smeartest.NewArray(mem, direct, object, connections,
			smeartest.Link{At: to, Next: 1, To: to, Last: last}, smeartest.Link{At: to + 8, Next: -1, To: to, Last: uint64(node)})
		mem.PutUint64(at.At(node), uint64(chain.Object(0))+f.Offset)
		bad, err := n.On(chain)
		if err != nil {
			t.Fatal(err)
		}
		smeartest.BoundedPeak(t, func(ctx context.Context) {
			found, lost, more := 0, 0, false
			for _, err := range netfilter.Conntrack(ctx, bad.K, bad.Mods, bad.Namespaces) {
				if err == nil {
					found++
					continue
				}
				lost++
				more = more || errors.Is(err, kstruct.ErrTooMany)
			}
			if found < connections || lost > 2000 || !more {
				t.Errorf("%d connections and %d losses; that there are more is told: %v", found, lost, more)
			}
		})
	})
}

// A context that is done ends everything at once.
func TestCanceled(t *testing.T) {
	n := nftest.Bundled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := 0
	for _, ns := range n.Namespaces {
		for h, err := range netfilter.Hooks(ctx, n.K, n.Mods, ns, nil) {
			if err == nil {
				t.Errorf("%+v after the end", h)
			} else if errors.Is(err, context.Canceled) {
				ended++
			}
		}
	}
	if ended != len(n.Namespaces) {
		t.Errorf("%d of %d ended with the context's error", ended, len(n.Namespaces))
	}
}
