package redact

import (
	"cmp"
	"slices"
	"strings"
)

// A variable is one of an environment.
type variable struct{ name, value string }

// Bounds of what is known of one environment: how many values, how long the shortest is, and by how many bytes a long one is
// known.
const (
	maxKnown   = 64
	leastKnown = 6
	mostKnown  = 64
)

// secretsOf returns the variables of an environment whose names are those of secrets, the longest values first: others may be a part of them.
// What begins like another is that one.
func secretsOf(env []string) (all []variable) {
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if ok && len(value) >= leastKnown && Sounds(name) && !isPlain(value) {
			all = append(all, variable{shortName(name), value})
		}
	}
	slices.SortStableFunc(all, func(a, b variable) int { return cmp.Compare(len(b.value), len(a.value)) })
	seen := make(map[string]bool)
	all = slices.DeleteFunc(all, func(v variable) bool {
		begin := v.value[:min(len(v.value), mostKnown)]
		defer func() { seen[begin] = true }()
		return seen[begin]
	})
	return all[:min(len(all), maxKnown)]
}

// A finder finds the values of variables in texts, all of them in one pass, whatever they are: the machine of Aho and Corasick (Efficient string
// matching, 1975). A value longer than mostKnown is known by its begin.
type finder struct {
	known []variable
	next  [][256]uint16 // by state: the state that a byte leads to
	found []uint8       // by state: the longest value that ends there, counted from 1
}

// newFinder returns a finder of values, nil if there are none. No value begins with the begin that another is known by.
func newFinder(known []variable) *finder {
	if len(known) == 0 {
		return nil
	}
	f := &finder{known: known, next: make([][256]uint16, 1), found: make([]uint8, 1)}
	for i, v := range known {
		f.found[f.path(v.value[:min(len(v.value), mostKnown)])] = uint8(i + 1)
	}
	f.complete()
	return f
}

// path returns the state that a text leads to from the first, and makes what is missing on the way.
func (f *finder) path(text string) (at uint16) {
	for i := range len(text) {
		if f.next[at][text[i]] == 0 {
			f.next[at][text[i]] = uint16(len(f.next))
			f.next, f.found = append(f.next, [256]uint16{}), append(f.found, 0)
		}
		at = f.next[at][text[i]]
	}
	return at
}

// complete has each state go on, where no value does, as the longest end of its text that is the begin of a value.
func (f *finder) complete() {
	shorter := make([]uint16, len(f.next)) // by state: that of the longest such end
	todo := []uint16{0}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		for c, to := range f.next[at] {
			end := uint16(0)
			if at != 0 {
				end = f.next[shorter[at]][c]
			}
			if to == 0 {
				f.next[at][c] = end
				continue
			}
			shorter[to], f.found[to] = end, cmp.Or(f.found[to], f.found[end])
			todo = append(todo, to)
		}
	}
}

// spans returns where the values are in a text: sorted, those that overlap as one.
func (f *finder) spans(s string) (all []Span) {
	if f == nil {
		return nil
	}
	at := uint16(0)
	for i := range len(s) {
		at = f.next[at][s[i]]
		n := f.found[at]
		if n == 0 {
			continue
		}
		v := f.known[n-1]
		begin := i + 1 - min(len(v.value), mostKnown)
		span := Span{begin, min(begin+len(v.value), len(s)), v.name}
		for len(all) > 0 && span.Start < all[len(all)-1].End {
			span = span.with(all[len(all)-1])
			all = all[:len(all)-1]
		}
		if all = append(all, span); len(all) > maxSpans {
			break
		}
	}
	return bounded(all, maxSpans, len(s))
}

// with returns a span together with one before it that it overlaps, which is the one that gives the name, unless it is a part of the other.
func (s Span) with(before Span) Span {
	if s.Start <= before.Start && before.End <= s.End {
		return s
	}
	return Span{min(s.Start, before.Start), max(s.End, before.End), before.Name}
}
