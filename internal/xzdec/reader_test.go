package xzdec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
)

func TestReader(t *testing.T) {
	t.Parallel()
	for name, want := range contents() {
		file := fixture(t, name)
		if err := iotest.TestReader(NewReader(iotest.HalfReader(bytes.NewReader(file))), want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got bytes.Buffer
		n, err := io.Copy(&got, NewReader(iotest.DataErrReader(bytes.NewReader(file))))
		if err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d of %d bytes, %v", name, n, len(want), err)
		}
	}
}

// TestReaderFails has a source that fails in the middle.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("bad disk")
	file, want := fixture(t, "small"), contents()["small"]
	for n := range file {
		var got bytes.Buffer
		_, err := io.Copy(&got, NewReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(failure))))
		fault, ok := errors.AsType[*checkpoint.FormatError](err)
		if !ok || fault.Offset != int64(n) || !errors.Is(err, failure) || !bytes.HasPrefix(want, got.Bytes()) {
			t.Fatalf("%d bytes of the file: %v", n, err)
		}
	}
}

// TestReaderMismatch damages a check: that is an error, behind the content.
func TestReaderMismatch(t *testing.T) {
	t.Parallel()
	file := fixture(t, "crc32")
	file[len(file)-25] ^= 1
	got, err := io.ReadAll(NewReader(bytes.NewReader(file)))
	if _, ok := errors.AsType[*checkpoint.Mismatch](err); !ok || !bytes.Equal(got, packtest.Text()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Decoding is taken up behind the first block.
func Example() {
	file, err := os.ReadFile("testdata/blocks.xz")
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := Format.NewDecoder(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := d.Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(p), "bytes")
	d, err = Format.NewDecoder(bytes.NewReader(file), int64(len(file)), d.State())
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err = d.Next()
	fmt.Printf("%.40q %v\n", p, err)
	// Output:
	// 50000 bytes
	// "0000834 is mapped, dirty and referenced\n" <nil>
}
