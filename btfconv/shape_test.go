package btfconv

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// The tables of a kernel that does not say where they are are found from their end, though a page of
// names is overwritten, and what is read of them is right.
func TestShape(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, x := range fixtures[:1] { // of 5.10: later ones say where they are, and some have the order of names before the tokens
		window := x.window(t)
		want, _, table, err := x.decode(window)
		if err != nil {
			t.Fatal(err)
		}
		right := map[string][]uint64{}
		for _, k := range want {
			right[k.name] = append(right[k.name], k.addr)
		}
		if !isTokenIndex(window[table.tokens.end-tokenIndexSize:]) {
			t.Fatalf("%s: no token index", x.name)
		}
		namesEnd := table.names + int(table.ends[len(table.ends)-1])
		for page := (table.names + 64) &^ (vmem.PageSize - 1); page < namesEnd; page += vmem.PageSize {
			for _, fill := range fillings(window, min(vmem.PageSize, namesEnd-max(page, table.names)), random) {
				b := slices.Clone(window)
				copy(b[max(page, table.names):namesEnd], fill)
				r := &remains{window: b, addr: fixtureAddr - fixturePad}
				if !r.locate(table.tokens.end - tokenIndexSize) {
					t.Errorf("%s: page %#x: not found", x.name, page)
					continue
				}
				if r.names != table.names || r.num != table.num || r.tokens != table.tokens.start {
					t.Errorf("%s: page %#x: names at %#x, not %#x; %d symbols of %d", x.name, page, r.names, table.names, r.num, table.num)
				}
				r.decode(fixtureText)
				r.check(nil)
				got := r.result()
				checkSymbols(t, x.name, &symbolTable{sorted: got}, right)
				if len(r.lost) == 0 {
					t.Errorf("%s: page %#x: %d of %d symbols, and nothing lost", x.name, page, len(got), len(want))
				}
				if page == 0 {
					t.Log(len(got), len(want))
				}
			}
		}
	}
}

// Whatever stands before what looks like a token index, nothing is read that is not there.
func TestShapeOfNothing(t *testing.T) {
	x := &fixtures[0]
	window := x.window(t)
	_, _, table, err := x.decode(window)
	if err != nil {
		t.Fatal(err)
	}
	index := table.tokens.end - tokenIndexSize
	for _, cut := range []int{index, index - 100, table.tokens.start, table.tokens.start - 8, table.names + 1, table.names - 3} {
		r := &remains{window: window[cut:], addr: fixtureAddr}
		if r.locate(index - cut) {
			t.Errorf("cut at %#x: names at %#x", cut, r.names)
		}
	}
}
