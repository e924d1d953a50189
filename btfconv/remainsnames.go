package btfconv

import (
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A mark says where the name of a symbol starts.
type mark struct{ at, symbol int }

const (
	minNameSize = 2   // of the shortest compressed name, a length and a letter
	maxNameSize = 600 // KSYM_NAME_LEN is 512
)

// findMarkers finds kallsyms_markers, which is right before the token table or the order of
// names, by what stands in it, and returns the marks that are sound.
func (r *remains) findMarkers() []mark {
	count := (r.num + 255) / 256
	marks := []mark{{r.names, 0}}
	best := 0
	for _, a := range []int{8, 4} {
		plain := r.tokens - align(4*count, a)
		for i, at := range []int{plain, plain - align(3*r.num, a)} {
			if i == 0 && r.isOrder(plain+align(4*count, a)-align(3*r.num, a)) {
				continue // it is the order of names that is there
			}
			if at <= r.names {
				continue
			}
			if found := r.marksAt(at, count); len(found) > best || r.markers < 0 {
				best, r.markers = len(found), at
				marks = append(marks[:1], found...)
			}
		}
	}
	return marks
}

// marksAt returns the marks of a table at an index of the window that ascend as they should.
func (r *remains) marksAt(at, count int) []mark {
	value := func(i int) uint64 { return uint64(r.word(at, i)) }
	in := ascending(count, value, func(i int) bool {
		v := value(i)
		return v >= minNameSize*256*uint64(i) && v < uint64(at-r.names)
	})
	var found []mark
	last := mark{r.names, 0}
	for i := 1; i < count; i++ {
		m := mark{r.names + int(value(i)), 256 * i}
		if n := m.symbol - last.symbol; in[i] && m.at-last.at >= minNameSize*n && m.at-last.at < maxNameSize*n {
			found = append(found, m)
			last = m
		}
	}
	if len(found) < count/16 {
		return nil
	}
	return found
}

// isOrder reports whether the order of names can be at an index: whether most numbers there are those
// of symbols.
func (r *remains) isOrder(at int) bool {
	if at < 0 || at+3*r.num > len(r.window) {
		return false
	}
	right := 0
	for i := range r.num {
		if r.orderAt(at, i) < r.num {
			right++
		}
	}
	return right > r.num/2
}

// orderAt returns an entry of the order of names.
func (r *remains) orderAt(seqs, i int) int {
	b := r.window[seqs+3*i:]
	return int(b[0])<<16 | int(b[1])<<8 | int(b[2])
}

// decodeNames decodes what can be decoded of the names between marks.
func (r *remains) decodeNames(marks []mark) {
	r.symbols, r.starts, r.known = make([]kernelSymbol, r.num), make([]int32, r.num), make([]bool, r.num)
	r.doubtful, r.confirmed = make([]bool, r.num), make([]bool, r.num)
	for i := range marks {
		if i+1 < len(marks) {
			r.decodeBetween(marks[i], marks[i+1])
		}
	}
	last := marks[len(marks)-1]
	end, _ := r.namesEnd(last)
	r.decodeBetween(last, mark{end, r.num})
}

// namesEnd returns where the last name ends, before zeros, and whether there are as many after
// the last mark as there should be.
func (r *remains) namesEnd(last mark) (int, bool) {
	for end := r.markers; end > max(r.markers-8, 0) && (end == r.markers || r.window[end] == 0); end-- {
		if r.chain(last.at, end, r.num-last.symbol) {
			return end, true
		}
	}
	best, most := r.markers, 0
	for end := r.markers; end > max(r.markers-8, 0) && (end == r.markers || r.window[end] == 0); end-- {
		if _, n := r.tail(last.at, mark{end, r.num}, r.num-last.symbol); n > most {
			best, most = end, n
		}
	}
	return best, false
}

// chain reports whether there are so many names from one index to another.
func (r *remains) chain(at, end, count int) bool {
	for range count {
		next := r.next(at, end)
		if next < 0 {
			return false
		}
		at = next
	}
	return at == end
}

// next returns where the name after the one at an index starts, -1 where that does not end
// before end.
func (r *remains) next(at, end int) int {
	if at+2 > end {
		return -1
	}
	n, size := int(r.window[at]), 1
	if n >= 0x80 {
		n, size = n&0x7f|int(r.window[at+1]&0x7f)<<7, 2
	}
	if n == 0 || at+size+n > end || n > maxNameSize {
		return -1
	}
	return at + size + n
}

// decodeBetween decodes the names between two marks: all, if they are as many as there
// should be and nearly all make sense.
func (r *remains) decodeBetween(from, to mark) {
	count := to.symbol - from.symbol
	if r.chain(from.at, to.at, count) && r.mostlySane(from.at, to.at, count) {
		r.take(from.at, to.at, from.symbol)
		return
	}
	for i := from.symbol; i < to.symbol; i++ {
		r.doubtful[i] = true
	}
	head, headCount := r.head(from, to)
	r.take(from.at, head, from.symbol)
	tail, tailCount := r.tail(head, to, count-headCount)
	r.take(tail, to.at, to.symbol-tailCount)
	r.lose("kallsyms_names", head, tail, "names", count-headCount-tailCount)
}

// mostlySane reports whether all but a few of the names make sense.
func (r *remains) mostlySane(at, end, count int) bool {
	odd := 0
	for at < end {
		next := r.next(at, end)
		if next < 0 {
			return false
		}
		if !r.sane(at, next) {
			odd++
		}
		at = next
	}
	return odd <= count/16
}

// sane reports whether a name can be one: a letter for its kind and an identifier, as far as
// the tokens are known.
func (r *remains) sane(at, next int) bool {
	first := true
	for _, c := range r.compressed(at, next) {
		text := r.tokens256[c]
		if first && text != nil {
			if strings.IndexByte(usualKinds, text[0]) < 0 {
				return false
			}
			text = text[1:]
		}
		for _, letter := range text {
			if !isNameLetter(letter) {
				return false
			}
		}
		first = false
	}
	return !first
}

// usualKinds are the letters that nm gives the symbols of a kernel.
const usualKinds = "AaBbDdRrTtVvWw"

func isNameLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '$'
}

// compressed returns the name at an index without its length.
func (r *remains) compressed(at, next int) []byte {
	if r.window[at] >= 0x80 {
		return r.window[at+2 : next]
	}
	return r.window[at+1 : next]
}

// head returns where the names end that make sense from a mark on, and how many they are: those before the
// page of the first that makes none. If all make sense but are not as many as there should be, none do.
func (r *remains) head(from, to mark) (end, count int) {
	at := from.at
	var ends []int
	for len(ends) < to.symbol-from.symbol {
		next := r.next(at, to.at)
		if next < 0 || !r.sane(at, next) {
			break
		}
		at = next
		ends = append(ends, at)
	}
	if next := r.next(at, len(r.window)); next >= 0 && r.sane(at, next) || at >= to.at { // it went astray before
		return from.at, 0
	}
	cut := r.pageOf(at)
	end = from.at
	for _, e := range ends {
		if e > cut {
			break
		}
		end = e
		count++
	}
	return end, count
}

// tail returns where the names start that lead to a mark, and how many they are, at most max. It begins at pages,
// the last first, as long as a name near the start of a page leads there; of several such ways it takes what
// all have in common.
func (r *remains) tail(from int, to mark, most int) (start, count int) {
	if to.at <= from {
		return to.at, 0
	}
	w := ways{remains: r, from: from, end: to.at, left: make([]int32, to.at-from+1)}
	start = to.at
	for page := r.pageOf(to.at - 1); page >= r.pageOf(from); page -= vmem.PageSize {
		at, ok := w.common(max(page, from))
		if !ok {
			break
		}
		start = at
	}
	if count = w.count(start); count > most {
		return to.at, 0
	}
	return start, count
}

// ways are the ways from name to name that lead to an end. As each name has one after it, they join and form a
// tree.
type ways struct {
	*remains
	from, end int
	left      []int32 // by index less from: 1 more than how many names there are up to the end, 0 where not known, or noWay
}

const noWay = -1

// count returns how many names there are from an index to the end, noWay if none lead there.
func (w *ways) count(at int) int {
	var way []int
	for at != w.end && w.left[at-w.from] == 0 {
		way = append(way, at)
		next := w.next(at, w.end)
		if next < 0 || !w.sane(at, next) {
			at = -1
			break
		}
		at = next
	}
	left := int32(0)
	switch {
	case at < 0:
		left = noWay
	case at != w.end:
		if left = w.left[at-w.from]; left > 0 {
			left--
		}
	}
	for _, at := range slices.Backward(way) {
		if left != noWay {
			left++
			w.left[at-w.from] = left + 1
		} else {
			w.left[at-w.from] = noWay
		}
	}
	return int(left)
}

// common returns where all ways have joined that begin at a name near the start of a page.
func (w *ways) common(page int) (joined int, ok bool) {
	for at := page; at < min(page+maxNameSize, w.end); at++ {
		if w.count(at) == noWay {
			continue
		}
		if !ok {
			joined, ok = at, true
		}
		for a := at; a != joined; {
			if w.count(a) > w.count(joined) {
				a = w.next(a, w.end)
			} else {
				joined = w.next(joined, w.end)
			}
		}
	}
	return joined, ok
}

// take decodes names of which the first is that of a symbol. A name with a token that is
// not known is not.
func (r *remains) take(at, end, symbol int) {
	var text []byte
	for ; at < end; symbol++ {
		next := r.next(at, end)
		if next < 0 {
			return
		}
		ok := r.sane(at, next)
		text = text[:0]
		for _, c := range r.compressed(at, next) {
			if ok = ok && r.tokens256[c] != nil && len(text) <= maxToken; ok {
				text = append(text, r.tokens256[c]...)
			}
		}
		if r.starts[symbol] = int32(at); ok && len(text) > 1 && len(text) <= maxToken && r.text < maxNamesText {
			r.text += len(text)
			r.symbols[symbol] = kernelSymbol{name: string(text[1:]), kind: text[0]}
		}
		at = next
	}
}

// forget drops the names that have a byte on a page.
func (r *remains) forget(page int) {
	first, last := -1, -1
	count := 0
	for i, at := range r.starts {
		if at == 0 || r.pageOf(int(at)) != page && r.pageOf(r.next(int(at), len(r.window))-1) != page {
			continue
		}
		if first < 0 {
			first = int(at)
		}
		last = r.next(int(at), len(r.window))
		r.symbols[i].name = ""
		r.starts[i] = 0
		count++
	}
	if count > 0 {
		r.lose("kallsyms_names", first, last, "names", count)
	}
}
