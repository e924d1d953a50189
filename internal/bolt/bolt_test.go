package bolt

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

// tree returns the database that bbolt made; see testdata/README.md.
func tree(tb testing.TB) []byte {
	tb.Helper()
	f, err := os.Open("testdata/tree.db.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// contents returns all of a database, one line a key, and what was lost.
func contents(data []byte) (lines []string, lost []error) {
	db, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, []error{err}
	}
	var list func(path string, b Bucket, depth int)
	list = func(path string, b Bucket, depth int) {
		for item, err := range b.Items() {
			if err != nil {
				lost = append(lost, fmt.Errorf("%s: %w", path, err))
				continue
			}
			name := path + "/" + string(item.Key)
			if !item.IsBucket {
				lines = append(lines, name+"="+string(item.Value))
				continue
			}
			lines = append(lines, name+"/")
			child, err := b.Bucket(item)
			if err != nil || depth == 0 {
				lost = append(lost, fmt.Errorf("%s: bucket: %w", name, err))
				continue
			}
			list(name, child, depth-1)
		}
	}
	list("", db.Root(), 4)
	return lines, lost
}

func wantContents() []string {
	want := []string{"/many/"}
	for i := range 3000 {
		want = append(want, fmt.Sprintf("/many/key %05d=%s", i, strings.Repeat("v", i%50)))
	}
	return append(want,
		"/nested/",
		"/nested/big="+strings.Repeat("0123456789", 2000),
		"/nested/empty/",
		"/nested/inner/",
		"/nested/inner/name=value",
		"/nested/second=transaction",
	)
}

func TestContents(t *testing.T) {
	got, lost := contents(tree(t))
	if len(lost) > 0 {
		t.Errorf("lost: %v", lost)
	}
	if diff := cmp.Diff(wantContents(), got); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func TestPreviousTransaction(t *testing.T) {
	data := tree(t)
	newest := 0
	if binary.LittleEndian.Uint64(data[4096+headerSize+48:]) > binary.LittleEndian.Uint64(data[headerSize+48:]) {
		newest = 1
	}
	data[newest*4096+headerSize+20] ^= 1
	lines, lost := contents(data)
	if !slices.Contains(lines, "/old/a=b") || slices.Contains(lines, "/nested/second=transaction") {
		t.Errorf("not the first transaction: %q, lost %v", lines[len(lines)-5:], lost)
	}
}

func TestLookup(t *testing.T) {
	data := tree(t)
	db, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := db.Root().Lookup("nested", "inner")
	if err != nil {
		t.Fatal(err)
	}
	for item, err := range inner.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if string(item.Key) != "name" || string(item.Value) != "value" {
			t.Errorf("%q=%q, want name=value", item.Key, item.Value)
		}
	}
	for _, path := range [][]string{{"none"}, {"nested", "big"}, {"nested", "inner", "name"}} {
		if _, err := db.Root().Lookup(path...); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", path, err)
		}
	}
}

// errMissing is what holes says of pages that aren't there.
var errMissing = errors.New("not there")

// holes is a database of which some pages are missing.
type holes struct {
	*bytes.Reader
	missing map[int64]bool // page numbers
}

func (h holes) ReadAt(p []byte, off int64) (int, error) {
	for at := off &^ 4095; at < off+int64(len(p)); at += 4096 {
		if h.missing[at/4096] {
			return 0, errMissing
		}
	}
	return h.Reader.ReadAt(p, off)
}

// TestMissingPages takes away one page after another: everything else must still
// be there, or an error say which page is missing.
func TestMissingPages(t *testing.T) {
	data := tree(t)
	for n := range int64(len(data) / 4096) {
		db, err := Open(holes{bytes.NewReader(data), map[int64]bool{n: true}}, int64(len(data)))
		if err != nil {
			t.Fatalf("without page %d: %v", n, err)
		}
		count, lost := 0, 0
		many, err := db.Root().Lookup("many")
		if err != nil {
			if !errors.Is(err, errMissing) {
				t.Errorf("without page %d: %v", n, err)
			}
			continue
		}
		for _, err := range many.Items() {
			switch {
			case err == nil:
				count++
			case errors.Is(err, errMissing):
				lost++
			default:
				t.Errorf("without page %d: %v", n, err)
			}
		}
		if n < 2 {
			continue // a meta page: the other one's transaction counts
		}
		if lost > 1 || (lost == 0) != (count == 3000) {
			t.Errorf("without page %d: %d items and %d pages lost", n, count, lost)
		}
	}
}

func TestNotADatabase(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": nil,
		"zeros": make([]byte, 1<<16),
		"text":  bytes.Repeat([]byte("text"), 1<<14),
	} {
		if _, err := Open(bytes.NewReader(data), int64(len(data))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

// unread is a database of which nothing can be read.
type unread struct{}

func (unread) ReadAt([]byte, int64) (int, error) { return 0, vmem.ErrNotPresent }

// TestUnreadable checks that a database which could not be read is not called damaged.
func TestUnreadable(t *testing.T) {
	_, err := Open(unread{}, 1<<16)
	if reason := vmem.ReasonOf(err); reason != "not-present" || !errors.Is(err, ErrFormat) {
		t.Errorf("reason %s of %v", reason, err)
	}
}

// TestCarve finds all that the tree has, also without the meta pages that lead to it.
func TestCarve(t *testing.T) {
	data := tree(t)
	for name, missing := range map[string]map[int64]bool{"whole": nil, "no meta pages": {0: true, 1: true}} {
		found := map[string]bool{}
		for item := range Carve(holes{bytes.NewReader(data), missing}, int64(len(data))) {
			found[fmt.Sprintf("%s=%s", item.Key, item.Value)] = true
		}
		for i := range 3000 {
			if want := fmt.Sprintf("key %05d=%s", i, strings.Repeat("v", i%50)); !found[want] {
				t.Fatalf("%s: no %q", name, want)
			}
		}
		if !found["big="+strings.Repeat("0123456789", 2000)] || !found["second=transaction"] || !found["name=value"] {
			t.Errorf("%s: %d items, but not those of the bucket nested", name, len(found))
		}
	}
	for range Carve(bytes.NewReader(data), int64(len(data))) {
		break
	}
	for item := range Carve(bytes.NewReader(make([]byte, 1<<20)), 1<<20) {
		t.Fatalf("%q out of nothing", item.Key)
	}
}

// TestCycle lets each page in turn be a branch whose every element points at
// itself.
func TestCycle(t *testing.T) {
	data := tree(t)
	stopped := 0
	for at := 2 * 4096; at < len(data); at += 4096 {
		data := slices.Clone(data)
		page := data[at : at+4096]
		binary.LittleEndian.PutUint16(page[8:], branchFlag)
		binary.LittleEndian.PutUint16(page[10:], 255)
		for i := range 255 {
			binary.LittleEndian.PutUint64(page[headerSize+i*branchSize+8:], uint64(at/4096))
		}
		if _, lost := contents(data); errors.Is(errors.Join(lost...), ErrBudget) {
			stopped++
		}
	}
	if stopped == 0 {
		t.Error("no walk met its budget")
	}
}

func FuzzOpen(f *testing.F) {
	data := tree(f)
	f.Add(uint32(4096+16), uint64(7), uint16(0))
	f.Add(uint32(2*4096+8), uint64(1), uint16(2))
	f.Add(uint32(5*4096+12), uint64(1<<40), uint16(9))
	f.Fuzz(func(t *testing.T, at uint32, value uint64, missing uint16) {
		data := slices.Clone(data)
		binary.LittleEndian.PutUint64(data[int(at)%(len(data)-8):], value)
		db, err := Open(holes{bytes.NewReader(data), map[int64]bool{int64(missing): true}}, int64(len(data)))
		if err != nil {
			return
		}
		for item, err := range db.Root().Items() {
			if err != nil {
				continue
			}
			child, err := db.Root().Bucket(item)
			if err != nil {
				continue
			}
			for item, err := range child.Items() {
				if (err != nil) != (item.Key == nil) {
					t.Fatalf("%q, %v", item.Key, err)
				}
			}
		}
		for item := range Carve(bytes.NewReader(data), int64(len(data))) {
			_ = string(item.Key) + string(item.Value)
		}
	})
}

func BenchmarkItems(b *testing.B) {
	data := tree(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		contents(data)
	}
}

// A page by itself has what the database has on it, and a page of anything has nothing that
// leaves it.
func FuzzCarvePage(f *testing.F) {
	data := tree(f)
	for page := range slices.Chunk(data, 4096) {
		f.Add(page)
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		for items := range CarvePage(page) {
			if len(items) == 0 {
				t.Fatal("an empty bucket")
			}
			for _, item := range items {
				if len(item.Key) == 0 || !bytes.Contains(page, item.Key) || !bytes.Contains(page, item.Value) {
					t.Fatalf("%q: %q", item.Key, item.Value)
				}
			}
		}
	})
}

func TestCarvePage(t *testing.T) {
	data := tree(t)
	keys := func(items func(func([]Item) bool)) (all []string) {
		for bucket := range items {
			for _, item := range bucket {
				all = append(all, string(item.Key))
			}
		}
		return all
	}
	var want, got []string
	for item := range Carve(bytes.NewReader(data), int64(len(data))) {
		want = append(want, string(item.Key))
	}
	for page := range slices.Chunk(data, 4096) {
		got = append(got, keys(CarvePage(page))...)
	}
	// Some pages run on into others.
	if len(got) < len(want)*99/100 || len(got) > len(want) || slices.ContainsFunc(got, func(key string) bool { return !slices.Contains(want, key) }) {
		t.Errorf("%d keys by page, %d of the database", len(got), len(want))
	}
}

// leafPage writes a leaf of n items that are all the same key and the same value, which is
// the page itself if inline is set.
func leafPage(page []byte, id uint64, n int, value []byte, bucket bool) {
	le := binary.LittleEndian
	le.PutUint64(page, id)
	le.PutUint16(page[8:], leafFlag)
	le.PutUint16(page[10:], uint16(n))
	at := len(page) - len(value) - 4
	copy(page[at:], "same")
	copy(page[at+4:], value)
	for i := range n {
		e := page[headerSize+i*leafSize:]
		if bucket {
			le.PutUint32(e, bucketFlag)
		}
		le.PutUint32(e[4:], uint32(at-headerSize-i*leafSize))
		le.PutUint32(e[8:], 4)
		le.PutUint32(e[12:], uint32(len(value)))
	}
}

// TestSharedPages has branches that share their children, and items that share their value,
// a bucket of such items: a database of a few pages of which all could be gone through for
// years. It ends, and says so.
func TestSharedPages(t *testing.T) {
	const pages = 64
	data := append(slices.Clone(tree(t)[:2*4096]), make([]byte, pages*4096)...)
	inner := make([]byte, 1024)
	leafPage(inner, 0, 40, []byte("value"), false)
	for id := 2; id < pages; id++ {
		page := data[id*4096:][:4096]
		if id > 40 {
			leafPage(page, uint64(id), 120, append(make([]byte, bucketSize), inner...), true)
			continue
		}
		binary.LittleEndian.PutUint64(page, uint64(id))
		binary.LittleEndian.PutUint16(page[8:], branchFlag)
		binary.LittleEndian.PutUint16(page[10:], 200)
		for i := range 200 {
			binary.LittleEndian.PutUint64(page[headerSize+i*branchSize+8:], uint64(id+1))
		}
	}
	db, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []uint64{2, 41} {
		items, ended := 0, false
		b := Bucket{db: db, root: root}
		for range 1000 { // as who looks into the same bucket again and again
			for item, err := range b.Items() {
				if ended = ended || errors.Is(err, ErrBudget); err != nil {
					continue
				}
				child, err := b.Bucket(item)
				if err != nil {
					t.Fatal(err)
				}
				for _, err := range child.Items() {
					ended = ended || errors.Is(err, ErrBudget)
					items++
				}
			}
		}
		if !ended || items > minWork/leafSize {
			t.Errorf("from page %d: %d items, ended %v", root, items, ended)
		}
	}
	n := 0
	for range Carve(bytes.NewReader(data), int64(len(data))) {
		n++
	}
	if n > minWork/leafSize {
		t.Errorf("%d items carved", n)
	}
}

// TestCarvePageShared has a page of buckets that are all one, with buckets in it that are.
func TestCarvePageShared(t *testing.T) {
	value := []byte("value")
	for size := 1024; size <= 4096; size += 512 {
		page := make([]byte, size)
		leafPage(page, 2, 10, append(make([]byte, bucketSize), value...), true)
		value = page
	}
	items, size := 0, 0
	for found := range CarvePage(value) {
		items += len(found)
		for i := range found {
			size += found[i].size()
		}
	}
	if items == 0 || size > 8*4096 {
		t.Errorf("%d items of %d bytes", items, size)
	}
}
