package xzdec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// memory returns n bytes that compress about as the memory of a machine does: zeros,
// text, pointers, code, and pages without pattern.
func memory(n int) []byte {
	b := make([]byte, 0, n+4096)
	rng := rand.New(rand.NewPCG(1, 2))
	lines, opcodes := packtest.Text(), code()
	for len(b) < n {
		end := len(b) + 4096
		switch rng.IntN(6) {
		case 0:
			b = append(b, make([]byte, 4096)...)
		case 1:
			b = append(b, lines[rng.IntN(len(lines)-4096):][:4096]...)
		case 2:
			b = append(b, opcodes[rng.IntN(len(opcodes)-4096):][:4096]...)
		case 3:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
			}
		case 4:
			from := rng.IntN(len(b) + 1)
			b = append(b, b[from:min(len(b), from+rng.IntN(4096))]...)
		default:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, 0xffff888000000000|rng.Uint64N(1<<20)<<6)
			}
		}
	}
	return b[:n]
}

// command packs content with the xz command.
func command(t testing.TB, content io.Reader, options ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("xz")
	if err != nil {
		t.Skip(err)
	}
	c := exec.CommandContext(t.Context(), path, append([]string{"-c"}, options...)...)
	c.Stdin, c.Stderr = content, os.Stderr
	file, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// options are those of xz that make a difference to a decoder.
var options = [][]string{
	{"-0"}, {"-1"}, {"-3"}, {"-6"}, {"-9e"}, {"-0", "-C", "sha256"}, {"-2", "-C", "crc32"},
	{"-1", "--block-size=300000"}, {"-T2", "-1", "--block-size=500000"}, {"-1", "--flush-timeout=1"},
	{"--lzma2=preset=1,dict=64KiB"}, {"--lzma2=preset=1,dict=192KiB,lc=4,pb=0"}, {"--lzma2=preset=1,lc=1,lp=3,pb=4"},
	{"--lzma2=preset=0,nice=2,mf=hc3"}, {"--delta=dist=8", "--lzma2=preset=1,dict=96KiB"},
	{"--x86", "--lzma2=preset=1,dict=64KiB"}, {"--x86", "--x86=start=65536", "--delta=dist=256", "--lzma2=preset=1"},
}

// TestCommand takes up files made by the xz command at every checkpoint.
func TestCommand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("whole images take long")
	}
	whole := testimages.Trials(1<<20, 600_000)
	for _, size := range []int{1, 5, whole} {
		content := memory(size)
		for _, o := range options {
			t.Run(fmt.Sprint(size, o), func(t *testing.T) {
				t.Parallel()
				n := checkStates(t, command(t, bytes.NewReader(content), o...), content)
				if n < size/250_000 {
					t.Errorf("%d checkpoints", n)
				}
			})
		}
	}
}

// TestImage decodes a part of an image that xz packs, and takes it up at many places.
func TestImage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("whole images take long")
	}
	want := image(t, int64(testimages.Trials(16<<20, 8<<20)))
	for _, o := range [][]string{{"-1"}, {"-0", "-T2", "--block-size=4000000"}} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			t.Parallel()
			checkWhole(t, command(t, bytes.NewReader(want), o...), want)
		})
	}
}

// image returns the first n bytes of an image.
func image(t testing.TB, n int64) []byte {
	t.Helper()
	f, err := os.Open(testimages.Named(t, "s-6.1").Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkWhole compares the content of a file, and what follows every 20th checkpoint.
func checkWhole(t *testing.T, file, want []byte) {
	t.Helper()
	d := open(t, file, nil)
	for off, n := 0, 0; ; n++ {
		if s := d.State(); s != nil && n%20 == 0 {
			checkPieces(t, open(t, file, s), want[off:])
		}
		p, err := d.Next()
		if errors.Is(err, io.EOF) && off == len(want) {
			return
		}
		if err != nil || off+len(p) > len(want) || !bytes.Equal(p, want[off:off+len(p)]) {
			t.Fatalf("at %d: %d bytes, %v", off, len(p), err)
		}
		off += len(p)
	}
}

// checkPieces compares the next pieces with the beginning of want.
func checkPieces(t *testing.T, d checkpoint.Decoder, want []byte) {
	t.Helper()
	for range 3 {
		p, err := d.Next()
		if errors.Is(err, io.EOF) && len(want) == 0 {
			return
		}
		if err != nil || !bytes.HasPrefix(want, p) {
			t.Fatalf("%d bytes before the end: %d bytes, %v", len(want), len(p), err)
		}
		want = want[len(p):]
	}
}
