package xtables

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
	"github.com/nodelens/nodelens/vmem"
)

// anyTable returns a table with rules, and the struct xt_table_info of it.
func anyTable(t *testing.T, n *nftest.Node) (ns *network.Namespace, info vmem.VirtAddr) {
	t.Helper()
	types, err := n.Mods.Types("x_tables")
	if err != nil {
		t.Skip(err)
	}
	b := kstruct.NewBinder(types)
	private := kstruct.BindField[vmem.VirtAddr](b, "xt_table", "private")
	if err := b.Err(); err != nil {
		t.Skip(err)
	}
	for _, ns := range n.Namespaces {
		for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
			if err != nil || table.Family != "ip" || len(table.Chains) == 0 {
				continue
			}
			if info, err = private.Load(n.K.Space(), table.Addr); err != nil {
				t.Fatal(err)
			}
			return ns, info
		}
	}
	t.Skip("no table")
	return nil, 0
}

// A table whose rules lead nowhere, back to themselves or far beyond its end is read in bounded time and memory, and that it is broken is told.
func TestEndless(t *testing.T) {
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		ns, info := anyTable(t, n)
		types, err := n.Mods.Types("x_tables")
		if err != nil {
			t.Fatal(err)
		}
		offset := func(member string) vmem.VirtAddr {
			f, err := types.Field("xt_table_info", member)
			if err != nil {
				t.Fatal(err)
			}
			return info + vmem.VirtAddr(f.Offset)
		}
		next := offset("entries") + vmem.VirtAddr(layoutOf[2].next)
		for name, change := range map[string]struct {
			at   vmem.VirtAddr
			size int
			to   uint32
		}{
			"follows itself":  {next, 2, 0},
			"beyond the end":  {next, 2, 0xfff8},
			"no target":       {offset("entries") + vmem.VirtAddr(layoutOf[2].target), 2, 0xffff},
			"4 GiB":           {offset("size"), 4, 1<<32 - 1},
			"as much as goes": {offset("size"), 4, maxSize},
		} {
			t.Run(name, func(t *testing.T) {
				at, err := n.K.Space().Translate(change.at)
				if err != nil {
					t.Fatal(err)
				}
				word := at.At(change.at) &^ 7
				var raw [8]byte
				if _, err := n.Mem.ReadAt(raw[:], int64(word)); err != nil {
					t.Fatal(err)
				}
				part := raw[at.At(change.at)-word:]
				if change.size == 2 {
					binary.LittleEndian.PutUint16(part, uint16(change.to))
				} else {
					binary.LittleEndian.PutUint32(part, change.to)
				}
				mem := smeartest.New(n.Mem)
				mem.PutUint64(word, binary.LittleEndian.Uint64(raw[:]))
				bad, err := n.On(mem)
				if err != nil {
					t.Fatal(err)
				}
				smeartest.BoundedPeak(t, func(ctx context.Context) {
					lost := 0
					for _, err := range Tables(ctx, bad.K, bad.Mods, ns) {
						if err != nil {
							lost++
						}
					}
					if lost == 0 || lost > 2000 {
						t.Errorf("%d losses", lost)
					}
				})
			})
		}
	})
}
