package lzo

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A vector is a block that liblzo2 wrote.
type vector struct {
	name, sum string
	size      int // of its content
	block     []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("testdata/contents.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []vector
	for s := bufio.NewScanner(f); s.Scan(); {
		var v vector
		if _, err := fmt.Sscan(s.Text(), &v.sum, &v.size, &v.name); err != nil {
			t.Fatal(err)
		}
		if v.block, err = os.ReadFile(filepath.Join("testdata", v.name)); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestDecode(t *testing.T) {
	for _, v := range vectors(t) {
		got := make([]byte, v.size)
		n, err := Decode(got, v.block)
		if sum := fmt.Sprintf("%x", sha256.Sum256(got[:n])); err != nil || sum != v.sum {
			t.Errorf("%s: %d bytes, %v, SHA-256 %s, want %d and %s", v.name, n, err, sum, v.size, v.sum)
		}
		room := make([]byte, v.size+100)
		if m, err := Decode(room, v.block); m != n || err != nil || !bytes.Equal(room[:m], got) {
			t.Errorf("%s with room to spare: %d bytes, %v", v.name, m, err)
		}
		if v.size == 0 {
			continue
		}
		if _, err := Decode(got[:v.size-1], v.block); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, one byte too little room: %v", v.name, err)
		}
	}
}

// A block that is cut off or goes on is never taken for whole.
func TestDecodeCut(t *testing.T) {
	dst := make([]byte, 1<<17)
	for _, v := range vectors(t) {
		for n := range min(len(v.block), 600) {
			if _, err := Decode(dst, v.block[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s cut to %d bytes: %v", v.name, n, err)
			}
		}
		if _, err := Decode(dst, append(bytes.Clone(v.block), 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s and one byte more: %v", v.name, err)
		}
	}
}

func TestDecodeHostile(t *testing.T) {
	for name, block := range map[string]string{
		"nothing":                    "",
		"match before the beginning": "\x12a\x40\x01\x11\x00\x00",
		"long literal length":        strings.Repeat("\x00", 1<<20),
		"long match length":          "\x12a\x20" + strings.Repeat("\x00", 1<<20),
		"LZO-RLE":                    "\x11\x01\x12a\x11\x00\x00",
		"no end":                     "\x14abc",
	} {
		if n, err := Decode(make([]byte, 4096), []byte(block)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// The instructions are those of the kernel's documentation (Documentation/staging/lzo.rst), written by hand: a literal, runs of zeros with literals behind them, a
// match whose bits are near those of a run, and the end. What the kernel itself wrote is read in package swap.
func TestDecodeRLE(t *testing.T) {
	end := "\x11\x00\x00"
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for _, test := range []struct{ name, block, want string }{
		{"shortest run", "\x11\x01\x12a\x18\xfc\xff\x00" + end, "a" + zeros(4)},
		{"longest run", "\x11\x01\x12a\x1f\xfc\xff\xff" + end, "a" + zeros((0xff<<3|7)+4)},
		{"literals behind it", "\x11\x01\x12a\x19\xfe\xff\x01bc" + end, "a" + zeros((8|1)+4) + "bc"},
		{"two runs", "\x11\x01\x12a\x18\xfd\xff\x01b\x1a\xfc\xff\x00" + end, "a" + zeros(12) + "b" + zeros(6)},
		{"no run", "\x11\x01\x14abc" + end, "abc"},
		{"version 0", "\x14abc" + end, "abc"},
	} {
		dst := make([]byte, 4096)
		n, err := DecodeRLE(dst, []byte(test.block))
		if err != nil || string(dst[:n]) != test.want {
			t.Errorf("%s: %d bytes, %v, want %d", test.name, n, err, len(test.want))
		}
		if _, err := DecodeRLE(dst[:len(test.want)-1], []byte(test.block)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, one byte too little room: %v", test.name, err)
		}
		for cut := range len(test.block) {
			if _, err := DecodeRLE(dst, []byte(test.block[:cut])); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v", test.name, cut, err)
			}
		}
	}
	for _, v := range vectors(t) { // none of them begins as a block that says its version does
		got := make([]byte, v.size)
		if n, err := DecodeRLE(got, v.block); err != nil || fmt.Sprintf("%x", sha256.Sum256(got[:n])) != v.sum {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

func TestDecodeAllocs(t *testing.T) {
	all := vectors(t)
	dst := make([]byte, 1<<17)
	if n := testing.AllocsPerRun(10, func() {
		for _, v := range all {
			if _, err := Decode(dst, v.block); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode checks that the content does not depend on the room there is, and that
// nothing is written behind it.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.block[:min(len(v.block), 400)])
	}
	f.Add([]byte("\x12a\x20\x00\x00\x05\x00\x00\x11\x00\x00"))
	f.Fuzz(func(t *testing.T, block []byte) {
		dst := make([]byte, 8192)
		n, err := Decode(dst, block)
		if n > len(dst) || len(bytes.Trim(dst[n:], "\x00")) > 0 {
			t.Fatalf("%d bytes, %v, and more behind them", n, err)
		}
		if err != nil {
			return
		}
		exact := make([]byte, n)
		if m, err := Decode(exact, block); m != n || err != nil || !bytes.Equal(exact, dst[:n]) {
			t.Fatalf("%d bytes of %d, %v", m, n, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	dst := make([]byte, 1<<17)
	for _, v := range vectors(b) {
		if !strings.HasPrefix(v.name, "text") {
			continue
		}
		b.Run(v.name, func(b *testing.B) {
			b.SetBytes(int64(v.size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(dst, v.block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
