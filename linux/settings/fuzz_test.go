package settings

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

// FuzzConfig unpacks anything: what comes out is bounded, and is what went in where it is whole.
func FuzzConfig(f *testing.F) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("CONFIG_X86_64=y\n# CONFIG_MODULES is not set\n")); err != nil {
		f.Fatal(err)
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(packed.Bytes())
	f.Add(packed.Bytes()[:20])
	f.Fuzz(func(t *testing.T, packed []byte) {
		text, err := unpackConfig(packed)
		if len(text) > maxConfig {
			t.Fatalf("%d bytes", len(text))
		}
		if err == nil && text != "" && len(packed) < 18 {
			t.Fatalf("%d bytes out of %d", len(text), len(packed))
		}
	})
}

// FuzzBits shows any bitmap: the ranges have as many bits as are set.
func FuzzBits(f *testing.F) {
	f.Add([]byte{0x8e, 0x81}, 16)
	f.Add([]byte{0xff}, 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = min(max(n, 0), 8*len(b))
		text := bitRanges(b, n)
		set := 0
		for i := range n {
			if b[i/8]>>(i%8)&1 != 0 {
				set++
			}
		}
		if (set == 0) != (text == "") || strings.Count(text, ",") >= max(set, 1) {
			t.Fatalf("%d bits of %x are %q", n, b, text)
		}
	})
}
