package layouts

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/isf"
)

//go:embed data
var data embed.FS

const (
	suffix    = ".isf.zst"
	noBuildID = "none"
)

// A Layout is that of one build of a kernel. It is safe for concurrent use.
type Layout struct {
	BuildID string // of its vmlinux, in lower-case hexadecimal; empty where not known
	Release string // as uname -r has it
	Name    string // of the file

	dir  fs.FS
	once sync.Once
	file *isf.File
	err  error
}

// File returns the layout as a database of types and symbols. It is decoded once.
func (l *Layout) File() (*isf.File, error) {
	l.once.Do(func() {
		r, err := l.dir.Open(l.Name)
		if err == nil {
			defer r.Close()
			l.file, err = isf.Decode(r)
		}
		if err != nil {
			l.err = fmt.Errorf("layouts: %s: %w", l.Name, err)
		}
	})
	return l.file, l.err
}

// String names the layout for the reader of a report.
func (l *Layout) String() string {
	if l.BuildID == "" {
		return "the known layout of " + l.Release
	}
	return "the known layout of " + l.Release + ", build id " + l.BuildID
}

// A Set is layouts of several kernels. The nil Set is empty. It is immutable, and safe for
// concurrent use.
type Set struct{ list []*Layout }

// Known returns the layouts that the package carries.
func Known() *Set { return known() }

var known = sync.OnceValue(func() *Set {
	dir, err := fs.Sub(data, "data")
	if err != nil {
		return nil
	}
	s, err := read(dir)
	if err != nil {
		return nil
	}
	return s
})

// Dir returns the layouts in a directory, which stay there until they are asked for. Files
// with names that are none of a layout are passed over. One that does not exist has none.
func Dir(name string) (*Set, error) {
	s, err := read(os.DirFS(name))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("layouts: %s: %w", name, err)
	}
	return s, nil
}

// Join returns the layouts of all sets, those of the first first.
func Join(sets ...*Set) *Set {
	var all Set
	for _, s := range sets {
		all.list = append(all.list, s.All()...)
	}
	return &all
}

func read(dir fs.FS) (*Set, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	s := new(Set)
	for _, e := range entries {
		id, release, ok := parseName(e.Name())
		if ok && !e.IsDir() {
			s.list = append(s.list, &Layout{BuildID: id, Release: release, Name: e.Name(), dir: dir})
		}
	}
	return s, nil
}

// All returns all layouts, in the order of their names.
func (s *Set) All() []*Layout {
	if s == nil {
		return nil
	}
	return slices.Clone(s.list)
}

// ByBuildID returns the layouts of the build of that id; of an empty one there are none.
func (s *Set) ByBuildID(id string) []*Layout {
	return s.where(func(l *Layout) bool { return id != "" && l.BuildID == id })
}

// ByRelease returns the layouts of kernels of the same version as the one with that
// release, those of the very release first, then those of the same flavour, and of these
// the nearest in number. The version is what the release says before its second dot: what
// has the same flavour differs from it by numbers alone.
func (s *Set) ByRelease(release string) []*Layout {
	list := s.where(func(l *Layout) bool { return version(release) != "" && version(l.Release) == version(release) })
	slices.SortStableFunc(list, func(a, b *Layout) int { return compare(distanceOf(a.Release, release), distanceOf(b.Release, release)) })
	return list
}

func (s *Set) where(match func(*Layout) bool) []*Layout {
	if s == nil {
		return nil
	}
	var list []*Layout
	for _, l := range s.list {
		if match(l) {
			list = append(list, l)
		}
	}
	return list
}

// FileName returns what the file of a layout is to be called. An empty build id is one that
// is not known.
func FileName(buildID, release string) string {
	if buildID == "" {
		buildID = noBuildID
	}
	return buildID + "_" + release + suffix
}

// parseName is the opposite of FileName.
func parseName(name string) (buildID, release string, ok bool) {
	name, ok = strings.CutSuffix(path.Base(name), suffix)
	buildID, release, ok2 := strings.Cut(name, "_")
	if buildID == noBuildID {
		buildID = ""
	}
	return buildID, release, ok && ok2 && release != "" && strings.Trim(buildID, "0123456789abcdef") == ""
}
