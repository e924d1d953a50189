package capture

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
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
	// FormatELFZstd is an ELF core of physical memory with the note VMCOREINFO behind its header, in zstd frames of 256 KiB with
	// checksums, behind them the manifest in a skippable frame, and the table of the Zstandard Seekable Format; zstd -d unpacks it. It is the form for
	// object storage: what is read of it are the frames that are needed. Its program headers are at the end: of an image that was cut off nobody
	// can tell what is where.
	FormatELFZstd
)

// A writer writes an image: the memory record by record, and then what it ends with. Of those forms that have a place for the manifest, as inside says, what close
// is given is the manifest in a skippable frame; of others it is nil.
type writer struct {
	memory interface {
		WriteBytes(start vmem.PhysAddr, data []byte) error
	}
	inside bool
	end    func() error                // of the memory
	close  func(manifest []byte) error // writes the manifest, where inside
}

// newWriter returns what writes the image of c to w.
func (c *capture) newWriter(w io.Writer) (*writer, error) {
	switch c.opts.Format {
	case FormatLiME:
		return &writer{memory: lime.NewWriter(w)}, nil
	case FormatAVML:
		return &writer{memory: lime.NewAVMLWriter(w)}, nil
	case FormatLiMELZ4:
		return newLiMELZ4Writer(w)
	case FormatELFZstd:
		z, err := newZstdWriter(w)
		if err != nil {
			return nil, err
		}
		e, err := newELFWriter(z, uint64(c.total), c.manifest.VMCoreInfo, directMap(c.core.Segments()))
		return &writer{memory: e, inside: true, end: func() error { return errors.Join(e.end(), z.Flush()) }, close: z.Close}, err
	}
	return nil, fmt.Errorf("capture: %w: %v", ErrUnknownFormat, c.opts.Format)
}

// newLiMELZ4Writer returns what writes LiME in a frame of LZ4.
func newLiMELZ4Writer(w io.Writer) (*writer, error) {
	frame, err := newLZ4Writer(w)
	return &writer{memory: lime.NewWriter(frame), inside: true, end: frame.Close, close: func(manifest []byte) error {
		_, err := w.Write(manifest)
		return err
	}}, err
}

// formatNames are the names of the formats, by their values.
var formatNames = []string{"lime", "avml", "lime.lz4", "elf.zst"}

// ParseFormat returns the format of a name that String gives. The error wraps
// ErrUnknownFormat.
func ParseFormat(name string) (Format, error) {
	i := slices.Index(formatNames, name)
	if i < 0 {
		return 0, fmt.Errorf("capture: %w %q: there are %q", ErrUnknownFormat, name, formatNames)
	}
	return Format(i), nil
}

// String returns lime, avml, lime.lz4 or elf.zst.
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
