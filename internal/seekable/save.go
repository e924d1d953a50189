package seekable

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

const (
	// saveVersion is that of the form in which Readers are saved.
	saveVersion = "nodelens index 1\n"
	// saveGap is the least distance of the states that are saved, in the content.
	saveGap = 32 << 20
	// maxSavedStates and maxSavedBlocks bound what is saved, in bytes.
	maxSavedStates = 128 << 20
	maxSavedBlocks = 64 << 20
)

// ErrNotSaved says that the Reader has nothing to save: its file was not decoded to its end, is
// damaged, says itself where decoding can begin, or is in a format whose states stay in
// memory.
var ErrNotSaved = errors.New("nothing to save of the compressed file")

// Save writes what makes it unnecessary to decode the file once before it can be read: the
// size of its content, states to go on from, and the blocks that were read last, packed. A
// checksum is at the end.
func (r *Reader) Save(w io.Writer) error {
	saver, ok := r.format.(checkpoint.Saver)
	if !ok || r.indexed || !r.whole.Load() || len(r.Damage()) > 0 {
		return ErrNotSaved
	}
	sum := sha256.New()
	out := &saveWriter{w: io.MultiWriter(w, sum)}
	out.bytes([]byte(saveVersion))
	out.number(uint64(r.file.size))
	out.number(uint64(r.Size()))
	for _, p := range r.statesToSave() {
		at, err := p.state(r.packs)
		if err != nil {
			continue
		}
		rest, err := saver.AppendState(nil, at.Rest)
		if err != nil {
			return err
		}
		out.number(uint64(p.off))
		out.packed(at.Window)
		out.packed(rest)
	}
	out.number(0)
	r.packs.each(maxSavedBlocks, func(block int, b *pack64) {
		out.number(uint64(block) + 1)
		out.number(uint64(b.size))
		out.bytes(b.packed())
	})
	out.number(0)
	if out.err != nil {
		return out.err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// statesToSave returns points of some distance.
func (r *Reader) statesToSave() []point {
	r.states.mu.Lock()
	defer r.states.mu.Unlock()
	var some []point
	last, total := int64(0), 0
	for _, p := range r.states.points[1:] {
		if p.off-last >= max(saveGap, windowGap*int64(p.size)) && total+p.size/2 <= maxSavedStates {
			some = append(some, p)
			last, total = p.off, total+p.size/2
		}
	}
	return some
}

// each calls f with the packed blocks that were read, those read last first, until they
// have so many bytes.
func (p *packs) each(most int, f func(block int, b *pack64)) {
	p.mu.Lock()
	var read []int
	for block := range p.read {
		if p.blocks[block] != nil {
			read = append(read, block)
		}
	}
	slices.SortFunc(read, func(a, b int) int { return cmp.Compare(p.read[b], p.read[a]) })
	p.mu.Unlock()
	for _, block := range read {
		b := p.get(block)
		<-b.done
		if most -= len(b.data); most < 0 {
			return
		}
		f(block, b)
	}
}

// load takes what Save has written. It reports false, and takes nothing, if it is not whole,
// or of another version or size of the file.
func (r *Reader) load(saved []byte) bool {
	saver, ok := r.format.(checkpoint.Saver)
	if !ok || len(saved) < len(saveVersion)+sha256.Size {
		return false
	}
	body := saved[:len(saved)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], saved[len(body):]) {
		return false
	}
	in := &saveReader{rest: body}
	if string(in.bytes()) != saveVersion || in.number() != uint64(r.file.size) {
		return false
	}
	size := int64(in.number())
	points := []point{{place: true}}
	gap := int64(minGap)
	for off := int64(in.number()); off > 0 && !in.bad; off = int64(in.number()) {
		p := point{off: off}
		p.size, p.window = in.packed()
		n, rest := in.packed()
		state := make([]byte, n)
		if in.bad || off <= points[len(points)-1].off || off > size || unpack(state, rest) != nil {
			return false
		}
		var err error
		if p.rest, err = saver.ParseState(state); err != nil {
			return false
		}
		points = append(points, p)
		gap = max(gap, windowGap*int64(p.size))
	}
	blocks := make(map[int]*pack64)
	used := int64(0)
	for n := in.number(); n > 0 && !in.bad; n = in.number() {
		b := &pack64{done: make(chan struct{}), size: int(min(in.number(), blockSize))}
		b.data = in.bytes()
		close(b.done)
		blocks[int(n-1)] = b
		used += packSize + int64(len(b.data))
	}
	if in.bad || size < 0 || len(in.rest) > 0 {
		return false
	}
	r.states.points, r.states.gap = points, gap
	r.packs.blocks, r.packs.used = blocks, used
	r.finish(size)
	r.loaded, r.saved = true, len(blocks)
	return true
}

// A saveWriter writes numbers and bytes, until it fails.
type saveWriter struct {
	w   io.Writer
	err error
}

func (w *saveWriter) write(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

func (w *saveWriter) number(n uint64) { w.write(binary.AppendUvarint(nil, n)) }

func (w *saveWriter) bytes(b []byte) {
	w.number(uint64(len(b)))
	w.write(b)
}

// packed writes bytes packed.
func (w *saveWriter) packed(b []byte) {
	w.number(uint64(len(b)))
	w.bytes(pack(b))
}

// A saveReader reads what a saveWriter wrote.
type saveReader struct {
	rest []byte
	bad  bool
}

func (r *saveReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// bytes returns a part of what is read, which is not copied.
func (r *saveReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// packed returns bytes that are packed, and how many they are unpacked.
func (r *saveReader) packed() (size int, b []byte) {
	n := r.number()
	if n > maxSavedStates {
		r.bad = true
		return 0, nil
	}
	return int(n), r.bytes()
}
