package xzdec

// maxDict is how much of a dictionary is kept at most.
const maxDict = 512 << 20

// How much room the window has for new content besides the dictionary: as much as the
// dictionary, within these bounds.
const (
	minRoom = 64 << 10
	maxRoom = 32 << 20
)

// A window is the end of the content before the filters: the dictionary, and what
// was not returned yet. It moves through its buffer to the end, and back at once.
type window struct {
	buf        []byte
	start, end int   // the content since the dictionary was reset, as far as it is kept
	read       int   // how far it was returned
	size       int   // of the dictionary
	whole      int64 // how much content there is since the dictionary was reset
}

// load begins with the content before a checkpoint.
func (w *window) load(content []byte) {
	w.buf = make([]byte, len(content)+min(max(len(content), minRoom), maxRoom))
	w.end = copy(w.buf, content)
	w.read = w.end
}

// bias is what, added to an index of the buffer, gives the content's position since
// the dictionary was reset, but for a multiple of 16.
func (w *window) bias() int { return int(w.whole&0xff) - w.end }

// reset empties the dictionary.
func (w *window) reset() { w.start, w.whole = w.end, 0 }

// dictionary returns what later content may refer to.
func (w *window) dictionary() []byte { return w.buf[max(w.start, w.end-w.size):w.end] }

// reserve makes room for n bytes. What was not returned yet is lost.
func (w *window) reserve(n int) {
	if len(w.buf)-w.end >= n {
		return
	}
	kept, buf := w.dictionary(), w.buf
	if room := max(min(max(len(kept), minRoom), maxRoom), n); len(buf) < len(kept)+room {
		buf = make([]byte, len(kept)+room)
	}
	w.end = copy(buf, kept)
	w.buf, w.start, w.read = buf, 0, w.end
}

// grow says that n bytes were appended.
func (w *window) grow(n int) {
	w.end += n
	w.whole += int64(n)
}

// append appends stored bytes, for which there is room.
func (w *window) append(b []byte) { w.grow(copy(w.buf[w.end:], b)) }

// next returns n bytes at most that were not returned yet.
func (w *window) next(n int) []byte {
	b := w.buf[w.read:min(w.end, w.read+n)]
	w.read += len(b)
	return b
}

// canRepeat says why length bytes that are back+1 bytes before out can't be repeated
// at out, in a buffer that is filled up to limit.
func (w *window) canRepeat(back uint32, length, out, limit int) error {
	switch {
	case uint(back) >= uint(min(out-w.start, w.size)):
		return w.beyond(back, out)
	case length > limit-out:
		return errLength
	}
	return nil
}

// beyond says why nothing is as far back.
func (w *window) beyond(back uint32, out int) error {
	if w.size == maxDict && int64(back) >= maxDict && int64(back) < w.whole+int64(out-w.end) {
		return errFar
	}
	return errDistance
}
