package seekable

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// maxParked is how many decoders wait for somebody to read on where they are.
const maxParked = 4

// A cursor is a decoder on its way through the content.
type cursor struct {
	r     *Reader
	dec   checkpoint.Decoder
	piece []byte // decoded and not yet taken
	pos   int64  // in the content, of what comes next
	hole  int64  // how much of that is lost
	err   error  // that comes behind the piece
	first bool   // it makes the first pass, and never changes
}

// cursorAt returns a cursor at pos or before, as near as can be had.
func (r *Reader) cursorAt(pos int64) (*cursor, error) {
	p := r.states.nearest(pos)
	r.mu.Lock()
	best := -1
	for i, c := range r.parked {
		if c.pos <= pos && c.pos >= p.off && (best < 0 || c.pos > r.parked[best].pos) {
			best = i
		}
	}
	if best >= 0 {
		c := r.parked[best]
		r.parked = slices.Delete(r.parked, best, best+1)
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	c := &cursor{r: r, pos: p.off}
	return c, c.begin(p)
}

// park keeps a cursor for whoever reads on.
func (r *Reader) park(c *cursor) {
	if c.err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.parked) == maxParked {
		r.parked = slices.Delete(r.parked, 0, 1)
	}
	r.parked = append(r.parked, c)
}

// begin begins to decode at a point. Where the file is damaged there, it begins with a
// hole up to the next place.
func (c *cursor) begin(p point) error {
	at, err := p.state(c.r.packs)
	if err == nil {
		c.dec, err = c.r.format.NewDecoder(c.r.file, c.r.file.size, at)
	}
	if err != nil {
		return c.fail(err)
	}
	return nil
}

// read fills buf with what comes next. Where there is less it returns an error: io.EOF at
// the end of the content, or of reading the file.
func (c *cursor) read(buf []byte) (n int, err error) {
	for n < len(buf) {
		if c.hole > 0 {
			// What is lost is never shown: Reader.read asks for damage first.
			k := int(min(c.hole, int64(len(buf)-n)))
			clear(buf[n : n+k])
			n += k
			c.take(k)
			continue
		}
		if len(c.piece) == 0 {
			if err := c.more(); err != nil {
				return n, err
			}
			continue
		}
		k := copy(buf[n:], c.piece)
		n += k
		c.take(k)
	}
	return n, nil
}

// skip passes over n bytes.
func (c *cursor) skip(n int64) error {
	for n > 0 {
		if c.hole == 0 && len(c.piece) == 0 {
			if err := c.more(); err != nil {
				if errors.Is(err, io.EOF) {
					return errChanged
				}
				return err
			}
			continue
		}
		k := int(min(n, max(c.hole, int64(len(c.piece))), 1<<30))
		c.take(k)
		n -= int64(k)
	}
	return nil
}

// take passes over n bytes of the hole or of the piece.
func (c *cursor) take(n int) {
	c.pos += int64(n)
	if c.hole > 0 {
		if c.hole -= int64(n); c.hole == 0 {
			c.afterHole()
		}
		return
	}
	c.piece = c.piece[n:]
}

// more decodes the next piece, or makes a hole where the file is damaged.
func (c *cursor) more() error {
	if c.err != nil {
		return c.err
	}
	c.r.states.offer(c.pos, c.dec, c.first && c.r.packs.room())
	piece, err := c.dec.Next()
	if m, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
		c.r.note(Damage{
			Offset: m.Offset,
			Start:  max(0, c.pos-m.Size),
			Err:    fmt.Errorf("%s does not fit the %d bytes before it", m.What, m.Size),
		})
		err = nil
	}
	c.piece = piece
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && c.r.indexed && c.pos < c.r.reached.Load():
		err = &checkpoint.FormatError{Offset: c.r.file.size, Err: errShort}
	}
	return c.fail(err)
}

// fail deals with an error of decoding: what an indexed file has lost is a hole up to
// the next place.
func (c *cursor) fail(err error) error {
	if !c.r.indexed || isReadError(err) || errors.Is(err, io.EOF) {
		c.err = err
		return err
	}
	next := c.r.states.placeAfter(c.pos, c.r.reached.Load())
	d := lossFrom(c.pos, err)
	d.Size = next - c.pos
	c.r.note(d)
	c.piece, c.hole = nil, d.Size
	return nil
}

// afterHole goes on behind a hole.
func (c *cursor) afterHole() {
	if c.pos >= c.r.reached.Load() {
		c.err = io.EOF
		return
	}
	if err := c.begin(c.r.states.nearest(c.pos)); err != nil {
		c.err = err
	}
}
