package nftables

import (
	"context"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
	"github.com/nodelens/nodelens/vmem"
)

// firstElement returns where the first element of a set that is a hash table is, and whose set.
func firstElement(t *testing.T, n *nftest.Node) (of *network.Namespace, node vmem.VirtAddr) {
	t.Helper()
	types, err := n.Mods.Types("nf_tables")
	if err != nil {
		t.Skip(err)
	}
	ht, err := types.Field("nft_rhash", "ht")
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range n.Namespaces {
		for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
			if err != nil {
				continue // which others tell
			}
			for _, s := range table.Sets {
				if s.Backend != "rhash" || len(s.Elements) == 0 {
					continue
				}
				for node, err := range n.K.Objects().Walk(t.Context(), nil).RHashTable(s.raw.Private + vmem.VirtAddr(ht.Offset)) {
					if err == nil {
						return ns, node
					}
				}
			}
		}
	}
	t.Skip("no set that is a hash table")
	return nil, 0
}

// A set whose elements lead back to themselves, or to very many that are as good as real ones, ends in bounded time and memory,
// and that something is wrong with it is told.
func TestEndlessSet(t *testing.T) {
	const elements = 300_000
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "nf_tables", "nft_register_expr")
		ns, node := firstElement(t, n)
		at, err := n.K.Space().Translate(node)
		if err != nil {
			t.Fatal(err)
		}
		last, err := n.K.Space().Uint64(node)
		if err != nil {
			t.Fatal(err)
		}
		object := make([]byte, 512)
		if _, err := n.K.Space().ReadVirt(object, node); err != nil {
			t.Fatal(err)
		}
		self := smeartest.New(n.Mem)
		self.PutUint64(at.At(node), uint64(node))
		many := smeartest.New(n.Mem)
		chain := smeartest.NewArray(many, uint64(node)-uint64(at.At(node)), object, elements, smeartest.Link{Next: 1, Last: last})
		many.PutUint64(at.At(node), uint64(chain.Object(0)))
		for name, mem := range map[string]vmem.Memory{"cycle": self, "many": chain} {
			t.Run(name, func(t *testing.T) {
				bad, err := n.On(mem)
				if err != nil {
					t.Fatal(err)
				}
				smeartest.BoundedPeak(t, func(ctx context.Context) {
					found, lost, corrupt := 0, 0, false
					for table, err := range Tables(ctx, bad.K, bad.Mods, ns) {
						if err != nil {
							lost++
							corrupt = corrupt || errors.Is(err, kstruct.ErrCorrupt) || errors.Is(err, kstruct.ErrCycle)
							continue
						}
						for _, s := range table.Sets {
							found += len(s.Elements)
						}
					}
					if !corrupt || lost > 2*maxGaps || name == "many" && found < elements {
						t.Errorf("%d elements, %d losses, one that says what is wrong: %v", found, lost, corrupt)
					}
				})
			})
		}
	})
}
