// Package packtest makes contents to compress, for tests of decoders, and checks readers
// of what they decode. The first two functions make what the fixtures of several packages
// hold; a README beside those says by which shell commands they are made.
package packtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// Text returns 3500 lines of 60 bytes. The caller must not change it.
var Text = sync.OnceValue(func() []byte {
	var b []byte
	for i := range 3500 {
		b = fmt.Appendf(b, "page frame %016d is mapped, dirty and referenced\n", i+1)
	}
	return slices.Clip(b) // so that append copies it
})

// Noise returns n bytes without a pattern: the AES-128 key stream of an all-zero key.
func Noise(n int) []byte {
	c, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		panic(err)
	}
	b := make([]byte, n)
	cipher.NewCTR(c, make([]byte, 16)).XORKeyStream(b, b)
	return b
}

// Memory returns n bytes that compress about as the memory of a machine does: of each four
// pages one is zeros, one text, one of pointers, one without pattern.
func Memory(n int) []byte {
	b := make([]byte, 0, n+4096)
	rng := rand.New(rand.NewPCG(1, 2))
	for page := 0; len(b) < n; page++ {
		end := len(b) + 4096
		switch page % 4 {
		case 0:
			b = append(b, make([]byte, 4096)...)
		case 1:
			b = append(b, Text()[rng.IntN(100_000):][:4096]...)
		case 2:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, 0xffff888000000000|rng.Uint64N(1<<20)<<6)
			}
		default:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
			}
		}
	}
	return b[:n]
}

// CheckRandomReads reads r at random places, less than most bytes each time, and compares
// that with what it should hold.
func CheckRandomReads(t *testing.T, r io.ReaderAt, want []byte, rng *rand.Rand, times, most int) {
	p := make([]byte, most)
	for range times {
		off := rng.IntN(len(want) + 100)
		q := p[:rng.IntN(len(p))]
		n, err := r.ReadAt(q, int64(off))
		rest := want[min(off, len(want)):]
		rest = rest[:min(len(rest), len(q))]
		if !bytes.Equal(q[:n], rest) || (err == nil) != (n == len(q)) || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v", len(q), off, n, err)
			return
		}
	}
}
