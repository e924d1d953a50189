package isf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CompleteOptions are the settings of Complete. A nil pointer means the zero value.
type CompleteOptions struct {
	// From says what the other database is, for [File.Origins].
	From string
	// Symbols takes symbols, too, which only a database of the very same build of the
	// kernel has at the right addresses. False: types and enumerations only.
	Symbols bool
}

// An Origin says of a part of a database that it is from elsewhere: see [File.Complete].
type Origin struct {
	Object string // such as "struct task_struct", "field task_struct.comm", "symbol init_task"
	From   string // as CompleteOptions had it
}

// String returns the part, and where it is from.
func (o Origin) String() string { return o.Object + " from " + o.From }

// A ConflictError says that two databases disagree on something that both have.
type ConflictError struct {
	Object string // such as "struct task_struct", "symbol init_task"
	Own    string // what the database has
	Other  string // what that has by which it was to be completed
}

// Error returns what the two have.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("isf: %s: %s here, %s there", e.Object, e.Own, e.Other)
}

// Origins lists what Complete added, in the order in which it was done; of one call by kind
// and name.
func (f *File) Origins() []Origin {
	if f.under == nil {
		return f.origins
	}
	return append(slices.Clone(f.under.Origins()), f.origins...)
}

// Complete returns f with what other has and f lacks: base types, user types, members,
// enumerations, enumerators and, by option, symbols. f itself stays as it is, and what it has always
// stands.
//
// A type that f has in part gets the members that it lacks only if all that is left of it,
// and its size, are as other has them: else it is of another kernel. What disagrees is left as it is in
// f, and returned as a conflict. Of types without a name, and such as share theirs, each is
// compared where it is a member, and taken along under a name of its own.
func (f *File) Complete(other *File, opts *CompleteOptions) (*File, []*ConflictError) {
	var o CompleteOptions
	if opts != nil {
		o = *opts
	}
	c := newCompleter(f.whole(), other.whole(), o.From)
	c.addBases()
	c.addEnums()
	c.addTypes()
	if o.Symbols {
		c.addSymbols()
	}
	return c.file(), c.conflicts
}

// A completer is one call of Complete.
type completer struct {
	own, other *File
	from       string
	changed    map[string]*UserType // of own, by name
	names      map[string]string    // of the types of other that are taken under another name
	taken      map[string]bool      // names that are in use, of types that are added
	pairs      map[[2]string]bool   // types that were compared
	more       Contents
	enums      map[string]*Enum // of own, changed
	texts      []*Symbol        // of other, whose bytes own lacks
	origins    []Origin
	conflicts  []*ConflictError
}

func newCompleter(own, other *File, from string) *completer {
	return &completer{
		own: own, other: other, from: from, changed: map[string]*UserType{}, names: map[string]string{},
		taken: map[string]bool{}, pairs: map[[2]string]bool{}, enums: map[string]*Enum{},
	}
}

func (c *completer) added(format string, args ...any) {
	c.origins = append(c.origins, Origin{Object: fmt.Sprintf(format, args...), From: c.from})
}

func (c *completer) conflict(object, own, other string) {
	c.conflicts = append(c.conflicts, &ConflictError{Object: object, Own: own, Other: other})
}

func (c *completer) addBases() {
	for i := range c.other.bases {
		b := &c.other.bases[i]
		if _, ok := c.own.findBase(b.Name); !ok {
			c.more.Bases = append(c.more.Bases, *b)
			c.added("base type %s", b.Name)
		}
	}
}

func (c *completer) addEnums() {
	for i := range c.other.enums {
		e := &c.other.enums[i]
		if isPrivate(e.Name) {
			continue
		}
		own, err := c.own.Enum(e.Name)
		if err != nil {
			c.more.Enums = append(c.more.Enums, *e)
			c.added("enum %s", e.Name)
			continue
		}
		c.mergeEnum(own, e)
	}
}

// mergeEnum adds the enumerators that own lacks.
func (c *completer) mergeEnum(own, other *Enum) {
	have := make(map[string]int64, len(own.Constants))
	for _, k := range own.Constants {
		have[k.Name] = k.Value
	}
	shared := 0
	var lacks []Constant
	for _, k := range other.Constants {
		v, ok := have[k.Name]
		switch {
		case !ok:
			lacks = append(lacks, k)
		case v != k.Value:
			c.conflict("enum "+own.Name, fmt.Sprintf("%s is %d", k.Name, v), strconv.FormatInt(k.Value, 10))
			return
		default:
			shared++
		}
	}
	if len(lacks) == 0 || shared < len(have) || own.Size != other.Size {
		return
	}
	e := *own
	e.Constants = append(slices.Clone(own.Constants), lacks...)
	c.enums[own.Name] = &e
	c.added("enumerators of enum %s", own.Name)
}

func (c *completer) addTypes() {
	for i := range c.other.types {
		v := &c.other.types[i]
		if isPrivate(v.Name) {
			continue
		}
		if u := c.own.userType(v.Name); u != nil {
			c.merge(u, v, u.Name)
			continue
		}
		c.take(v, v.Name)
		c.added("%v %s", v.Kind, v.Name)
	}
}

// take adds a type of other under a name.
func (c *completer) take(v *UserType, name string) {
	c.taken[name] = true
	u := UserType{Name: name, Kind: v.Kind, Size: v.Size, Fields: slices.Clone(v.Fields)}
	for i := range u.Fields {
		u.Fields[i].Type = c.typ(u.Fields[i].Type, false)
	}
	c.more.Types = append(c.more.Types, u)
}

// isPrivate reports whether a name of a type says nothing outside of the database: it is
// that of a type without one, or of a further one of its name.
func isPrivate(name string) bool {
	if strings.HasPrefix(name, "unnamed_") {
		return true
	}
	_, n, ok := strings.Cut(name, "___")
	return ok && n != "" && strings.Trim(n, "0123456789") == ""
}

// typ returns a type of other as the result has it.
func (c *completer) typ(t *Type, pointed bool) *Type {
	switch {
	case t.Elem != nil:
		elem := c.typ(t.Elem, pointed || t.Kind == KindPointer)
		if elem == t.Elem {
			return t
		}
		n := *t
		n.Elem = elem
		return &n
	case t.Kind.aggregate():
		if name := c.typeName(t, pointed); name != t.Name {
			return &Type{Kind: t.Kind, Name: name}
		}
	case t.Kind == KindEnum:
		if name := c.enumName(t.Name); name != t.Name {
			return &Type{Kind: t.Kind, Name: name}
		}
	}
	return t
}

// typeName returns what a type of other is called in the result. One that is private, or
// that own has otherwise, is taken under another name.
func (c *completer) typeName(t *Type, pointed bool) string {
	v := c.other.aggregate(t)
	if v == nil {
		return t.Name
	}
	if name, ok := c.names[v.Name]; ok {
		return name
	}
	if u := c.own.userType(v.Name); !isPrivate(v.Name) && (u == nil || pointed || u.Size == v.Size && u.Kind == v.Kind) {
		return v.Name
	}
	name := c.free(v.Name)
	c.names[v.Name] = name
	c.take(v, name)
	return name
}

// free returns a name for a type of other that nothing else has.
func (c *completer) free(name string) string {
	for n, free := 0, name; ; n++ {
		if c.own.userType(free) == nil && !c.taken[free] {
			return free
		}
		free = fmt.Sprintf("%s_from_%d", name, n)
	}
}

// enumName is typeName for enumerations.
func (c *completer) enumName(name string) string {
	e, err := c.other.Enum(name)
	if err != nil || !isPrivate(name) {
		return name
	}
	key := "enum " + name
	if n, ok := c.names[key]; ok {
		return n
	}
	free := name
	for n := 0; c.hasEnum(free); n++ {
		free = fmt.Sprintf("%s_from_%d", name, n)
	}
	c.names[key] = free
	added := *e
	added.Name = free
	c.more.Enums = append(c.more.Enums, added)
	return free
}

func (c *completer) hasEnum(name string) bool {
	_, err := c.own.Enum(name)
	return err == nil || slices.ContainsFunc(c.more.Enums, func(e Enum) bool { return e.Name == name })
}

func (c *completer) addSymbols() {
	for i := range c.other.symbols {
		s := &c.other.symbols[i]
		own, err := c.own.Symbol(s.Name)
		switch {
		case err != nil:
			added := *s
			if s.Type != nil {
				added.Type = c.typ(s.Type, false)
			}
			c.more.Symbols = append(c.more.Symbols, added)
			c.added("symbol %s", s.Name)
		case own.Address == s.Address && len(own.ConstantData) == 0 && len(s.ConstantData) > 0:
			c.texts = append(c.texts, s)
		case own.Address != s.Address:
			c.conflict("symbol "+s.Name, fmt.Sprintf("%#x", own.Address), fmt.Sprintf("%#x", s.Address))
		}
	}
}

// file returns the result.
func (c *completer) file() *File {
	contents := Contents{
		Metadata: c.own.metadata, Lost: c.own.lost,
		Bases:   append(slices.Clone(c.own.bases), c.more.Bases...),
		Types:   append(slices.Clone(c.own.types), c.more.Types...),
		Enums:   append(slices.Clone(c.own.enums), c.more.Enums...),
		Symbols: append(slices.Clone(c.own.symbols), c.more.Symbols...),
	}
	for i := range c.own.types {
		if u, ok := c.changed[contents.Types[i].Name]; ok {
			contents.Types[i] = *u
		}
	}
	for i := range c.own.enums {
		if e, ok := c.enums[contents.Enums[i].Name]; ok {
			contents.Enums[i] = *e
		}
	}
	for _, s := range c.texts {
		if i, ok := c.own.findSymbol(s.Name); ok {
			contents.Symbols[i].ConstantData = s.ConstantData
			c.added("bytes of symbol %s", s.Name)
		}
	}
	f := build(contents, func(string, string) {})
	f.malformed = c.own.malformed
	f.origins = append(slices.Clone(c.own.origins), c.origins...)
	return f
}
