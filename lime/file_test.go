package lime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/vmem"
)

type physRange = vmem.Range[vmem.PhysAddr]

func mem(start, size uint64) physRange { return physRange{Start: vmem.PhysAddr(start), Size: size} }

// content is the byte that the machine of these tests has at address a.
func content(a uint64) byte { return byte(a ^ a>>8*7 ^ a>>16) }

func contents(r physRange) []byte {
	b := make([]byte, r.Size)
	for i := range b {
		b[i] = content(uint64(r.Start) + uint64(i))
	}
	return b
}

// head is a record header by the table of the package comment.
func head(r physRange) []byte {
	b := make([]byte, 32)
	copy(b, "EMiL")
	binary.LittleEndian.PutUint32(b[4:], 1)
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Start))
	binary.LittleEndian.PutUint64(b[16:], uint64(r.Start)+r.Size-1)
	return b
}

func record(r physRange) []byte { return append(head(r), contents(r)...) }

func image(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func open(t testing.TB, file []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkMemory reads all ranges of f, and compares them with what the machine had.
func checkMemory(t *testing.T, f *File, want []physRange) {
	t.Helper()
	if d := cmp.Diff(want, f.Ranges(), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	for _, r := range f.Ranges() {
		got := make([]byte, r.Size+1)
		n, err := f.ReadAt(got, int64(r.Start))
		if !errors.Is(err, vmem.ErrNotCaptured) || !bytes.Equal(got[:n], contents(r)) {
			t.Errorf("memory %v: %d bytes, %v; want all and %v", r, n, err, vmem.ErrNotCaptured)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		records []physRange
		want    []physRange
		hidden  bool // is part of the second record
	}{
		{"ascending", []physRange{mem(0x1000, 0x500), mem(0x3000, 0x1000)}, []physRange{mem(0x1000, 0x500), mem(0x3000, 0x1000)}, false},
		{"descending", []physRange{mem(0x3000, 0x1000), mem(0x1000, 0x500)}, []physRange{mem(0x1000, 0x500), mem(0x3000, 0x1000)}, false},
		{"adjacent", []physRange{mem(0x1000, 0x18), mem(0x1018, 0x40)}, []physRange{mem(0x1000, 0x58)}, false},
		{"overlapping", []physRange{mem(0x1000, 0x100), mem(0x1080, 0x100)}, []physRange{mem(0x1000, 0x180)}, true},
		{"twice", []physRange{mem(0x1000, 0x100), mem(0x1000, 0x100)}, []physRange{mem(0x1000, 0x100)}, true},
		{"one byte", []physRange{mem(0, 1), mem(1<<52-1, 1)}, []physRange{mem(0, 1), mem(1<<52-1, 1)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var file []byte
			for _, r := range tt.records {
				file = append(file, record(r)...)
			}
			f := open(t, file)
			checkMemory(t, f, tt.want)
			var want []lost
			if tt.hidden {
				want = []lost{{int64(headerSize + tt.records[0].Size), physRange{}, ErrOverlap}}
			}
			checkGaps(t, f, want)
		})
	}
}

func TestOverlapsFirstWins(t *testing.T) {
	t.Parallel()
	file := image(head(mem(0x1002, 2)), []byte("ab"), head(mem(0x1000, 6)), []byte("123456"))
	got := make([]byte, 6)
	if _, err := open(t, file).ReadAt(got, 0x1000); err != nil || string(got) != "12ab56" {
		t.Errorf("read %q, %v; want 12ab56", got, err)
	}
}

// lost is what a test says of a Gap.
type lost struct {
	offset int64
	memory physRange
	err    error
}

func checkGaps(t *testing.T, f *File, want []lost) {
	t.Helper()
	var got []lost
	for _, g := range f.Gaps() {
		got = append(got, lost{g.Place.Offset, g.Place.Physical(), g.Err})
		if g.Place.Physical().Size > 0 && !errors.Is(g, vmem.ErrNotCaptured) {
			t.Errorf("%v does not wrap ErrNotCaptured", g)
		}
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(lost{}), cmpopts.EquateErrors()); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}

// Whatever is cut out of an image, what it still gives is right, and what it does not
// is listed.
func TestMissingPieces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for tested := 0; tested < 2000; {
		file, claimed, ok := randomImage(rng)
		if !ok {
			continue
		}
		tested++
		f := open(t, file)
		checkMemory(t, f, f.Ranges())
		checkAccounted(t, f, claimed)
		if t.Failed() {
			t.Fatalf("records %v, file of %d bytes", claimed, len(file))
		}
	}
}

// randomImage makes an image of ascending records, of which about half are cut short,
// and returns what their headers claim. ok is false if a short record happens to claim
// as much as what follows it, to the end of the file or of a record, or a byte more or
// less: nothing could tell that it is short.
func randomImage(rng *rand.Rand) (file []byte, claimed []physRange, ok bool) {
	borders, ends := map[int]bool{}, []int(nil)
	for next := uint64(0x1000); len(claimed) == 0 || rng.IntN(4) > 0; {
		r := mem(next+rng.Uint64N(0x100), 1+rng.Uint64N(0x800))
		next = uint64(r.Start) + r.Size + rng.Uint64N(2)
		claimed = append(claimed, r)
		b := record(r)
		have := len(b) - rng.IntN(2)*rng.IntN(int(r.Size))
		if have < len(b) {
			ends = append(ends, len(file)+len(b))
		}
		file = append(file, b[:have]...)
		borders[len(file)] = true
	}
	return file, claimed, !slices.ContainsFunc(ends, func(end int) bool { return borders[end] || borders[end-1] || borders[end+1] })
}

// checkAccounted fails the test if memory that the headers claim is neither there nor
// in a gap. Where a gap has no range, or begins at a header that was not believed, that
// can't be told.
func checkAccounted(t *testing.T, f *File, claimed []physRange) {
	t.Helper()
	have := append([]physRange(nil), f.Ranges()...)
	for _, g := range f.Gaps() {
		if g.Place.Physical().Size == 0 || errors.Is(g, ErrAmbiguous) {
			return
		}
		have = append(have, g.Place.Physical())
	}
	if d := cmp.Diff(vmem.NormalizeRanges(claimed), vmem.NormalizeRanges(have)); d != "" {
		t.Errorf("claimed and accounted for (-want +got):\n%s", d)
	}
}

func TestNotLiME(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file string
		want string
	}{
		{"", "it is empty"},
		{"EM", "it begins with 45 4d"},
		{"LiME\x00\x00\x00\x01" + string(make([]byte, 24)), "big-endian"},
		{"EMiL\x02\x00\x00\x00" + string(make([]byte, 24)), "version 2"},
		{"EMiL\x01\x00\x00\x00\x01" + string(make([]byte, 23)), "memory from 0x1 to 0x0"},
		{"AVML\x01\x00\x00\x00" + string(make([]byte, 24)), "AVML"},
		{"\x7fELF\x02\x01\x01" + string(make([]byte, 57)), "kcore"},
		{"\x38\x8d" + string(make([]byte, 30)), "zlib"},
		{string(make([]byte, 4096)), "zeros"},
		{"something else, and long enough for a header", "it begins with 73 6f 6d 65 74 68 69 6e"},
	}
	for _, tt := range tests {
		f, err := NewFile(bytes.NewReader([]byte(tt.file)), int64(len(tt.file)))
		if f != nil || !errors.Is(err, ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte(tt.want)) {
			t.Errorf("%.8q: %v; want %v and %q", tt.file, err, ErrFormat, tt.want)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	plain := image(record(mem(0x1000, 0x4000)), record(mem(0x8000, 0x100)))
	var packed bytes.Buffer
	w := lz4.NewWriter(&packed)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{plain, packed.Bytes()} {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		checkMemory(t, f, []physRange{mem(0x1000, 0x4000), mem(0x8000, 0x100)})
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		checkMemory(t, open(t, file), []physRange{mem(0x1000, 0x4000), mem(0x8000, 0x100)})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bad); !errors.Is(err, ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte(bad)) {
		t.Errorf("not LiME: %v", err)
	}
}

func TestReadErrorIsNotDamage(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	if _, err := NewFile(failing{broken}, 100); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("NewFile: %v, want %v alone", err, broken)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

var errBlock = errors.New("damaged block")

// unreadable is a file of which a part can't be read.
type unreadable struct {
	io.ReaderAt
	first, end int64
}

func (u unreadable) ReadAt(p []byte, off int64) (int, error) {
	if off < u.end && off+int64(len(p)) > u.first {
		n, _ := u.ReaderAt.ReadAt(p[:max(0, u.first-off)], off)
		return n, errBlock
	}
	return u.ReaderAt.ReadAt(p, off)
}

// The search for a header passes over what can't be read, to the byte.
func TestSearchPassesOverUnreadable(t *testing.T) {
	t.Parallel()
	a, b, c := mem(0x1000, 0x9000), mem(0x100000, 0x5000), mem(0x200000, 0x300)
	file := image(record(a)[:32+0x4000], record(b), record(c))
	for _, first := range []int64{0x2000, 0x2001, 0x4000} {
		r := unreadable{bytes.NewReader(file), first, 32 + 0x4000}
		f, err := NewFile(r, int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]physRange{mem(0x1000, 0x4000), b, c}, f.Ranges()); d != "" {
			t.Errorf("ranges (-want +got):\n%s", d)
		}
		checkGaps(t, f, []lost{
			{32 + 0x4000, mem(0x5000, 0x5000), ErrShort},
			{first, mem(0x1000+uint64(first)-32, 32+0x4000-uint64(first)), errBlock},
		})
	}
}
