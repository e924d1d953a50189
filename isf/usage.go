package isf

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Usage is what was looked up in databases, and was there. The zero value is empty. It is
// safe for concurrent use.
type Usage struct {
	mu      sync.Mutex // guards all below
	types   map[string]map[string]bool
	enums   map[string]bool
	symbols map[string]bool
}

// Recorded returns f, the look-ups in which are remembered in u: it tells what a program
// needs of a database.
func (f *File) Recorded(u *Usage) *File {
	r := *f
	r.usage = u
	return &r
}

// Types returns the names of the structs, unions and classes that were looked up,
// ascending.
func (u *Usage) Types() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.types))
}

// Fields returns the paths of the members of a type that were looked up, ascending.
func (u *Usage) Fields(typ string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.types[typ]))
}

// Enums returns the names of the enumerations that were looked up, ascending.
func (u *Usage) Enums() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.enums))
}

// Symbols returns the names of the symbols that were looked up, ascending.
func (u *Usage) Symbols() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.symbols))
}

// addType remembers a type, and the path of a member of it unless that is empty. A nil
// Usage remembers nothing.
func (u *Usage) addType(typ, path string) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.types == nil {
		u.types = map[string]map[string]bool{}
	}
	if u.types[typ] == nil {
		u.types[typ] = map[string]bool{}
	}
	if path != "" {
		u.types[typ][strings.Clone(path)] = true
	}
}

func (u *Usage) addEnum(name string) { u.add(&u.enums, name) }

func (u *Usage) addSymbol(name string) { u.add(&u.symbols, name) }

func (u *Usage) add(set *map[string]bool, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[name] = true
}
