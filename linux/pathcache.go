package linux

import (
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A pathKey is what has a path.
type pathKey struct {
	kind pathKind
	in   vmem.VirtAddr // the mount, 0 inside a file system; or the hierarchy
	at   vmem.VirtAddr
}

type pathKind uint8

const (
	dentryPath   pathKind = iota // a directory on the way to the root; empty for the root
	filePath                     // a file as it is shown
	cgroupParent                 // a cgroup on the way to the root; empty for the root
	cgroupPath                   // a cgroup as it is shown
)

// A knownPath is a path that was found, or why it was not.
type knownPath struct {
	text string
	err  error
}

const (
	// maxKnownPaths and maxKnownBytes bound what is kept.
	maxKnownPaths, maxKnownBytes = 1 << 16, 16 << 20
	// knownEvery is how far directories on one way are apart that are kept.
	knownEvery = 64
)

// A pathCache keeps paths, for many files are in one directory, and many processes in one
// cgroup: without it a directory of thousands of levels that is open thousands of times
// takes minutes. It is safe for concurrent use.
type pathCache struct {
	mu    sync.RWMutex // guards all below
	known map[pathKey]knownPath
	bytes int
}

func (c *pathCache) get(key pathKey) (knownPath, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.known[key]
	return p, ok
}

// put keeps a path. When there is too much, it begins anew.
func (c *pathCache) put(key pathKey, p knownPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxKnownPaths || c.bytes+len(p.text) > maxKnownBytes {
		c.known, c.bytes = map[pathKey]knownPath{}, 0
	}
	c.known[key] = p
	c.bytes += len(p.text)
}

// remembered returns what find finds, once: of a running machine each time.
func (k *Kernel) remembered(key pathKey, find func() (string, error)) (string, error) {
	if k.phys.Live() {
		return find()
	}
	if p, ok := k.paths.get(key); ok {
		return p.text, p.err
	}
	text, err := find()
	k.paths.put(key, knownPath{text, err})
	return text, err
}

// An ascent is the way from something in a tree up to the root, on which a path is made.
type ascent struct {
	*pathBuffer
	k     *Kernel
	steps int
	lost  bool // the way was left, for it is too long

	parent mark   // of where the way begins, and others further on
	marks  []mark // that need memory of their own
}

// A mark is a place on the way whose path is kept when it is known.
type mark struct {
	key   pathKey
	used  int // bytes of the path below it
	steps int
}

// arrive is called at each place on the way, before its name is put before the path. It
// reports whether the way ends there: for its path is known, or for the way is too long.
func (a *ascent) arrive(key pathKey) (end bool, err error) {
	a.steps++
	// Twice as far as need be, to know of half the way too that it is too long.
	if a.steps > 2*maxDepth || a.used > 2*a.k.limits.PathBytes {
		a.lost = true
		return true, a.tooLong()
	}
	if a.steps == 1 || a.k.phys.Live() {
		return false, nil
	}
	if p, ok := a.k.paths.get(key); ok {
		copy(a.room(len(p.text)), p.text)
		return true, p.err
	}
	switch m := (mark{key, a.used, a.steps}); {
	case a.steps == 2:
		a.parent = m
	case a.steps%knownEvery == 0:
		a.marks = append(a.marks, m)
	}
	return false, nil
}

// forget keeps nothing of the way so far.
func (a *ascent) forget() { a.parent, a.marks = mark{}, nil }

func (a *ascent) tooLong() error {
	return fmt.Errorf("%w: path of %d bytes or more, or of more than %d components", kstruct.ErrTooLong, a.k.limits.PathBytes, maxDepth)
}

// end keeps what is known of the marks at the end of the way: at the root, unless there is an
// error. It returns the error, or that the path is too long.
func (a *ascent) end(err error) error {
	if a.parent.steps > 0 {
		a.keep(a.parent, err)
	}
	for _, m := range a.marks {
		a.keep(m, err)
	}
	if err == nil && (a.used >= a.k.limits.PathBytes || a.steps > maxDepth) {
		return a.tooLong()
	}
	return err
}

// keep keeps what is known of a mark.
func (a *ascent) keep(m mark, err error) {
	switch above := a.used - m.used; {
	case above >= a.k.limits.PathBytes || a.steps-m.steps > maxDepth:
		a.k.paths.put(m.key, knownPath{err: a.tooLong()})
	case err == nil:
		a.k.paths.put(m.key, knownPath{text: a.first(above)})
	case !a.lost:
		a.k.paths.put(m.key, knownPath{err: err})
	}
}
