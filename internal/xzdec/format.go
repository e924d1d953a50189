package xzdec

import (
	"bytes"
	"errors"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Format is that of .xz files.
var Format checkpoint.Format = format{}

type format struct{}

// Magic numbers, of the specification's sections 2.1.1.1 and 2.1.2.4.
const (
	headerMagic = "\xfd7zXZ\x00"
	footerMagic = "YZ"
)

// Detect reports whether a file that begins with head is an .xz file.
func Detect(head []byte) bool { return bytes.HasPrefix(head, []byte(headerMagic)) }

var errState = errors.New("a checkpoint of another format")

// NewDecoder implements [checkpoint.Format]. What it returns is also a
// [checkpoint.Indexed].
func (format) NewDecoder(r io.ReaderAt, size int64, at *checkpoint.State) (checkpoint.Decoder, error) {
	from := &progress{}
	d := &decoder{file: r, size: size}
	if at != nil {
		var ok bool
		if from, ok = at.Rest.(*progress); !ok {
			return nil, &checkpoint.FormatError{Err: errState}
		}
		d.win.load(at.Window)
	}
	d.progress = from.clone()
	d.win.size, d.win.whole = d.dict, d.whole
	d.in = input{r: io.NewSectionReader(r, from.off, max(0, size-from.off)), base: from.off}
	return d, nil
}
