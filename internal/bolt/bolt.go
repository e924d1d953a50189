package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync/atomic"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which a database can't be read.
var (
	// ErrFormat: no meta page is intact, so this is no database, or one that was
	// never written out.
	ErrFormat = vmem.NewReason("damaged", "not a bbolt database")
	// ErrDamaged: a page contradicts what points at it.
	ErrDamaged = vmem.NewReason("damaged", "damaged database page")
	// ErrBudget: the walk met more pages than a sane database of this size has.
	ErrBudget = vmem.NewReason("too-long", "too many pages")
)

// Layout of a page, after internal/common/page.go and meta.go of bbolt.
const (
	headerSize  = 16 // id uint64, flags, count uint16, overflow uint32
	branchSize  = 16 // pos, ksize uint32, pgid uint64
	leafSize    = 16 // flags, pos, ksize, vsize uint32
	bucketSize  = 16 // root pgid, sequence uint64
	metaSize    = 64
	branchFlag  = 0x01
	leafFlag    = 0x02
	bucketFlag  = 0x01 // of a leaf element
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	minPage = 1 << 10
	maxPage = 1 << 16
	// maxOverflow bounds a page with what it runs on into, in bytes. The biggest
	// values in containerd's database are specs of containers.
	maxOverflow = 16 << 20
)

// A DB is a database at one instant. It is safe for concurrent use if the reader
// beneath it is.
type DB struct {
	r        io.ReaderAt
	size     int64 // in bytes
	pageSize int64 // in bytes
	root     uint64
	left     atomic.Int64 // bytes of pages and items that may still be gone through
}

const (
	// maxSize bounds what is read of a database, in bytes.
	maxSize = 1 << 30
	// Pages, and items in a page, can be shared by any number of buckets in a database that
	// someone made for that. What is gone through of one is bounded: each of its bytes a few
	// times, once as part of a page and of an item each, and those of items more often where a
	// bucket is looked up.
	minWork, maxWork, workFactor = 16 << 20, 512 << 20, 8
	// lossWork is what an item costs that is none.
	lossWork = 4 << 10
)

// newDB returns a database that holds no more than maxSize.
func newDB(r io.ReaderAt, size, pageSize int64) *DB {
	db := &DB{r: r, size: min(size, maxSize), pageSize: pageSize}
	db.left.Store(min(max(minWork, workFactor*db.size), maxWork))
	return db
}

// spend takes n bytes from what may be gone through.
func (db *DB) spend(n int) error {
	if db != nil && db.left.Add(-int64(n)) < 0 {
		return ErrBudget
	}
	return nil
}

// Open reads the meta pages of the database that r holds; size is an upper bound of
// its length in bytes. The error wraps ErrFormat, and what r said of pages that it
// couldn't read.
func Open(r io.ReaderAt, size int64) (*DB, error) {
	first, err := readMeta(r, 0)
	best := first
	pageSizes := []int64{first.pageSize}
	if err != nil {
		// The second meta page is one page on, whatever that is.
		pageSizes = []int64{4 << 10, 16 << 10, 64 << 10, 8 << 10, 32 << 10}
	}
	for _, at := range pageSizes {
		if second, err := readMeta(r, at); err == nil && second.pageSize == at && second.txid >= best.txid {
			best = second
		}
	}
	if best.pageSize == 0 {
		return nil, fmt.Errorf("bolt: no meta page: %w (%w)", err, ErrFormat) // the reason is err's, if it has one
	}
	db := newDB(r, size, best.pageSize)
	db.root = best.root
	return db, nil
}

type meta struct {
	pageSize int64
	root     uint64 // page ID of the root bucket
	txid     uint64
}

// readMeta reads the meta page at offset at.
func readMeta(r io.ReaderAt, at int64) (meta, error) {
	var page [headerSize + metaSize]byte
	if _, err := r.ReadAt(page[:], at); err != nil {
		return meta{}, err
	}
	b := page[headerSize:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m := meta{pageSize: int64(le.Uint32(b[8:])), root: le.Uint64(b[16:]), txid: le.Uint64(b[48:])}
	switch {
	case le.Uint32(b) != metaMagic || le.Uint32(b[4:]) != metaVersion:
		return meta{}, errors.New("no magic number")
	case le.Uint64(b[metaSize-8:]) != sum.Sum64():
		return meta{}, errors.New("checksum of the meta page is wrong")
	case m.pageSize < minPage || m.pageSize > maxPage || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, nil
}

// A page is one page of the tree with what it runs on into.
type page struct {
	flags uint16
	count int
	data  []byte // all of it, header too, for positions count from there
}

// readPage reads the page with that ID.
func (db *DB) readPage(id uint64) (page, error) {
	if id < 2 || id >= uint64(db.size/db.pageSize) {
		return page{}, fmt.Errorf("page %d of %d: %w", id, db.size/db.pageSize, ErrDamaged)
	}
	data := make([]byte, db.pageSize)
	at := int64(id) * db.pageSize
	if _, err := db.r.ReadAt(data, at); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	le := binary.LittleEndian
	if le.Uint64(data) != id {
		return page{}, fmt.Errorf("page %d says that it is %d: %w", id, le.Uint64(data), ErrDamaged)
	}
	more := int64(le.Uint32(data[12:])) * db.pageSize
	if more > maxOverflow || at+db.pageSize+more > db.size {
		return page{}, fmt.Errorf("page %d runs on for %d bytes: %w", id, more, ErrDamaged)
	}
	if err := db.spend(int(db.pageSize + more)); err != nil {
		return page{}, err
	}
	if more > 0 {
		data = append(data, make([]byte, more)...)
		if _, err := db.r.ReadAt(data[db.pageSize:], at+db.pageSize); err != nil {
			return page{}, fmt.Errorf("overflow of page %d: %w", id, err)
		}
	}
	return parsePage(data)
}

// parsePage checks that the elements that the header promises fit.
func parsePage(data []byte) (page, error) {
	if len(data) < headerSize {
		return page{}, fmt.Errorf("page of %d bytes: %w", len(data), ErrDamaged)
	}
	p := page{flags: binary.LittleEndian.Uint16(data[8:]), count: int(binary.LittleEndian.Uint16(data[10:])), data: data}
	if headerSize+p.count*leafSize > len(data) {
		return page{}, fmt.Errorf("%d elements in %d bytes: %w", p.count, len(data), ErrDamaged)
	}
	return p, nil
}

// child returns the page that element i of a branch points at.
func (p page) child(i int) uint64 {
	return binary.LittleEndian.Uint64(p.data[headerSize+i*branchSize+8:])
}

// item returns element i of a leaf.
func (p page) item(i int) (Item, error) {
	at := headerSize + i*leafSize
	le := binary.LittleEndian
	e := p.data[at:]
	start, key, value := uint64(at)+uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
	if start+key+value > uint64(len(p.data)) {
		return Item{}, fmt.Errorf("element %d leaves its page: %w", i, ErrDamaged)
	}
	return Item{
		Key:      p.data[start : start+key],
		Value:    p.data[start+key : start+key+value],
		IsBucket: le.Uint32(e)&bucketFlag != 0,
	}, nil
}
