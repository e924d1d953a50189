package isf

import (
	"bytes"
	"io"
	"runtime"

	"github.com/ulikunitz/xz"
)

// xzPiece is how much of a database is compressed as one stream, in bytes: enough for its
// repetitions, and little enough for several processors.
const xzPiece = 2 << 20

// An xzWriter compresses by xz on all processors: each piece of what is written becomes a
// stream of its own, which readers take for one (section 2.2 of the .xz file format).
type xzWriter struct {
	w     io.Writer
	piece []byte
	turns chan chan packedPiece // of the pieces at work, in their order
	done  chan error            // what became of writing them
}

// A packedPiece is a piece, compressed.
type packedPiece struct {
	data []byte
	err  error
}

func newXZWriter(w io.Writer) *xzWriter {
	x := &xzWriter{w: w, turns: make(chan chan packedPiece, runtime.GOMAXPROCS(0)), done: make(chan error, 1)}
	go x.deliver()
	return x
}

// deliver writes the pieces as they are ready.
func (x *xzWriter) deliver() {
	var failed error
	for turn := range x.turns {
		p := <-turn
		if failed == nil {
			failed = p.err
		}
		if failed == nil {
			_, failed = x.w.Write(p.data)
		}
	}
	x.done <- failed
}

// Write implements [io.Writer]. Errors come from Close.
func (x *xzWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if x.piece == nil {
			x.piece = make([]byte, 0, xzPiece)
		}
		k := min(len(p), xzPiece-len(x.piece))
		x.piece = append(x.piece, p[:k]...)
		p = p[k:]
		if len(x.piece) == xzPiece {
			x.start()
		}
	}
	return n, nil
}

// start compresses the piece in the background, when there is a processor for it.
func (x *xzWriter) start() {
	piece, turn := x.piece, make(chan packedPiece, 1)
	x.piece = nil
	x.turns <- turn
	go func() {
		var b bytes.Buffer
		err := compressXZ(&b, piece)
		turn <- packedPiece{b.Bytes(), err}
	}()
}

func compressXZ(w io.Writer, piece []byte) error {
	z, err := xz.WriterConfig{DictCap: xzPiece}.NewWriter(w)
	if err != nil {
		return err
	}
	if _, err := z.Write(piece); err != nil {
		return err
	}
	return z.Close()
}

// Close compresses the rest, and returns the first error there was.
func (x *xzWriter) Close() error {
	if len(x.piece) > 0 {
		x.start()
	}
	close(x.turns)
	return <-x.done
}
