package capture

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/lime"
)

// ErrUnknownFormat is the error for a name that is no image format's.
var ErrUnknownFormat = errors.New("unknown image format")

// A Format is an image format that Run writes.
type Format uint8

const (
	// FormatLiME is LiME, version 1: not compressed, read by every tool.
	FormatLiME Format = iota
	// FormatAVML is AVML, version 2: records as LiME's, each with Snappy frames. Blocks
	// that hold only zeros, which AVML itself leaves out, are there.
	FormatAVML
	// FormatLiMELZ4 is a LiME image in one LZ4 frame of blocks of 256 KiB with checksums,
	// and behind it the manifest in a skippable frame (LZ4 Frame Format, "Skippable
	// Frames"), which unpacking drops.
	FormatLiMELZ4
)

// newWriter returns what writes an image of format f to w, and a function that ends it.
func newWriter(f Format, w io.Writer) (*lime.Writer, func() error, error) {
	done := func() error { return nil }
	switch f {
	case FormatLiME:
		return lime.NewWriter(w), done, nil
	case FormatAVML:
		return lime.NewAVMLWriter(w), done, nil
	case FormatLiMELZ4:
		frame, err := newLZ4Writer(w)
		return lime.NewWriter(frame), frame.Close, err
	}
	return nil, nil, fmt.Errorf("capture: %w: %v", ErrUnknownFormat, f)
}

// formatNames are the names of the formats, by their values.
var formatNames = []string{"lime", "avml", "lime.lz4"}

// ParseFormat returns the format of a name that String gives. The error wraps
// ErrUnknownFormat.
func ParseFormat(name string) (Format, error) {
	i := slices.Index(formatNames, name)
	if i < 0 {
		return 0, fmt.Errorf("capture: %w %q: there are %q", ErrUnknownFormat, name, formatNames)
	}
	return Format(i), nil
}

// String returns lime, avml or lime.lz4.
func (f Format) String() string {
	if int(f) >= len(formatNames) {
		return fmt.Sprintf("Format(%d)", uint8(f))
	}
	return formatNames[f]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseFormat].
func (f *Format) UnmarshalText(b []byte) error {
	v, err := ParseFormat(string(b))
	if err != nil {
		return err
	}
	*f = v
	return nil
}
