package image

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/vmem"
)

// The smallest images: one page at 0x10000, after the LiME format's README and the ELF
// specification.
var (
	pageOfImage = bytes.Repeat([]byte("page"), 1024)
	limeImage   = encode(0x4C694D45, uint32(1), uint64(0x10000), uint64(0x10fff), uint64(0), pageOfImage)
	// As avml convert (0.20.0) makes it of limeImage.
	avmlImage = encode(
		[]byte("AVML\x02\x00\x00\x00"), uint64(0x10000), uint64(0x10fff), uint64(0),
		[]byte("\xff\x06\x00\x00sNaPpY\x00\xcb\x00\x00\x7d\xdf\x41\x35\x80\x20\x0cpage"),
		bytes.Repeat([]byte("\xfe\x04\x00"), 63), []byte("\xee\x04\x00"), uint64(0xd9),
	)
	elfImage = encode(
		[]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint16(4), uint16(62), uint32(1), // ET_CORE, EM_X86_64
		uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(7), uint64(120), uint64(0), uint64(0x10000), uint64(4096), uint64(4096), uint64(0), // PT_LOAD
		pageOfImage,
	)
)

func encode(fields ...any) []byte {
	var b []byte
	for _, field := range fields {
		if n, ok := field.(int); ok {
			field = uint32(n)
		}
		b, _ = binary.Append(b, binary.LittleEndian, field)
	}
	return b
}

// packers compress files as a whole.
var packers = map[string]func(w io.Writer) (io.WriteCloser, error){
	"LZ4":  func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
	"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"zlib": func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil },
	"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
}

func packed(t *testing.T, data []byte) []byte { return packedBy(t, "LZ4", data) }

func packedBy(t *testing.T, packer string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packers[packer](&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func put(t *testing.T, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOpen(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	for format, data := range map[string][]byte{"LiME": limeImage, "AVML": avmlImage, "ELF core": elfImage} {
		files[format] = data
		for packer := range packers {
			files[format+", "+packer] = packedBy(t, packer, data)
		}
	}
	for format, data := range files {
		f, err := Open(t.Context(), put(t, "image.raw", data), nil)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if f.Info.String() != format || f.Info.Size != int64(len(data)) {
			t.Errorf("%s of %d bytes: taken for %s of %d", format, len(data), f.Info, f.Info.Size)
		}
		want := []vmem.Range[vmem.PhysAddr]{{Start: 0x10000, Size: 4096}}
		if diff := cmp.Diff(want, f.Ranges()); diff != "" {
			t.Errorf("%s: ranges (-want +got):\n%s", format, diff)
		}
		got := make([]byte, 4096)
		if _, err := f.ReadAt(got, 0x10000); err != nil || !bytes.Equal(got, pageOfImage) {
			t.Errorf("%s: page reads %.16q..., %v", format, got, err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// What makedumpfile and QEMU wrote is told from its content.
func TestOpenKdump(t *testing.T) {
	t.Parallel()
	for format, fixture := range map[string]string{
		"kdump, zstd":            "zstd.kdump.gz",
		"kdump, lzo, flattened":  "flat.kdump.gz",
		"kdump, zlib, flattened": "qemu-flat.kdump.gz",
	} {
		dump := kdumpFixture(t, fixture)
		for suffix, data := range map[string][]byte{"": dump, ", LZ4": packed(t, dump)} {
			f, err := Open(t.Context(), put(t, "vmcore", data), nil)
			if err != nil {
				t.Errorf("%s: %v", format, err)
				continue
			}
			b := make([]byte, 5)
			if _, err := f.ReadAt(b, 1<<20); err != nil || string(b) != "cache" || f.Info.String() != format+suffix {
				t.Errorf("%s: taken for %s; %q, %v", format+suffix, f.Info, b, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	cut := packed(t, limeImage)[:20]
	for name, test := range map[string]struct {
		file string
		want error
	}{
		"empty":       {put(t, "image.lime", nil), ErrFormat},
		"text":        {put(t, "image.lime", []byte("EMI, not EMiL")), ErrFormat},
		"packed text": {put(t, "image.lime.lz4", packed(t, pageOfImage)), ErrFormat},
		"missing":     {filepath.Join(t.TempDir(), "image.lime"), fs.ErrNotExist},
		"no name":     {"", fs.ErrNotExist},
	} {
		if f, err := Open(t.Context(), test.file, nil); !errors.Is(err, test.want) || f != nil {
			t.Errorf("%s: %v, %v, want %v", name, f, err, test.want)
		}
	}
	if f, err := Open(t.Context(), put(t, "image.elf", elfImage[:40]), nil); err == nil {
		t.Errorf("ELF header cut off: %v", f)
	}
	if f, err := Open(t.Context(), put(t, "image.lime.lz4", cut), nil); err == nil {
		t.Errorf("LZ4 frame cut off: %v", f)
	}
	if f, err := Open(t.Context(), put(t, "image.lime.gz", packedBy(t, "gzip", limeImage)[:15]), nil); err == nil {
		t.Errorf("gzip header cut off: %v", f)
	}
}

// Progress of decoding is told to whoever opens an image.
func TestOpenProgress(t *testing.T) {
	t.Parallel()
	file := packedBy(t, "gzip", limeImage)
	var stages []string
	f, err := Open(t.Context(), put(t, "image.lime.gz", file), &Options{Progress: func(stage string, done, total int64) {
		if total != int64(len(file)) || done > total {
			t.Errorf("%s: %d of %d; the file has %d bytes", stage, done, total, len(file))
		}
		stages = append(stages, stage)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"unpacking the image"}, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// kdumpFixture returns a dump of package kdump's tests.
func kdumpFixture(t *testing.T, name string) []byte {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "kdump", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}
