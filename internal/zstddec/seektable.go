package zstddec

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// The seek table of the Zstandard Seekable Format (contrib/seekable_format in its
// repository): a skippable frame at the file's end, of an entry for each frame and a
// footer.
const (
	magicSeekTable = 0x184D2A5E // of the skippable frame
	magicSeekable  = 0x8F92EAB1 // at the very end
	footerSize     = 9
	minFrame       = 8 // bytes in the file of any frame
)

// A footer is the end of a seek table: the number of frames, a descriptor, a magic
// number.
type footer [footerSize]byte

func (f *footer) frames() int64  { return int64(binary.LittleEndian.Uint32(f[:])) }
func (f *footer) sums() bool     { return f[4]&0x80 != 0 }
func (f *footer) reserved() bool { return f[4]&0x7c != 0 }
func (f *footer) magic() uint32  { return binary.LittleEndian.Uint32(f[5:]) }

// entrySize returns the size of an entry: that of the frame, that of its content, and
// their checksum perhaps.
func (f *footer) entrySize() int64 {
	if f.sums() {
		return 12
	}
	return 8
}

// errListed says that a frame is not what the seek table says.
var errListed = errors.New("the frame has not the content that the seek table says")

// Index returns the frames that the seek table lists, if those at its beginning, in its middle and at its end are where it says. Of the others that is known when they are
// decoded: to look at each would be to read all of a file on a server.
func (d *decoder) Index() (places []checkpoint.Place, size int64, ok bool) {
	r := io.NewSectionReader(d.in.r, 0, d.in.size)
	var foot footer
	if _, err := r.ReadAt(foot[:], r.Size()-footerSize); err != nil || foot.magic() != magicSeekable || foot.reserved() {
		return nil, 0, false
	}
	table := foot.frames() * foot.entrySize()
	start := r.Size() - footerSize - table - 8
	var head [8]byte
	if _, err := r.ReadAt(head[:], start); err != nil ||
		binary.LittleEndian.Uint32(head[:]) != magicSeekTable ||
		int64(binary.LittleEndian.Uint32(head[4:])) != table+footerSize {
		return nil, 0, false
	}
	entries := io.NewSectionReader(r, start+8, table)
	return readPlaces(r, entries, foot.frames(), int(foot.entrySize()), start)
}

// fewFrames is how many frames are all looked at: they are of a file, or a part of one, that is small.
const fewFrames = 32

// readPlaces reads the entries of a seek table, which are to be of the frames of r up
// to end.
func readPlaces(r io.ReaderAt, entries io.Reader, frames int64, size int, end int64) (places []checkpoint.Place, content int64, ok bool) {
	off, i := int64(0), int64(0)
	chunk := make([]byte, size<<12)
	for {
		n, err := io.ReadFull(entries, chunk)
		for e := chunk[:n]; len(e) >= size; e = e[size:] {
			stored, listed := int64(binary.LittleEndian.Uint32(e)), int64(binary.LittleEndian.Uint32(e[4:]))
			if stored < minFrame || off+stored > end || looked(i, frames) && !frameAt(r, off, listed) {
				return nil, 0, false
			}
			i++
			if off == 0 || listed > 0 && content > 0 { // an empty first frame and the next begin at the same content
				places = append(places, newPlace(off, content, listed))
			}
			off += stored
			content += listed
		}
		switch err {
		case nil:
			continue
		case io.EOF, io.ErrUnexpectedEOF:
			if off == end && len(places) > 0 {
				return places, content, true
			}
		}
		return nil, 0, false
	}
}

// looked reports whether frame i of so many is looked at.
func looked(i, frames int64) bool {
	return frames <= fewFrames || i == 0 || i == frames/2 || i == frames-1
}

// newPlace returns the place of a frame whose content is so many bytes: that its
// decoder finds as many is checked at the frame's end.
func newPlace(off, content, listed int64) checkpoint.Place {
	s := &state{off: off, place: place{listed: listed}}
	return checkpoint.Place{Offset: content, State: checkpoint.State{Rest: s}}
}

// frameAt reports whether there is a frame of so much content at off, as far as its
// header says.
func frameAt(r io.ReaderAt, off, content int64) bool {
	var head [maxHeader]byte
	n, _ := r.ReadAt(head[:], off)
	if n < minFrame {
		return false
	}
	magic := binary.LittleEndian.Uint32(head[:])
	if skippable(magic) {
		return content == 0
	}
	if size := header(head[4]).size(); magic != magicFrame || n < size {
		return false
	}
	f, err := parseFrame(head[:header(head[4]).size()])
	return err == nil && (f.content < 0 || f.content == content)
}
