package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// The inputs that testdata/README.md describes.
var (
	text  = packtest.Text
	yes   = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("nodelens\n"), 1000000) })
	mixed = sync.OnceValue(func() []byte { return bytes.Join([][]byte{text(), packtest.Noise(70000), text()}, nil) })
	twice = sync.OnceValue(func() []byte { return bytes.Join([][]byte{text(), text()}, nil) })
)

// fixtures says what the files in testdata decode to.
var fixtures = map[string]func() []byte{
	"text.gz":             text,
	"mixed.gz":            mixed,
	"yes.gz":              yes,
	"members.gz":          twice,
	"pigz.gz":             mixed,
	"pigz-independent.gz": text,
	"pigz.zz":             mixed,
	"zopfli.gz":           text,
	"7z.gz":               mixed,
	"lime.zz":             mixed,
	"fixed.zz":            text,
	"huffman.zz":          text,
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// formatOf returns the format that a fixture has by its name.
func formatOf(name string) checkpoint.Format {
	if strings.HasSuffix(name, ".zz") {
		return Zlib
	}
	return Gzip
}

// decode returns the whole content of a file up to an error that is no mismatch, and the
// mismatches. Where again is not nil, decoding is taken up anew behind each piece for
// which it returns true.
func decode(f checkpoint.Format, file []byte, again func() bool) (content []byte, doubts []*checkpoint.Mismatch, err error) {
	d, err := f.NewDecoder(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		return nil, nil, err
	}
	for {
		piece, err := d.Next()
		content = append(content, piece...)
		if m, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			doubts = append(doubts, m)
		} else if err != nil {
			return content, doubts, err
		}
		if s := d.State(); s != nil && again != nil && again() {
			if d, err = f.NewDecoder(bytes.NewReader(file), int64(len(file)), s); err != nil {
				return content, doubts, fmt.Errorf("taken up at %d: %w", len(content), err)
			}
		}
	}
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	for name, want := range fixtures {
		for _, again := range []func() bool{nil, func() bool { return true }} {
			got, doubts, err := decode(formatOf(name), fixture(t, name), again)
			if !bytes.Equal(got, want()) || len(doubts) > 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s, taken up again %v: %d bytes, %v, %v; want %d", name, again != nil, len(got), doubts, err, len(want()))
			}
		}
	}
}

// Wherever a file is cut off there is a beginning of its content, which is no shorter
// than compress/flate's, and an error that says so.
func TestCutAnywhere(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	for name, content := range fixtures {
		file, want := fixture(t, name), content()
		rng := rand.New(rand.NewPCG(5, 6))
		for n := 20; n < len(file); n += 1 + rng.IntN(len(file)/10) {
			if name == "members.gz" && n > len(file)-1000 {
				break
			}
			got, doubts, err := decode(formatOf(name), file[:n], nil)
			fe, ok := errors.AsType[*checkpoint.FormatError](err)
			if !ok || !errors.Is(err, io.ErrUnexpectedEOF) || len(doubts) > 0 || fe.Offset > int64(n) || fe.Offset < int64(n)-20 && len(got) > 0 {
				t.Errorf("%s, first %d bytes: %v, %v", name, n, doubts, err)
			}
			if !bytes.HasPrefix(want, got) {
				t.Fatalf("%s, first %d bytes: wrong content", name, n)
			}
			if ref := reference(name, file[:n]); !bytes.HasPrefix(got, ref) {
				t.Errorf("%s, first %d bytes: %d bytes of content, compress/flate has %d", name, n, len(got), len(ref))
			}
		}
	}
}

// reference returns what compress/flate finds in a file of one stream with a header of
// the least size; nil for others.
func reference(name string, file []byte) []byte {
	switch {
	case strings.HasSuffix(name, ".zz"):
		file = file[2:]
	case file[3] == 0 && name != "members.gz":
		file = file[10:]
	default:
		return nil
	}
	content, _ := io.ReadAll(flate.NewReader(bytes.NewReader(file)))
	return content
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	gz, zz := fixture(t, "text.gz"), fixture(t, "lime.zz")
	members := fixture(t, "members.gz")
	first := bytes.Index(members[1:], members[:4]) + 1
	change := func(file []byte, at int) []byte {
		file = bytes.Clone(file)
		file[at] ^= 0x10
		return file
	}
	for _, test := range []struct {
		format checkpoint.Format
		file   []byte
		want   checkpoint.Mismatch
		all    []byte
	}{
		{Gzip, change(gz, len(gz)-8), checkpoint.Mismatch{Offset: int64(len(gz)) - 8, What: "CRC-32", Size: int64(len(text()))}, text()},
		{Gzip, change(gz, len(gz)-1), checkpoint.Mismatch{Offset: int64(len(gz)) - 4, What: "length", Size: int64(len(text()))}, text()},
		{Gzip, change(members, first-6), checkpoint.Mismatch{Offset: int64(first) - 8, What: "CRC-32", Size: int64(len(text()))}, twice()},
		{Zlib, change(zz, len(zz)-1), checkpoint.Mismatch{Offset: int64(len(zz)) - 4, What: "Adler-32", Size: int64(len(mixed()))}, mixed()},
	} {
		got, doubts, err := decode(test.format, test.file, nil)
		if !bytes.Equal(got, test.all) || len(doubts) != 1 || *doubts[0] != test.want || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes, %v, %v; want %v", len(got), doubts, err, test.want)
		}
	}
}

// gzipOf puts a stored block of a text behind a gzip header (RFC 1952, section 2.3).
func gzipOf(header []byte, content string) []byte {
	b := append(bytes.Clone(header), 1)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(content)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(content)))
	b = append(b, content...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(content)))
	return binary.LittleEndian.AppendUint32(b, uint32(len(content)))
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	all := "\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\x03" + "\x2c\x01" + long + "name" + long + "\x00" + "comment\x00"
	sum := binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE([]byte(all))))
	wrong := []byte{sum[0] ^ 1, sum[1]}
	for name, test := range map[string]struct {
		format checkpoint.Format
		file   []byte
		want   string
	}{
		"all fields":       {Gzip, gzipOf(append([]byte(all), sum...), "abc"), "abc [] EOF"},
		"wrong header sum": {Gzip, gzipOf(append([]byte(all), wrong...), "abc"), "abc [file offset 0x271: CRC-16 of the gzip header does not fit the content] EOF"},
		"cut name":         {Gzip, []byte(all[:400]), " [] file offset 0x190: gzip header: unexpected EOF"},
		"method":           {Gzip, []byte("\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x03"), " [] file offset 0xa: gzip header with method 7 and flags 0x0, which are not known"},
		"flags":            {Gzip, []byte("\x1f\x8b\x08\x20\x00\x00\x00\x00\x00\x03"), " [] file offset 0xa: gzip header with method 8 and flags 0x20, which are not known"},
		"behind":           {Gzip, append(gzipOf([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), "abc"), "\x00\x00behind it"...), "abc [] file offset 0x1c: no header of a gzip member"},
		"no zlib":          {Zlib, []byte("\x78\x9d\x03\x00\x00\x00\x00\x01"), " [] file offset 0x2: no zlib header"},
		"dictionary":       {Zlib, []byte("\x78\xbb\x03\x00\x00\x00\x00\x01"), " [] file offset 0x2: zlib stream that needs a dictionary, which is not supported"},
		"empty":            {Zlib, []byte("\x78\x9c\x03\x00\x00\x00\x00\x01"), " [] EOF"},
		"no checksum":      {Zlib, []byte("\x78\x9c\x4b\x04\x00"), "a [] file offset 0x5: Adler-32 behind the zlib stream: unexpected EOF"},
		"bytes behind":     {Zlib, []byte("\x78\x9c\x03\x00\x00\x00\x00\x01\x00x"), " [] file offset 0x9: bytes behind the end of the zlib stream"},
		"block type":       {Zlib, []byte("\x78\x9c\x07\x00\x00\x00\x00\x01"), " [] file offset 0x2: block of type 3, which does not exist"},
		"far match":        {Zlib, []byte("\x78\x9c\x4b\x04\x42\x00\x00"), "a [] file offset 0x3: match that reaches back before the content"},
	} {
		content, doubts, err := decode(test.format, test.file, nil)
		if got := fmt.Sprint(string(content), " ", doubts, " ", err); got != test.want {
			t.Errorf("%s: %s\nwant %s", name, got, test.want)
		}
	}
}

// A disk that breaks is not a file that ends.
func TestReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken disk")
	file := fixture(t, "7z.gz")
	d, err := Gzip.NewDecoder(failAt{bytes.NewReader(file), 40000, broken}, int64(len(file)), nil)
	for err == nil {
		_, err = d.Next()
	}
	if fe, ok := errors.AsType[*checkpoint.FormatError](err); !ok || !errors.Is(err, broken) || fe.Offset > 40000 {
		t.Errorf("%v, want %v before offset 40000", err, broken)
	}
}

// failAt fails reads that go beyond limit.
type failAt struct {
	io.ReaderAt
	limit int64
	err   error
}

func (f failAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.limit {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}
