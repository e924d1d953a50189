package isf

import (
	"slices"
	"strings"
)

// NewOver makes a database of what a producer found, with all that under has behind it: as the
// types and symbols of a module stand on those of its kernel. What is in both is as c has it.
// Nothing of under is copied, so that this costs what c costs.
//
// The contents are those that New takes, but may name types of under. Metadata that is empty
// is that of under.
func NewOver(under *File, c Contents) (*File, error) {
	var p problems
	p.check(&c)
	if err := p.err(); err != nil {
		return nil, err
	}
	for i := range c.Types {
		nameUnnamed(c.Types[i].Fields)
	}
	f := build(c, func(in, name string) { p.add("%s called %s more than once", in, name) })
	if err := p.err(); err != nil {
		return nil, err
	}
	if m := &c.Metadata; m.Producer == (Producer{}) && m.Symbols == nil && m.Types == nil {
		f.metadata = under.metadata
	}
	f.under = under
	return f, nil
}

// Under returns the database that f was made over by NewOver, nil for any other.
func (f *File) Under() *File { return f.under }

// whole returns f as one database, with nothing under it.
func (f *File) whole() *File {
	if f.under == nil {
		return f
	}
	u := f.under.whole()
	w := *f
	w.under = nil
	w.bases = layered(f.bases, u.bases, func(b *BaseType) string { return b.Name })
	w.types = layered(f.types, u.types, func(u *UserType) string { return u.Name })
	w.enums = layered(f.enums, u.enums, func(e *Enum) string { return e.Name })
	w.symbols = layered(f.symbols, u.symbols, func(s *Symbol) string { return s.Name })
	w.malformed = append(slices.Clone(f.malformed), u.malformed...)
	w.lost = append(slices.Clone(f.lost), u.lost...)
	w.origins = append(slices.Clone(u.origins), f.origins...)
	return &w
}

// layered merges two slices that are sorted by name. Of two elements of one name that of
// over stays.
func layered[T any](over, under []T, name func(*T) string) []T {
	all := make([]T, 0, len(over)+len(under))
	for i, j := 0, 0; i < len(over) || j < len(under); {
		c := 1
		switch {
		case j == len(under):
			c = -1
		case i < len(over):
			c = strings.Compare(name(&over[i]), name(&under[j]))
		}
		if c <= 0 {
			all = append(all, over[i])
			i++
		} else {
			all = append(all, under[j])
		}
		if c >= 0 {
			j++
		}
	}
	return all
}
