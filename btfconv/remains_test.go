package btfconv

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// A repaged memory has other contents in some pages.
type repaged struct {
	vmem.Memory
	pages map[vmem.PhysAddr][]byte
}

func (m *repaged) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Memory.ReadAt(p, off)
	end := vmem.PhysAddr(off) + vmem.PhysAddr(n)
	for at := vmem.PhysAddr(off) &^ (vmem.PageSize - 1); at < end; at += vmem.PageSize {
		if page, ok := m.pages[at]; ok {
			from, to := max(at, vmem.PhysAddr(off)), min(at+vmem.PageSize, end)
			copy(p[from-vmem.PhysAddr(off):to-vmem.PhysAddr(off)], page[from-at:to-at])
		}
	}
	return n, err
}

// A pageDamage makes what a page is overwritten with.
type pageDamage struct {
	name string
	fill func(random *rand.Rand) []byte
}

// damagesOf returns the kinds of damage; one copies a page of a part of memory.
func damagesOf(mem vmem.Memory, within vmem.Range[vmem.PhysAddr]) []pageDamage {
	return []pageDamage{
		{"random", func(random *rand.Rand) []byte {
			b := make([]byte, vmem.PageSize)
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return b
		}},
		{"zeros", func(*rand.Rand) []byte { return make([]byte, vmem.PageSize) }},
		{"a copy", func(random *rand.Rand) []byte {
			page := within.Start + vmem.PhysAddr(random.Uint64N(within.Size))
			return readUpTo(mem, page&^(vmem.PageSize-1), vmem.PageSize)
		}},
	}
}

// tableRanges returns where the tables are of a search that was run.
func tableRanges(s *search) map[string]vmem.Range[vmem.PhysAddr] {
	t := s.table
	at := func(from, to int) vmem.Range[vmem.PhysAddr] {
		return vmem.Range[vmem.PhysAddr]{Start: s.place.phys + vmem.PhysAddr(from), Size: uint64(to - from)}
	}
	names := t.names + int(t.ends[len(t.ends)-1])
	const strings = 160 << 10
	exports := s.report.Exports
	ranges := map[string]vmem.Range[vmem.PhysAddr]{
		"num_syms": at(t.names-8, t.names), "names": at(t.names, names), "markers": at(align(names, 8), align(names, 8)+4*len(t.ends)),
		"tokens": at(t.tokens.start, t.tokens.end-512), "index": at(t.tokens.end-512, t.tokens.end), "offsets": at(t.offsets, t.offsets+4*t.num),
		"ksymtab":         {Start: exports.Addr, Size: exports.Size},
		"ksymtab_strings": {Start: exports.Addr + vmem.PhysAddr(exports.Size) + 48<<10, Size: strings},
	}
	if t.seqs >= 0 {
		ranges["seqs"] = at(t.seqs, t.seqs+3*t.num)
	}
	return ranges
}

// A damaged page of any table of kallsyms, and of the export tables, costs what is on it. What comes
// out is right, and what does not is told.
func TestFromMemoryDamagedKallsyms(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	image, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	mem := openImage(t, image)
	whole := finished(t, image)
	right := map[string][]uint64{} // all that have a name, of which the database has one
	all, _, err := whole.table.decode()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Concat(all, whole.symbols.sorted) {
		right[k.name] = append(right[k.name], k.addr)
	}
	random := rand.New(rand.NewPCG(7, 8))
	i := 0
	ranges := tableRanges(whole)
	for n, name := range slices.Sorted(maps.Keys(ranges)) {
		table := ranges[name]
		for at, part := range []uint64{0, table.Size / 2, table.Size - 1} {
			if !testimages.Thorough() && at != n%3 {
				continue
			}
			page := (table.Start + vmem.PhysAddr(part)) &^ (vmem.PageSize - 1)
			damages := damagesOf(mem, table)
			damage := damages[i%len(damages)]
			i++
			damaged := &repaged{mem, map[vmem.PhysAddr][]byte{page: damage.fill(random)}}
			if bytes.Equal(damaged.pages[page], readUpTo(mem, page, vmem.PageSize)) || testing.Short() && part > 0 {
				continue
			}
			got := newSearch(damaged, whole.notes, MemoryOptions{})
			if err := got.findTables(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			err := got.decodeSymbols()
			checkSymbols(t, name+" with "+damage.name, got.symbols, right)
			most, tokens := 2500, false // without which the names can't be read
			for _, part := range []string{"tokens", "index"} {
				tokens = tokens || ranges[part].Intersect(vmem.Range[vmem.PhysAddr]{Start: page, Size: vmem.PageSize}).Size > 0
			}
			if lost := len(whole.symbols.sorted) - len(got.symbols.sorted); lost > most && !tokens {
				t.Errorf("%s with %s: %d symbols lost", name, damage.name, lost)
			}
			if len(got.symbols.sorted) < len(whole.symbols.sorted) && err == nil && len(got.symbolsLost) == 0 {
				t.Errorf("%s with %s: nothing told", name, damage.name)
			}
			if _, ok := got.symbols.find("init_task"); !ok && !tokens {
				t.Errorf("%s with %s: no init_task", name, damage.name)
			}
		}
	}
}

// Where VMCOREINFO is lost and a page of kallsyms is damaged, or init_uts_ns by which VMCOREINFO is told to be of this
// kernel and the tokens, the kernel is found all the same, with all symbols by which analysis begins.
func TestFromMemoryPlacedOtherwise(t *testing.T) {
	t.Parallel()
	image := testimages.All(t)[0]
	mem := openImage(t, image)
	whole := finished(t, image)
	want := map[string]uint64{}
	for _, k := range whole.symbols.sorted {
		want[k.name] = whole.image.linked(k.addr)
	}
	uts, _ := whole.symbols.find("init_uts_ns")
	utsPage, _ := whole.image.physical(uts)
	ranges := tableRanges(whole)
	for _, c := range []struct {
		name  string
		notes bool
		pages []vmem.PhysAddr
	}{
		{"names", false, []vmem.PhysAddr{ranges["names"].Start + 0x40000}},
		{"offsets", false, []vmem.PhysAddr{ranges["offsets"].Start}},
		{"init_uts_ns and tokens", true, []vmem.PhysAddr{utsPage, ranges["index"].Start}},
	} {
		if testing.Short() && c.name != "names" || !testimages.Thorough() && c.name == "offsets" {
			continue
		}
		damaged := &repaged{mem, map[vmem.PhysAddr][]byte{}}
		for _, pa := range c.pages {
			damaged.pages[pa&^(vmem.PageSize-1)] = make([]byte, vmem.PageSize)
		}
		notes := whole.notes
		if !c.notes {
			notes = nil
		}
		s := newSearch(damaged, notes, MemoryOptions{})
		if c.notes && !s.inPlace() {
			t.Errorf("%s: VMCOREINFO is not believed", c.name)
		}
		f, r, err := s.run(t.Context())
		if err != nil || r.TypesErr != nil || r.InitTaskErr != nil {
			t.Fatalf("%s: %v", c.name, errors.Join(err, r.TypesErr, r.InitTaskErr))
		}
		if r.KASLRShift != whole.image.shift || r.TextPhys != whole.image.phys {
			t.Errorf("%s: the kernel is at %v, moved by %#x; want %v and %#x", c.name, r.TextPhys, r.KASLRShift, whole.image.phys, whole.image.shift)
		}
		for _, name := range []string{"init_task", "init_pid_ns", "init_mm", "init_top_pgt", "cgrp_dfl_root", "tk_core", "page_offset_base"} {
			k, err := f.Symbol(name)
			if err != nil || k.Address != want[name] {
				t.Errorf("%s: %s: %v at %v, want %#x", c.name, name, err, k, want[name])
			}
		}
	}
}

// checkSymbols checks that each symbol is where one of its name is.
func checkSymbols(t *testing.T, what string, got *symbolTable, right map[string][]uint64) {
	t.Helper()
	wrong := 0
	for _, k := range got.sorted {
		if !slices.Contains(right[k.name], k.addr) {
			if wrong++; wrong < 4 {
				t.Errorf("%s: %s at %#x, want %#x", what, k.name, k.addr, right[k.name])
			}
		}
	}
	if wrong > 3 {
		t.Errorf("%s: %d wrong", what, wrong)
	}
}

// With pages all over damaged, there is a database, and what is in it is right.
func TestFromMemoryDamagedEverywhere(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	image, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	mem := openImage(t, image)
	whole := finished(t, image)
	want := map[string]uint64{}
	for _, k := range whole.symbols.sorted {
		want[k.name] = whole.image.linked(k.addr)
	}
	twice := map[string]bool{}
	all, _, _ := whole.table.decode()
	for i := range all {
		if prev, ok := want[all[i].name]; ok && prev != whole.image.linked(all[i].addr) {
			twice[all[i].name] = true
		}
	}
	for i, percent := range []float64{0.5, 2} {
		random := rand.New(rand.NewPCG(9, uint64(i)))
		damaged := &repaged{mem, map[vmem.PhysAddr][]byte{}}
		for _, table := range tableRanges(whole) {
			damages := damagesOf(mem, table)
			for page := table.Start &^ (vmem.PageSize - 1); page <= table.Last(); page += vmem.PageSize {
				if random.Float64()*100 < percent {
					damaged.pages[page] = damages[random.IntN(len(damages))].fill(random)
				}
			}
		}
		f, r, err := FromMemory(t.Context(), damaged, nil)
		if err != nil || r.TypesErr != nil || r.InitTaskErr != nil {
			t.Fatal(err, r.TypesErr, r.InitTaskErr)
		}
		if len(f.Lost()) == 0 {
			t.Errorf("%v %%: nothing told", percent)
		}
		for s := range f.Symbols() {
			if want[s.Name] != s.Address && !twice[s.Name] {
				t.Errorf("%v %%: %s at %#x, want %#x", percent, s.Name, s.Address, want[s.Name])
			}
		}
		if testing.Short() || !testimages.Thorough() {
			break
		}
	}
}

// remains returns what is read of a fixture where something says where its tables are.
func (x *fixture) remains(t testing.TB, window []byte, table *kallsymsTable) *remains {
	t.Helper()
	r := &remains{window: window, addr: fixtureAddr - fixturePad}
	base := table.names - 16
	if table.offsets > table.names {
		base = table.offsets + align(4*table.num, 8)
	}
	if table.mode == pcRelative {
		base = -1
	}
	r.spots = spots{
		names: table.names, markers: -1, tokens: table.tokens.start, index: table.tokens.end - 512, num: table.num, seqs: -1,
		tables: []offsetSpot{{table.offsets, base}},
	}
	return r
}

// Whatever page of the tables is overwritten, in the form of any kernel, what comes out is right.
func TestRemains(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, x := range fixtures {
		window := x.window(t)
		want, _, table, err := x.decode(window)
		if err != nil {
			t.Fatal(err)
		}
		right := map[string][]uint64{}
		for _, k := range want {
			right[k.name] = append(right[k.name], k.addr)
		}
		usable := 0
		for page := 0; page < len(window); page += vmem.PageSize {
			size := min(vmem.PageSize, len(window)-page)
			for i, fill := range fillings(window, size, random) {
				b := slices.Clone(window)
				copy(b[page:], fill)
				r := x.remains(t, b, table)
				if !r.findTokens() {
					continue
				}
				r.decode(fixtureText)
				r.check(nil)
				got := r.result()
				checkSymbols(t, x.name, &symbolTable{sorted: got}, right)
				if len(got) > 0 {
					usable++
				}
				if len(got) < len(want) && len(r.lost) == 0 {
					t.Errorf("%s: page %#x, filling %d: %d of %d symbols, and nothing lost", x.name, page, i, len(got), len(want))
				}
			}
		}
		if usable < 4 {
			t.Errorf("%s: hardly any page can be done without", x.name)
		}
	}
}

// fixtureText is where the symbols of the fixtures have _text.
const fixtureText = linkedText

func FuzzRemains(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for i, x := range fixtures {
		window := x.window(f)
		f.Add(window, i)
		for page := 0; page < len(window); page += vmem.PageSize {
			b := slices.Clone(window)
			copy(b[page:], fillings(window, min(vmem.PageSize, len(window)-page), random)[i%4])
			f.Add(b, i)
		}
	}
	f.Fuzz(func(t *testing.T, window []byte, i int) {
		x := fixtures[uint(i)%uint(len(fixtures))]
		_, _, table, err := x.decode(x.window(t))
		if err != nil {
			t.Fatal(err)
		}
		r := x.remains(t, window, table)
		if r.index+512 > len(window) || !r.findTokens() {
			return
		}
		r.decode(fixtureText)
		r.check(nil)
		last := uint64(0)
		for _, k := range r.result() {
			if k.addr < last || k.name == "" {
				t.Fatalf("%q at %#x after %#x", k.name, k.addr, last)
			}
			last = k.addr
		}
	})
}

// Where all tokens are lost, the names of exported symbols tell most of them: most symbols are
// there, and each is right.
func TestTokensInferred(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	image, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	mem := openImage(t, image)
	whole := finished(t, image)
	right := map[string][]uint64{}
	all, _, err := whole.table.decode()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Concat(all, whole.symbols.sorted) {
		right[k.name] = append(right[k.name], k.addr)
	}
	ranges := tableRanges(whole)
	pages := map[vmem.PhysAddr][]byte{}
	for _, table := range []string{"tokens", "index"} {
		for at := ranges[table].Start &^ (vmem.PageSize - 1); at <= ranges[table].Last(); at += vmem.PageSize {
			pages[at] = make([]byte, vmem.PageSize)
		}
	}
	got := newSearch(&repaged{mem, pages}, whole.notes, MemoryOptions{})
	if err := errors.Join(got.findTables(t.Context()), got.decode(t.Context())); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, k := range got.symbols.sorted {
		if !slices.Contains(right[k.name], k.addr) {
			wrong++
			t.Errorf("%s at %#x, and it is at %#x", k.name, k.addr, right[k.name])
			if wrong == 10 {
				break
			}
		}
	}
	if n := len(got.symbols.sorted); n < len(whole.symbols.sorted)/2 {
		t.Errorf("%d of %d symbols; %v", n, len(whole.symbols.sorted), got.symbolsLost)
	} else {
		t.Logf("%d of %d symbols", n, len(whole.symbols.sorted))
	}
}
