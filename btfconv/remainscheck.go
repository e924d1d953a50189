package btfconv

import "slices"

// A pageCount counts for and against the names on a page.
type pageCount struct{ right, wrong int }

func (c *pageCount) add(right bool) {
	if right {
		c.right++
	} else {
		c.wrong++
	}
}

// bad reports whether much is wrong.
func (c *pageCount) bad() bool {
	return c.wrong > 2 && 3*c.wrong > c.right+c.wrong || c.right == 0 && c.wrong > 0
}

// checkNames drops the names of pages that are in the wrong place, as a page of names would be that was
// overwritten with another: they are not in order, or lack the exported symbols that they
// should have. One of both must have been there to ask.
func (r *remains) checkNames(exports []kernelSymbol) {
	counts := map[int]*pageCount{}
	r.countOrder(counts)
	bad := r.badPages(counts)
	clear(counts)
	r.countExports(counts, exports)
	bad = append(bad, r.badPages(counts)...)
	slices.Sort(bad)
	for _, page := range slices.Compact(bad) {
		r.forget(page)
	}
	r.dropUnconfirmed()
}

// dropUnconfirmed drops the names between marks of which some make no sense, unless the order of names or
// an exported symbol confirms them.
func (r *remains) dropUnconfirmed() {
	dropped := 0
	for i := range r.symbols {
		if k := &r.symbols[i]; r.doubtful[i] && !r.confirmed[i] && k.name != "" {
			k.name = ""
			dropped++
		}
	}
	r.lose("kallsyms_names", r.names, r.markers, "names beside damaged ones that nothing confirms", dropped)
}

// badPages returns the pages of which much is wrong. A few wrong ones are those of which the
// order of names was overwritten.
func (r *remains) badPages(counts map[int]*pageCount) []int {
	var bad []int
	for page, c := range counts {
		if c.bad() {
			bad = append(bad, page)
		}
	}
	return bad
}

func (r *remains) count(counts map[int]*pageCount, symbol int, right bool) {
	at := int(r.starts[symbol])
	for _, page := range []int{r.pageOf(at), r.pageOf(r.next(at, len(r.window)) - 1)} {
		c := counts[page]
		if c == nil {
			c = &pageCount{}
			counts[page] = c
		}
		c.add(right)
	}
	r.confirmed[symbol] = r.confirmed[symbol] || right
}

// countOrder counts the names that are in the order of names. Two before and two
// after say it, of which one may be wrong.
func (r *remains) countOrder(counts map[int]*pageCount) {
	if r.seqs < 0 {
		return
	}
	order := r.order()
	for i, symbol := range order {
		agree, asked := 0, 0
		for _, k := range []int{i - 2, i - 1, i + 1, i + 2} {
			if k < 0 || k >= len(order) {
				continue
			}
			asked++
			first, second := symbol, order[k]
			if k < i {
				first, second = second, first
			}
			if inNameOrder(r.symbols[first].name, r.symbols[second].name) {
				agree++
			}
		}
		r.count(counts, symbol, agree >= asked-1)
	}
}

// inNameOrder reports whether a name can be before another in the order of names.
func inNameOrder(a, b string) bool { return a <= b || sortName(a) <= sortName(b) }

// order returns the symbols whose names are known, in the order of names.
func (r *remains) order() []int {
	order := make([]int, 0, r.num)
	for i := range r.num {
		if symbol := r.orderAt(r.seqs, i); symbol < r.num && r.symbols[symbol].name != "" {
			order = append(order, symbol)
		}
	}
	return order
}

// findOrder finds kallsyms_seqs_of_names: after the markers, or after the addresses.
func (r *remains) findOrder() {
	for _, at := range []int{
		r.tokens - align(3*r.num, 8), r.tokens - align(3*r.num, 4), r.base + 8, r.offsets + 4*r.num,
	} {
		if at > r.names && (at != r.base+8 || r.base >= 0) && r.isOrder(at) {
			r.seqs = at
			return
		}
	}
}

// dropDoubtful drops data that is not global and stands in the order of names beside a name
// that is lost: that may be the same one, of another file, and the one to be had.
func (r *remains) dropDoubtful() {
	if r.seqs < 0 {
		return
	}
	sure := make([]bool, r.num)
	name := func(i int) (string, int) {
		if i < 0 || i >= r.num {
			return "", -1
		}
		symbol := r.orderAt(r.seqs, i)
		if symbol >= r.num {
			return "", -1
		}
		return r.symbols[symbol].name, symbol
	}
	for from := 0; from < r.num; {
		first, _ := name(from)
		to := from + 1
		for next, _ := name(to); to < r.num && next == first; next, _ = name(to) {
			to++
		}
		before, _ := name(from - 1)
		after, _ := name(to)
		if first != "" && (from == 0 || before != "") && (to == r.num || after != "") {
			for i := from; i < to; i++ {
				sure[r.orderAt(r.seqs, i)] = true
			}
		}
		from = to
	}
	dropped := 0
	for i := range r.symbols {
		if k := &r.symbols[i]; !sure[i] && !k.global() && !k.function() && k.name != "" {
			k.name = ""
			dropped++
		}
	}
	r.lose("kallsyms_seqs_of_names", r.seqs, r.seqs+3*r.num, "names of data that others may have too", dropped)
}

// countExports counts the exported symbols that are known by the name that they are
// exported by, at the place of their address among the others.
func (r *remains) countExports(counts map[int]*pageCount, exports []kernelSymbol) {
	byAddr := make(map[uint64][]string, len(exports))
	for i := range exports {
		byAddr[exports[i].addr] = append(byAddr[exports[i].addr], exports[i].name)
	}
	for i := 0; i < r.num; {
		end := i + 1
		if !r.known[i] {
			i = end
			continue
		}
		for end < r.num && r.known[end] && r.symbols[end].addr == r.symbols[i].addr {
			end++
		}
		for _, name := range byAddr[r.symbols[i].addr] {
			r.countExport(counts, i, end, name)
		}
		i = end
	}
}

// countExport counts an exported name that is one of some symbols, if all of these are known.
func (r *remains) countExport(counts map[int]*pageCount, from, to int, name string) {
	for i := from; i < to; i++ {
		switch r.symbols[i].name {
		case "":
			return
		case name:
			r.count(counts, i, true)
			return
		}
	}
	if slices.ContainsFunc(r.symbols[from:to], func(s kernelSymbol) bool { return s.function() }) {
		r.count(counts, from, false) // of data, there may be no names at all
	}
}
