package btfconv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// salvage takes the symbols out of kallsyms that is not whole, for the reason why. The
// addresses of exports are physical.
func (s *search) salvage(exports []kernelSymbol, why error) error {
	r := s.remains
	if r == nil && s.table != nil {
		r = s.remainsOfTable()
	}
	if r == nil {
		return why
	}
	if !r.readable {
		if r.tokens < 0 || r.index <= r.tokens || r.index+512 > len(r.window) {
			return why // where they should be is not known either
		}
		r.assumeLetters()
	}
	if !r.decode(s.image.text) {
		s.unshifted = true
	}
	if err := s.placeRemains(r, exports); err != nil {
		return errors.Join(why, err)
	}
	moved := shifted(exports, s.image.text-uint64(s.image.phys))
	r.inferTokens(moved)
	r.check(moved)
	found := r.result()
	if !r.readable && len(found) < minSymbols {
		return fmt.Errorf("%w; and too few of the %d parts of names are left", why, len(r.tokens256))
	}
	if len(found) < minSymbols {
		return fmt.Errorf("%w; %d of %d symbols are left", why, len(found), r.num)
	}
	s.symbols = newSymbolTable(found, nil)
	s.report.Kallsyms = Table{
		Addr: r.phys + vmem.PhysAddr(r.names), Size: uint64(r.index + 512 - r.names), Count: len(found), FoundBy: s.report.Kallsyms.FoundBy,
	}
	s.symbolsLost = append(s.symbolsLost, r.gaps(s.mem)...)
	s.reconcile(moved)
	return nil
}

// shifted returns symbols with other addresses.
func shifted(symbols []kernelSymbol, by uint64) []kernelSymbol {
	all := make([]kernelSymbol, len(symbols))
	for i, k := range symbols {
		k.addr += by
		all[i] = k
	}
	return all
}

// placeRemains finds out where the image is, where VMCOREINFO doesn't tell, and checks it where it does.
func (s *search) placeRemains(r *remains, exports []kernelSymbol) error {
	symbols := newSymbolTable(r.result(), nil)
	text, ok := symbols.find("_stext")
	if s.image.text != 0 {
		if ok && text != s.image.text {
			return fmt.Errorf("_stext is at %#x, not at %#x as VMCOREINFO has it: %w", text, s.image.text, ErrDamaged)
		}
		return nil
	}
	delta := r.addr - uint64(r.phys)
	if r.mode != pcRelative {
		var err error
		if delta, err = exportDelta(symbols, exports); err != nil {
			return err
		}
	}
	if !ok {
		text = lowestOf(symbols)
	}
	phys := (text - delta) &^ (kernelAlign - 1) // the image is moved by whole pages of 2 MiB, in memory too
	text = delta + phys
	if r.mode == pcRelative {
		r.move(linkedText - text)
		text = linkedText
	}
	s.image.text, s.image.phys = text, vmem.PhysAddr(phys)
	return nil
}

// lowestOf returns the lowest address in the image.
func lowestOf(t *symbolTable) uint64 {
	lowest := uint64(1<<64 - 1)
	for i := range t.sorted {
		if a := t.sorted[i].addr; a >= startKernelMap {
			lowest = min(lowest, a)
		}
	}
	return lowest
}

// move adds to all addresses.
func (r *remains) move(by uint64) {
	r.addr += by
	for i := range r.symbols {
		r.symbols[i].addr += by
	}
}

// reconcile adds the exported symbols. Where kallsyms has an exported symbol elsewhere, one of both is
// wrong, and none is used.
func (s *search) reconcile(exports []kernelSymbol) {
	differ, agree := map[string]bool{}, 0
	for _, e := range exports {
		i, ok := s.symbols.search(e.name)
		switch {
		case !ok || !s.symbols.sorted[i].global():
		case s.symbols.sorted[i].addr == e.addr:
			agree++
		default:
			differ[e.name] = true
		}
	}
	s.agree = agree >= minExports
	if len(differ) > 0 {
		err := fmt.Errorf("%d symbols are elsewhere in __ksymtab: %w", len(differ), ErrConflict)
		s.symbolsLost = append(s.symbolsLost, vmem.Gap{Object: "kallsyms", Err: err})
	}
	s.symbols.add(exports)
	s.symbols.drop(differ)
}

// remainsFromNotes returns kallsyms where VMCOREINFO has it, nil where it does not.
func (s *search) remainsFromNotes() *remains {
	if s.notes == nil || s.image.text == 0 {
		return nil
	}
	at := map[string]uint64{}
	low, high := uint64(1<<64-1), uint64(0)
	for _, name := range []string{"names", "num_syms", "token_table", "token_index", "offsets", "relative_base"} {
		va, err := s.notes.Symbol("kallsyms_" + name)
		if err != nil && name != "relative_base" { // which there is not in 7.2
			return nil
		}
		if err == nil {
			low, high, at[name] = min(low, va), max(high, va), va
		}
	}
	most := (at["token_table"] - at["names"]) / minNameSize
	if high-low > maxTables || most > maxTables {
		return nil
	}
	low = low&^7 - 8
	phys, ok := s.image.physical(low)
	if !ok {
		return nil
	}
	r := &remains{addr: low, phys: phys}
	r.window, _ = readHoles(s.mem, phys, int(high-low+7*min(most, maxSymbols)+4096))
	place := func(name string) int {
		if va, ok := at[name]; ok {
			return int(va - low)
		}
		return -1
	}
	r.spots = spots{
		names: place("names"), markers: -1, tokens: place("token_table"), index: place("token_index"), seqs: -1,
		tables: []offsetSpot{{place("offsets"), place("relative_base")}},
	}
	if r.index+512 > len(r.window) || !r.findNumber(place("num_syms")) {
		return nil
	}
	if r.readable = r.findTokens(); !r.readable && len(r.findMarkers()) == 1 {
		return nil // there is nothing
	}
	s.report.Kallsyms.FoundBy = "VMCOREINFO"
	return r
}

// findNumber finds the number of symbols: where it should be, or by the room of the addresses, or by the
// names.
func (r *remains) findNumber(at int) bool {
	said := 0
	if at >= 0 && at+4 <= len(r.window) {
		said = int(binary.LittleEndian.Uint32(r.window[at:]))
	}
	numbers := []int{said}
	if t := r.tables[0]; t.base > t.offsets && t.offsets >= 0 {
		room := (t.base - t.offsets) / 4
		numbers = []int{room, room - 1}
		if said == room-1 {
			numbers = []int{room - 1, room}
		}
	} else if n := r.countMarkers(); n > 0 {
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		if r.num = n; r.isNumber() {
			return true
		}
	}
	r.num = numbers[0]
	return r.num >= minSymbols && r.num <= maxSymbols
}

// isNumber reports whether the names after the last marker are as many as they should be.
func (r *remains) isNumber() bool {
	if r.num < minSymbols || r.num > maxSymbols {
		return false
	}
	marks := r.findMarkers()
	last := marks[len(marks)-1]
	_, ok := r.namesEnd(last)
	return ok && last.symbol > r.num-512
}

// countMarkers returns how many symbols there are by the markers right before the token table, which
// descend to 0, and the names after the last; 0 where that makes no sense.
func (r *remains) countMarkers() int {
	at := r.tokens - 4
	if r.word(at, 0) == 0 { // padding
		at -= 4
	}
	last := r.names + int(r.word(at, 0))
	count := 0
	for ; at > r.names; at -= 4 {
		if count++; r.word(at, 0) == 0 {
			break
		}
		if r.word(at-4, 0) >= r.word(at, 0) {
			return 0
		}
	}
	n := 256 * (count - 1)
	for next := r.next(last, at); next >= 0; next = r.next(next, at) {
		n++
		last = next
	}
	if at-last >= 8 {
		return 0
	}
	return n
}

// remainsOfTable returns what kallsyms is read from of which names and tokens are sound.
func (s *search) remainsOfTable() *remains {
	t := s.table
	r := &remains{addr: t.addr, phys: s.place.phys}
	size := max(len(t.window), t.tokens.end+7*t.num+4096)
	r.window, _ = readHoles(s.mem, r.phys, size)
	before, after := t.names-16, align(t.tokens.end, 8)
	r.spots = spots{
		names: t.names, markers: -1, tokens: t.tokens.start, index: t.tokens.end - 512, num: t.num, seqs: -1,
		tables: []offsetSpot{
			{before - align(4*t.num, 8), before}, {after, after + align(4*t.num, 8)}, {align(t.tokens.end, 4), -1},
		},
	}
	r.readable = r.findTokens()
	return r
}
