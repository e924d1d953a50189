package layouts

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/isf"
)

// KnownModules returns the layouts that the package carries of the modules of kernels that carry
// no types of modules themselves: those before 5.11. Each has types alone, those that the modules have and
// the kernel itself has not.
func KnownModules() *Set { return knownModules() }

var knownModules = sync.OnceValue(func() *Set {
	dir, err := fs.Sub(data, "data/modules")
	if err != nil {
		return nil
	}
	s, err := read(dir)
	if err != nil {
		return nil
	}
	return s
})

// A Merger makes the layout of the modules of one kernel.
type Merger struct {
	kernel  *isf.File
	all     *isf.File
	differs map[string]bool // types that modules have differently
}

// NewMerger returns a Merger for the modules of a kernel with those types.
func NewMerger(kernel *isf.File) (*Merger, error) {
	empty, err := isf.New(isf.Contents{})
	return &Merger{kernel: kernel, all: empty, differs: map[string]bool{}}, err
}

// Add adds the types of a module that the kernel lacks and want takes, all if that is nil, and
// all that they are made of.
func (m *Merger) Add(module *isf.File, want func(name string) bool) error {
	var u isf.Usage
	r := module.Recorded(&u)
	for t := range module.UserTypes() {
		if own, err := m.kernel.UserType(t.Name); err == nil && len(own.Fields) > 0 {
			if own.Size != t.Size && len(t.Fields) > 0 {
				m.differs[t.Name] = true // it would be read as the kernel's is
			}
			continue
		}
		if len(t.Fields) == 0 || strings.HasPrefix(t.Name, "unnamed_") || want != nil && !want(t.Name) {
			continue
		}
		if _, err := r.UserType(t.Name); err != nil {
			return err
		}
	}
	for e := range module.Enums() {
		if _, err := m.kernel.Enum(e.Name); err != nil && want == nil {
			_, _ = r.Enum(e.Name)
		}
	}
	part, err := Extract(module, &u)
	if err != nil {
		return err
	}
	all, conflicts := m.all.Complete(part, nil)
	for _, c := range conflicts {
		_, name, _ := strings.Cut(c.Object, " ")
		name, _, _ = strings.Cut(name, ".")
		m.differs[name] = true
	}
	m.all = all
	return nil
}

// File returns the layout, and the names of the types that are not in it, since there are several of
// the name.
func (m *Merger) File() (*isf.File, []string, error) {
	var c isf.Contents
	for t := range m.all.UserTypes() {
		if !m.differs[t.Name] {
			c.Types = append(c.Types, *t)
		}
	}
	for b := range m.all.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for e := range m.all.Enums() {
		if !m.differs[e.Name] {
			c.Enums = append(c.Enums, *e)
		}
	}
	f, err := isf.New(c)
	return f, slices.Sorted(maps.Keys(m.differs)), err
}
