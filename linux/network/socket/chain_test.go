package socket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// million is how many sockets an endless chain has: so many, or where tests are to be quick a
// part of that. limit is how many of them are asked for.
func million() int {
	if testimages.Thorough() {
		return 1_000_000
	}
	return 2 * limit
}

const limit = 10_000

// A victim is a chain of a table that somebody makes longer, behind one of its sockets.
type victim struct {
	table  string
	socket *Socket
	node   vmem.VirtAddr // offset of the links
	back   bool          // each node points back to the pointer that leads to it
}

func victims(t *testing.T, n *node) []victim {
	t.Helper()
	v := bind(n.symbols)
	links := vmem.VirtAddr(v.node.Offset())
	return []victim{
		{"TCP sockets", one(t, func(s *Socket) bool { return s.State == Established && s.LocalPort == 31337 }), links, true},
		{"UDP sockets", one(t, func(s *Socket) bool { return s.Protocol == "udp" }), links, true},
		{"unix sockets", one(t, func(s *Socket) bool { return s.Family == Unix && s.Type == Dgram }), links, true},
		{"netlink sockets", one(t, func(s *Socket) bool { return s.Family == Netlink && s.Sources&InTable != 0 }), vmem.VirtAddr(v.netlink.node.Offset()), false},
	}
}

// lengthen returns memory in which n copies of the socket, each of which is as good as the first,
// follow that in its chain. The last one leads to end.
func (p *patch) lengthen(v victim, n int, end uint64) *smeartest.Array {
	p.tb.Helper()
	object := make([]byte, vmem.PageSize)
	if _, err := p.n.k.Space().ReadVirt(object, v.socket.Addr); err != nil {
		p.tb.Fatal(err)
	}
	at, err := p.n.k.Space().Translate(v.socket.Addr)
	if err != nil {
		p.tb.Fatal(err)
	}
	direct := uint64(v.socket.Addr) - uint64(at.At(v.socket.Addr))
	first := v.socket.Addr + v.node
	links := []smeartest.Link{{At: int(v.node), Next: 1, To: int(v.node), Last: end}}
	if v.back {
		links = append(links, smeartest.Link{At: int(v.node) + 8, Next: -1, To: int(v.node), Last: uint64(first)})
	}
	a := smeartest.NewArray(p.m, direct, object, n, links...)
	p.put(first, uint64(a.Object(0)+v.node))
	return a
}

// A chain of a million sockets, none of which can be told from a real one, ends in bounded time
// and memory; that there is more than is told is told.
func TestMillion(t *testing.T) {
	n := openBundled(t)
	for i, v := range victims(t, n) {
		if i > 0 && !testimages.Thorough() {
			break // one takes half a second
		}
		t.Run(v.table, func(t *testing.T) {
			p := newPatch(t)
			mem := p.lengthen(v, million(), p.get(v.socket.Addr+v.node))
			k, err := linux.Open(t.Context(), mem, &linux.Options{Symbols: n.symbols})
			if err != nil {
				t.Fatal(err)
			}
			smeartest.BoundedPeak(t, func(ctx context.Context) {
				told, most := 0, false
				for s, err := range Sockets(ctx, k, &Options{Limit: limit}) {
					switch {
					case err == nil:
						told++
						if told > limit {
							t.Fatalf("%v goes over the limit", s)
						}
					case errors.Is(err, kstruct.ErrTooMany) && strings.Contains(err.Error(), fmt.Sprintf("of which %d are told", limit)):
						most = true
					}
				}
				if told != limit || !most {
					t.Errorf("%d sockets; that there are more is told: %v", told, most)
				}
			})
		})
	}
}

// A chain of some sockets that comes back to one of them ends, each of them is told once, and
// that it comes back is a gap.
func TestLongCycle(t *testing.T) {
	testimages.Long(t)
	n := openBundled(t)
	for _, v := range victims(t, n) {
		t.Run(v.table, func(t *testing.T) {
			const length = 500
			p := newPatch(t)
			mem := p.lengthen(v, length, uint64(v.socket.Addr+v.node))
			k, err := linux.Open(t.Context(), mem, &linux.Options{Symbols: n.symbols})
			if err != nil {
				t.Fatal(err)
			}
			smeartest.BoundedPeak(t, func(context.Context) {
				all, errs := collect(t, k, nil)
				seen := map[vmem.VirtAddr]bool{}
				for _, s := range all {
					if seen[s.Addr] {
						t.Errorf("%v is there twice", s)
					}
					seen[s.Addr] = true
				}
				sound := len(soundSockets(t))
				if len(all) < length || len(all) > sound+length {
					t.Errorf("%d sockets; without the cycle %d", len(all), sound)
				}
				told := slices.ContainsFunc(errs, func(err error) bool {
					return strings.HasPrefix(err.Error(), v.table) && (errors.Is(err, kstruct.ErrCorrupt) || errors.Is(err, kstruct.ErrCycle))
				})
				if !told {
					t.Errorf("no gap of the cycle: %v", errs)
				}
			})
		})
	}
}

// Words that lead on by a step through memory that holds no sockets end soon.
func TestStrangers(t *testing.T) {
	testimages.Long(t)
	n := openBundled(t)
	for _, v := range victims(t, n) {
		t.Run(v.table, func(t *testing.T) {
			p := newPatch(t)
			a := p.lengthen(v, million(), 1)
			clear(a.Template()) // links remain
			k, err := linux.Open(t.Context(), a, &linux.Options{Symbols: n.symbols})
			if err != nil {
				t.Fatal(err)
			}
			smeartest.BoundedPeak(t, func(context.Context) {
				all, errs := collect(t, k, nil)
				if len(all) > len(soundSockets(t)) || len(errs) == 0 {
					t.Errorf("%d sockets, %d gaps", len(all), len(errs))
				}
				if len(errs) > 2000 {
					t.Errorf("%d gaps", len(errs))
				}
			})
		})
	}
}
