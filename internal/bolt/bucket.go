package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrNotFound is the reason where a bucket has no bucket of the name that was asked for.
var ErrNotFound = errors.New("no such bucket")

// An Item is one key of a bucket. The caller may keep and must not change its bytes.
type Item struct {
	Key      []byte
	Value    []byte // of a bucket: what DB.Bucket takes
	IsBucket bool
}

// size is what the item costs of the budget of a database.
func (i *Item) size() int { return leafSize + len(i.Key) + len(i.Value) }

// A Bucket is a set of items, some of which may be buckets themselves.
type Bucket struct {
	db     *DB
	root   uint64 // page ID; 0 for a bucket inside its parent's page
	inline []byte // then its page
}

// Root returns the bucket that holds all others.
func (db *DB) Root() Bucket { return Bucket{db: db, root: db.root} }

// Bucket returns the bucket of an item whose IsBucket is set.
func (b Bucket) Bucket(item Item) (Bucket, error) {
	if !item.IsBucket || len(item.Value) < bucketSize {
		return Bucket{}, fmt.Errorf("bolt: bucket %q: %w", item.Key, ErrDamaged)
	}
	child := Bucket{db: b.db, root: binary.LittleEndian.Uint64(item.Value)}
	if child.root == 0 {
		child.inline = item.Value[bucketSize:]
	}
	return child, nil
}

// Lookup returns the bucket at the end of path. An error wraps ErrNotFound only if
// all of the buckets on the way could be read.
func (b Bucket) Lookup(path ...string) (Bucket, error) {
	for _, name := range path {
		child, err := b.lookup(name)
		if err != nil {
			return Bucket{}, err
		}
		b = child
	}
	return b, nil
}

func (b Bucket) lookup(name string) (Bucket, error) {
	var lost error
	for item, err := range b.Items() {
		if err != nil {
			lost = err
			continue
		}
		if item.IsBucket && string(item.Key) == name {
			return b.Bucket(item)
		}
	}
	if lost != nil {
		return Bucket{}, lost
	}
	return Bucket{}, fmt.Errorf("bolt: %q: %w", name, ErrNotFound)
}

// Items yields the items of the bucket by ascending key. A page that can't be read
// is yielded as an error, and the walk goes on with the next one.
func (b Bucket) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		w := walk{db: b.db, yield: yield, budget: 1 << 16}
		if b.db != nil {
			w.budget = min(w.budget, b.db.size/b.db.pageSize)
		}
		if b.root == 0 {
			p, err := parsePage(b.inline)
			w.leaf(p, err)
			return
		}
		w.page(b.root, 0)
	}
}

// Carve yields the items of all leaf pages of a database that can be read, whether
// its buckets still reach them or not: what was in the database at some time. It needs
// no meta page, and takes pages of 4 KiB where there is none; what can't be read or
// is no leaf is passed over.
func Carve(r io.ReaderAt, size int64) iter.Seq[Item] {
	db, err := Open(r, size)
	if err != nil {
		db = newDB(r, size, 4<<10)
	}
	return func(yield func(Item) bool) {
		for id := range uint64(db.size / db.pageSize) {
			p, err := db.readPage(id)
			if err == nil && p.flags == leafFlag && !p.carve(db, yield) || errors.Is(err, ErrBudget) {
				return
			}
		}
	}
}

// carve yields the items of a leaf and of the buckets inside it.
func (p page) carve(db *DB, yield func(Item) bool) bool {
	for i := range p.count {
		item, err := p.item(i)
		if err != nil {
			continue
		}
		if db.spend(item.size()) != nil {
			return false
		}
		if !yield(item) {
			return false
		}
		if !item.IsBucket || len(item.Value) <= bucketSize {
			continue
		}
		inner, err := parsePage(item.Value[bucketSize:])
		if err == nil && !inner.carve(db, yield) {
			return false
		}
	}
	return true
}

// CarvePage yields the items of a leaf page, and of each bucket inside it, a bucket at a time.
// It is for a page of 4 KiB of which nothing is known, not even that it is of a database:
// what can't be the beginning of a leaf yields nothing. What a page runs on into is not
// there, and so are items that end in that.
func CarvePage(data []byte) iter.Seq[[]Item] {
	return func(yield func([]Item) bool) {
		const overflow = maxOverflow / minPage
		le := binary.LittleEndian
		if len(data) < minPage || le.Uint16(data[8:]) != leafFlag || le.Uint32(data[12:]) > overflow || le.Uint64(data) < 2 || le.Uint64(data)>>32 != 0 {
			return
		}
		if p, err := parsePage(data); err == nil {
			p.buckets(yield)
		}
	}
}

// buckets yields the items of a leaf and of the buckets inside it. Items that share their
// bytes, which those of a database never do, are as many as fit without that: otherwise
// buckets in buckets could be any number.
func (p page) buckets(yield func([]Item) bool) bool {
	var items []Item
	rest := len(p.data)
	for i := range p.count {
		item, err := p.item(i)
		if err != nil || len(item.Key) == 0 {
			continue
		}
		if rest -= item.size(); rest < 0 {
			break
		}
		items = append(items, item)
	}
	if len(items) > 0 && !yield(items) {
		return false
	}
	for _, item := range items {
		if !item.IsBucket || len(item.Value) <= bucketSize {
			continue
		}
		inner, err := parsePage(item.Value[bucketSize:])
		if err == nil && !inner.buckets(yield) {
			return false
		}
	}
	return true
}

// maxDepth bounds the height of a tree; with two children a branch, more than any
// file can hold.
const maxDepth = 64

// A walk is one pass over the tree of a bucket. Its methods report whether to go on.
type walk struct {
	db     *DB
	yield  func(Item, error) bool
	budget int64 // pages
}

func (w *walk) page(id uint64, depth int) bool {
	if w.budget--; w.budget < 0 || depth > maxDepth {
		w.fail(ErrBudget)
		return false
	}
	p, err := w.db.readPage(id)
	if err != nil {
		return w.fail(err)
	}
	switch {
	case p.flags&leafFlag != 0:
		return w.leaf(p, nil)
	case p.flags&branchFlag == 0:
		return w.fail(fmt.Errorf("page %d is of kind %#x: %w", id, p.flags, ErrDamaged))
	}
	for i := range p.count {
		if !w.page(p.child(i), depth+1) {
			return false
		}
	}
	return true
}

func (w *walk) leaf(p page, err error) bool {
	if err != nil {
		return w.fail(err)
	}
	for i := range p.count {
		item, err := p.item(i)
		if err != nil {
			if !w.fail(err) || w.db.spend(lossWork) != nil {
				return false
			}
			continue
		}
		if err := w.db.spend(item.size()); err != nil {
			w.fail(err)
			return false
		}
		if !w.yield(item, nil) {
			return false
		}
	}
	return true
}

func (w *walk) fail(err error) bool { return w.yield(Item{}, fmt.Errorf("bolt: %w", err)) }
