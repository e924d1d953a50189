package kstruct

import (
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// containers holds the layouts of the kernel's containers, each resolved when it is first
// walked. All Spaces of one kernel share it.
type containers struct {
	list                       lazy[listLayout]
	plist                      lazy[plistLayout]
	hlist, hlistBL, hlistNulls lazy[hlistLayout]
	llist                      lazy[llistLayout]

	rbtree lazy[rbLayout]
	xarray lazy[xarrayLayout]
	maple  lazy[mapleLayout]
	rhash  lazy[rhashLayout]

	perCPU  lazy[perCPULayout]
	counter lazy[counterLayout]
	ref     lazy[refLayout]

	symbols symbolIndex
}

// lazy is a layout that is resolved once.
type lazy[T any] struct {
	once   sync.Once
	layout T
	err    error
}

// get returns the layout. The error wraps [ErrUnsupported] and names what the types lack.
func (l *lazy[T]) get(types *isf.File, resolve func(*resolver) T) (*T, error) {
	l.once.Do(func() {
		r := &resolver{Resolver: isf.NewResolver(types)}
		l.layout = resolve(r)
		if l.err = r.Err(); l.err == nil {
			l.err = r.odd
		}
		if l.err != nil {
			l.err = fmt.Errorf("%w: %w", ErrUnsupported, l.err)
		}
	})
	return &l.layout, l.err
}

// A resolver looks up members and checks their sizes.
type resolver struct {
	*isf.Resolver
	odd error // the first thing that is not as expected
}

func (r *resolver) refuse(format string, args ...any) {
	if r.odd == nil {
		r.odd = fmt.Errorf(format, args...)
	}
}

// field returns the offset and the size of a member, 0 where it is missing.
func (r *resolver) field(typ, path string) (off vmem.VirtAddr, size uint64, ok bool) {
	t := r.Type(typ)
	off = vmem.VirtAddr(t.Offset(path))
	if !t.Has(path) {
		return 0, 0, false
	}
	return off, t.FieldSize(path), true
}

// sized returns the offset of a member that has to be of so many bytes.
func (r *resolver) sized(typ, path string, size uint64) vmem.VirtAddr {
	off, got, ok := r.field(typ, path)
	if ok && got != size {
		r.refuse("%s.%s has %d bytes, not %d", typ, path, got, size)
	}
	return off
}

// pointer returns the offset of a pointer.
func (r *resolver) pointer(typ, path string) vmem.VirtAddr { return r.sized(typ, path, 8) }

// within returns the offset of a member of any size.
func (r *resolver) within(typ, path string) vmem.VirtAddr {
	off, _, _ := r.field(typ, path)
	return off
}

// words returns the offset of an array of 64-bit words, and how many those are: at least
// one, and at most limit.
func (r *resolver) words(typ, path string, limit int) (off vmem.VirtAddr, n int) {
	off, size, ok := r.field(typ, path)
	if ok && (size == 0 || size%8 != 0 || size > uint64(limit)*8) {
		r.refuse("%s.%s has %d bytes", typ, path, size)
		size = 8
	}
	return off, int(size / 8)
}
