package zstddec

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// fuzzMost bounds the content that a fuzzed file is decoded to.
const fuzzMost = 4 << 20

// FuzzDecoder checks that any file is decoded without a fault; that going on from any
// stop gives the same; and that what the decoder of klauspost/compress accepts is the
// same content. The seeds in testdata were made by the zstd command.
func FuzzDecoder(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		got, stops, doubts, err := fuzzDrain(t, file, nil)
		if len(got) >= fuzzMost {
			return
		}
		if _, ok := errors.AsType[*checkpoint.FormatError](err); err != nil && !ok {
			t.Fatal(err)
		}
		for i := 0; i < len(stops); i += 1 + len(stops)/4 {
			rest, _, _, again := fuzzDrain(t, file, stops[i].state)
			if !bytes.Equal(rest, got[stops[i].content:]) || (err == nil) != (again == nil) {
				t.Fatalf("from %d: %d bytes, %v; %d and %v from the beginning", stops[i].content, len(rest), again, len(got), err)
			}
		}
		fuzzPlaces(t, file)
		want, other := foreign(file)
		whole := err == nil && doubts == 0
		if other == nil && whole && !bytes.Equal(got, want) {
			t.Fatalf("content of %d bytes differs from the other decoder's %d", len(got), len(want))
		}
		if whole != (other == nil) && !excused(err, other) {
			t.Fatalf("%d doubts, %v; the other decoder: %v", doubts, err, other)
		}
	})
}

// excused reports whether decoders may disagree on a file: where RFC 8878 makes it
// wrong and the other decoder lets it pass, or the other way round. The zstd command
// agrees with ours on all of these.
func excused(err, other error) bool {
	if other != nil && err == nil {
		// Weights that fill their bit stream, with states that extra bits end.
		return strings.HasPrefix(other.Error(), "fse decompress returned")
	}
	return false
}

func fuzzPlaces(t *testing.T, file []byte) {
	t.Helper()
	places, size, ok := open(t, file, nil).(checkpoint.Indexed).Index()
	last := int64(-1)
	for _, p := range places {
		if p.Offset <= last || p.Offset > size || !ok {
			t.Fatalf("place at %d after %d, of %d, %v", p.Offset, last, size, ok)
		}
		last = p.Offset
		if p.Offset > 0 {
			if _, _, _, err := fuzzDrain(t, file, &p.State); err != nil {
				return // damaged, or not as the index says
			}
		}
	}
}

// fuzzDrain is drain, up to fuzzMost bytes and a few stops.
func fuzzDrain(t *testing.T, file []byte, at *checkpoint.State) (content []byte, stops []stop, doubts int, err error) {
	t.Helper()
	d := open(t, file, at)
	for len(content) < fuzzMost {
		if s := d.State(); s != nil && len(stops) < 8 {
			stops = append(stops, stop{len(content), s})
		}
		piece, err := d.Next()
		content = append(content, piece...)
		if _, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			doubts++
		} else if errors.Is(err, io.EOF) {
			return content, stops, doubts, nil
		} else if err != nil {
			return content, stops, doubts, err
		}
	}
	return content, stops, doubts, nil
}

// foreign decodes file with the decoder of klauspost/compress.
func foreign(file []byte) ([]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(file), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(io.LimitReader(z, 2*fuzzMost))
}
