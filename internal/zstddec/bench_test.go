package zstddec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/testimages"
)

// stretch returns size bytes from the middle of a memory image.
func stretch(tb testing.TB, size int) []byte {
	tb.Helper()
	f, err := os.Open(testimages.All(tb)[0].Path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, info.Size()/3); err != nil {
		tb.Fatal(err)
	}
	return b
}

// pack compresses content with the zstd command, or skips where there is none.
func pack(tb testing.TB, content []byte, options ...string) []byte {
	tb.Helper()
	command, err := exec.LookPath("zstd")
	if err != nil {
		tb.Skip(err)
	}
	in := filepath.Join(tb.TempDir(), "content")
	writeFile(tb, in, content)
	file, err := exec.CommandContext(tb.Context(), command, append(options, "-q", "-c", in)...).Output()
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

func writeFile(tb testing.TB, name string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkDecode decodes a memory image, and has klauspost/compress do it.
func BenchmarkDecode(b *testing.B) {
	const size = 64 << 20
	content := stretch(b, size)
	for _, level := range []int{3, 19} {
		file := pack(b, content, fmt.Sprint("-", level))
		b.Run(fmt.Sprintf("level=%d/own", level), func(b *testing.B) {
			benchDecode(b, size, func() (int64, error) {
				d, err := Format.NewDecoder(bytes.NewReader(file), int64(len(file)), nil)
				if err != nil {
					return 0, err
				}
				return count(d)
			})
		})
		b.Run(fmt.Sprintf("level=%d/klauspost", level), func(b *testing.B) {
			benchDecode(b, size, func() (int64, error) {
				z, err := zstd.NewReader(bytes.NewReader(file), zstd.WithDecoderConcurrency(1))
				if err != nil {
					return 0, err
				}
				defer z.Close()
				return io.Copy(io.Discard, z)
			})
		})
	}
}

func benchDecode(b *testing.B, size int64, decode func() (int64, error)) {
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := decode(); n != size || err != nil {
			b.Fatal(n, err)
		}
	}
}

// count returns how many bytes d decodes.
func count(d checkpoint.Decoder) (n int64, err error) {
	for {
		piece, err := d.Next()
		n += int64(len(piece))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// BenchmarkState takes a state with a window of 2 MiB, and goes on from it by a block.
func BenchmarkState(b *testing.B) {
	file := pack(b, stretch(b, 8<<20), "-3")
	d := open(b, file, nil)
	for n := 0; n < 4<<20; {
		piece, err := d.Next()
		if err != nil {
			b.Fatal(err)
		}
		n += len(piece)
	}
	b.Run("take", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.State()
		}
	})
	at := d.State()
	b.Run("resume", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := open(b, file, at).Next(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
