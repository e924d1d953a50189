package seekable_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	kgzip "github.com/klauspost/compress/gzip"
	kzlib "github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/inflate"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/xzdec"
	"github.com/nodelens/nodelens/internal/zstddec"
	"github.com/nodelens/nodelens/vmem"
)

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := kgzip.NewWriterLevel(&b, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, f checkpoint.Format, file []byte, opts *seekable.Options) *seekable.Reader {
	t.Helper()
	r, err := seekable.New(f, bytes.NewReader(file), int64(len(file)), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkContent(t *testing.T, r *seekable.Reader, want []byte) {
	t.Helper()
	if r.Size() != int64(len(want)) {
		t.Errorf("Size() = %d, want %d", r.Size(), len(want))
	}
	got := make([]byte, r.Size()+1)
	n, err := r.ReadAt(got, 0)
	if !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes, %v; want %d equal bytes and EOF", n, err, len(want))
	}
}

// smallest are options by which next to nothing is kept.
var smallest = &seekable.Options{CacheBytes: 1, StateBytes: 200_000, PackedBytes: 1}

// packed is a content in a format, packed by another's encoder.
type packed struct {
	format checkpoint.Format
	file   []byte
}

// packedAll packs content in all formats.
func packedAll(t testing.TB, content []byte) map[string]packed {
	t.Helper()
	all := map[string]packed{"gzip": {inflate.Gzip, gzipped(t, content)}}
	for name, f := range map[string]struct {
		format checkpoint.Format
		open   func(w io.Writer) (io.WriteCloser, error)
	}{
		"zlib": {inflate.Zlib, func(w io.Writer) (io.WriteCloser, error) { return kzlib.NewWriter(w), nil }},
		"xz":   {xzdec.Format, func(w io.Writer) (io.WriteCloser, error) { return xz.WriterConfig{DictCap: 1 << 20}.NewWriter(w) }},
		"zstd": {zstddec.Format, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithWindowSize(1<<20)) }},
	} {
		var b bytes.Buffer
		w, err := f.open(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all[name] = packed{f.format, b.Bytes()}
	}
	return all
}

func TestReader(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(testimages.Trials(2<<20, 1<<19) + 12345)
	for name, p := range packedAll(t, content) {
		for _, opts := range []*seekable.Options{nil, smallest, {CacheBytes: 2 << 20, PackedBytes: 1}, {CacheBytes: 1, PackedBytes: 500_000}, {CacheBytes: 1}} {
			checkContent(t, open(t, p.format, p.file, opts), content)
			r := open(t, p.format, p.file, opts)
			packtest.CheckRandomReads(t, r, content, rand.New(rand.NewPCG(1, 2)), 10, 90_000)
			checkContent(t, r, content)
			if d := r.Damage(); len(d) > 0 {
				t.Errorf("damage %v", d)
			}
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// What was decoded once is not decoded again while there is room to keep it packed, and
// less is where there is room for a part.
func TestPacked(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(8 << 20)
	file := gzipped(t, content)
	read := func(packed int64) int64 {
		counted := &countingReader{r: bytes.NewReader(file)}
		r, err := seekable.New(inflate.Gzip, counted, int64(len(file)), &seekable.Options{CacheBytes: 1, PackedBytes: packed})
		if err != nil {
			t.Fatal(err)
		}
		r.Size()
		once := counted.n
		packtest.CheckRandomReads(t, r, content, rand.New(rand.NewPCG(7, 8)), 30, 90_000)
		return counted.n - once
	}
	none, some, all := read(1), read(1<<20), read(0)
	if all != 0 || some == 0 || some >= none {
		t.Errorf("%d bytes decoded again, %d with some room, %d with enough", none, some, all)
	}
}

// A read decodes no more of a file than it needs.
func TestLazy(t *testing.T) {
	t.Parallel()
	file := gzipped(t, packtest.Memory(8<<20))
	counted := &countingReader{r: bytes.NewReader(file)}
	r, err := seekable.New(inflate.Gzip, counted, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 4096), 0); err != nil || counted.n > int64(len(file))/4 {
		t.Errorf("a read of the beginning: %v, with %d of %d bytes of the file read", err, counted.n, len(file))
	}
	size := r.Size()
	once := counted.n
	for off := int64(0); off < size; off += 1 << 20 {
		if _, err := r.ReadAt(make([]byte, 4096), off); err != nil {
			t.Fatal(err)
		}
	}
	if once > int64(len(file)) || counted.n != once {
		t.Errorf("%d of %d bytes read for the size, and %d after reads of what is in the cache", once, len(file), counted.n)
	}
}

type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(9 << 20)
	file := gzipped(t, content)
	chunks := toyOf(content)
	for _, opts := range []*seekable.Options{nil, smallest, {CacheBytes: 1 << 20, PackedBytes: 1 << 20}} {
		for _, r := range []*seekable.Reader{open(t, inflate.Gzip, file, opts), open(t, chunks, chunks.file, opts)} {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() { packtest.CheckRandomReads(t, r, content, rand.New(rand.NewPCG(uint64(i), 0)), 20, 90_000) })
			}
			wg.Wait()
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(5 << 20)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("gzip", func(t *testing.T) { checkProgress(t, inflate.Gzip, gzipped(t, content)) })
	// The decoder looks for an index at the end of the file: that is no progress.
	t.Run("zstd", func(t *testing.T) { checkProgress(t, zstddec.Format, enc.EncodeAll(content, nil)) })
}

func checkProgress(t *testing.T, format checkpoint.Format, file []byte) {
	t.Helper()
	var calls []int64
	r := open(t, format, file, &seekable.Options{Progress: func(done, total int64) {
		if total != int64(len(file)) || done > total || len(calls) > 0 && done < calls[len(calls)-1] {
			t.Errorf("progress %d of %d after %v; the file has %d bytes", done, total, calls, len(file))
		}
		calls = append(calls, done)
	}})
	if r.Size(); len(calls) < 4 || calls[0] > int64(len(file))/2 {
		t.Errorf("calls %v, of %d", calls, len(file))
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(3 << 20)
	file := gzipped(t, content)
	for _, cut := range []int{len(file) / 3, len(file) / 2, len(file) - 9, len(file) - 1} {
		r := open(t, inflate.Gzip, file[:cut], smallest)
		checkContent(t, r, content[:r.Size()])
		want := []seekable.Damage{{Start: r.Size(), Err: io.ErrUnexpectedEOF}}
		ignore := cmp.Options{cmpopts.IgnoreFields(seekable.Damage{}, "Offset"), cmpopts.EquateErrors()}
		d := r.Damage()
		if diff := cmp.Diff(want, d, ignore); diff != "" {
			t.Fatalf("cut at %d: damage (-want +got):\n%s", cut, diff)
		}
		if d[0].Offset > int64(cut) || d[0].Offset < int64(cut)-10 || !errors.Is(&d[0], vmem.ErrNotCaptured) {
			t.Errorf("cut at %d: %v", cut, &d[0])
		}
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(1 << 20)
	file := gzipped(t, content)
	file[len(file)-8] ^= 1
	r := open(t, inflate.Gzip, file, nil)
	for range 2 {
		checkContent(t, r, content)
		d := r.Damage()
		if len(d) != 1 || d[0].Offset != int64(len(file))-8 || d[0].Start != 0 || d[0].Size != 0 {
			t.Errorf("damage %v, want one without a size", d)
		}
	}
}

// failAt fails reads that go beyond limit.
type failAt struct {
	io.ReaderAt
	limit int64
	err   error
}

func (f *failAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.limit {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	content := packtest.Memory(4 << 20)
	file := gzipped(t, content)
	disk := &failAt{bytes.NewReader(file), 5, broken}
	if _, err := seekable.New(inflate.Gzip, disk, int64(len(file)), nil); !errors.Is(err, broken) {
		t.Errorf("New() = %v, want %v", err, broken)
	}
	disk.limit = int64(len(file)) / 2
	r, err := seekable.New(inflate.Gzip, disk, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, r, content[:r.Size()])
	if d := r.Damage(); len(d) != 1 || !errors.Is(d[0].Err, broken) || d[0].Offset > disk.limit || r.Size() < 1<<20 {
		t.Errorf("a disk that breaks in the middle: size %d, damage %v", r.Size(), d)
	}
	disk.limit = int64(len(file))
	if r, err = seekable.New(inflate.Gzip, disk, int64(len(file)), smallest); err != nil {
		t.Fatal(err)
	}
	r.Size()
	disk.limit = 100
	_, err = r.ReadAt(make([]byte, 1), 3<<20)
	if fe, ok := errors.AsType[*checkpoint.FormatError](err); !ok || !errors.Is(err, broken) || errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("a disk that breaks later: %v, %v; want %v alone, with its place", fe, err, broken)
	}
	if d := r.Damage(); len(d) > 0 {
		t.Errorf("a disk that breaks later is damage: %v", d)
	}
	disk.limit = int64(len(file))
	checkContent(t, r, content)
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("ReadAt(-1) gave no error")
	}
}

// A toy is a format of chunks of toyChunk bytes of content, each behind a byte that is 1
// where the chunk is damaged; it says itself where they are.
type toy struct {
	file []byte
	size int64 // of the content, by the index
}

const toyChunk = 300_000

func toyOf(content []byte) *toy {
	t := &toy{size: int64(len(content))}
	for len(content) > 0 {
		n := min(len(content), toyChunk)
		t.file = append(append(t.file, 0), content[:n]...)
		content = content[n:]
	}
	return t
}

var errToy = errors.New("damaged chunk")

type toyDecoder struct {
	*toy
	r    io.ReaderAt
	pos  int64
	half bool
	buf  [toyChunk / 2]byte
}

func (t *toy) NewDecoder(r io.ReaderAt, _ int64, at *checkpoint.State) (checkpoint.Decoder, error) {
	d := &toyDecoder{toy: t, r: r}
	if at != nil {
		d.pos = at.Rest.(int64)
	}
	return d, nil
}

// Next returns half a chunk; a damaged one breaks off behind its first half.
func (d *toyDecoder) Next() ([]byte, error) {
	var damaged [1]byte
	if n, err := d.r.ReadAt(damaged[:], d.pos); n == 0 {
		return nil, err
	}
	at := d.pos + 1
	if d.half {
		at += toyChunk / 2
	}
	if d.half && damaged[0] != 0 {
		return nil, &checkpoint.FormatError{Offset: at, Err: errToy}
	}
	n, err := d.r.ReadAt(d.buf[:], at)
	if d.half {
		d.pos += 1 + toyChunk
	}
	d.half = !d.half
	if n == 0 {
		return nil, err
	}
	return d.buf[:n], nil
}

func (d *toyDecoder) State() *checkpoint.State { return nil }

func (d *toyDecoder) Index() (places []checkpoint.Place, size int64, ok bool) {
	for i := int64(0); i*toyChunk < d.size; i++ {
		places = append(places, checkpoint.Place{Offset: i * toyChunk, State: checkpoint.State{Rest: i * (1 + toyChunk)}})
	}
	return places, d.size, true
}

// A file with an index loses no more than the parts that are damaged, each up to the
// next place, wherever reading begins.
func TestIndexed(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(10 * toyChunk)
	for name, damaged := range map[string][]int{"none": nil, "first": {0}, "two": {3, 4}, "last": {9}, "some": {1, 5, 9}} {
		chunks := toyOf(content)
		var want []seekable.Damage
		for _, i := range damaged {
			at := i * (1 + toyChunk)
			chunks.file[at] = 1
			want = append(want, seekable.Damage{
				Offset: int64(at) + 1 + toyChunk/2, Start: int64(i)*toyChunk + toyChunk/2, Size: toyChunk / 2, Err: errToy,
			})
		}
		for _, opts := range []*seekable.Options{nil, smallest} {
			r := open(t, chunks, chunks.file, opts)
			survey(t, r, content, want, rand.New(rand.NewPCG(3, 4)))
			if diff := cmp.Diff(want, r.Damage(), cmpopts.EquateErrors()); diff != "" || r.Size() != int64(len(content)) {
				t.Errorf("%s: size %d, damage (-want +got):\n%s", name, r.Size(), diff)
			}
		}
	}
}

// survey reads at random and then everywhere, and checks that all but what is lost is read.
func survey(t *testing.T, r *seekable.Reader, content []byte, lost []seekable.Damage, rng *rand.Rand) {
	t.Helper()
	var starts []int64
	for range 20 {
		starts = append(starts, rng.Int64N(int64(len(content))))
	}
	for off := int64(0); off < int64(len(content)); off += 10_000 {
		starts = append(starts, off)
	}
	for _, off := range starts {
		want := min(int64(10_000), int64(len(content))-off)
		p := make([]byte, want)
		var loss error
		for _, d := range lost {
			if d.Start < off+want && off < d.Start+d.Size {
				want, loss = max(0, d.Start-off), d.Err
				break
			}
		}
		n, err := r.ReadAt(p, off)
		if int64(n) != want || !errors.Is(err, loss) || (loss != nil) != errors.Is(err, vmem.ErrNotCaptured) || !bytes.Equal(p[:n], content[off:off+want]) {
			t.Fatalf("ReadAt(%d) = %d, %v, want %d, %v", off, n, err, want, loss)
		}
	}
}

// What the index tells of and is not there is lost.
func TestIndexTooLong(t *testing.T) {
	t.Parallel()
	content := packtest.Memory(2*toyChunk + 100)
	chunks := toyOf(content)
	chunks.size += 50_000
	r := open(t, chunks, chunks.file, nil)
	want := []seekable.Damage{{Offset: int64(len(chunks.file)), Start: int64(len(content)), Size: 50_000}}
	p := make([]byte, len(content)+1)
	n, err := r.ReadAt(p, 0)
	if n != len(content) || !bytes.Equal(p[:n], content) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("ReadAt() = %d, %v", n, err)
	}
	if diff := cmp.Diff(want, r.Damage(), cmpopts.IgnoreFields(seekable.Damage{}, "Err")); diff != "" {
		t.Errorf("damage (-want +got):\n%s", diff)
	}
}
