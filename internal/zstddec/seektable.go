package zstddec

import (
	"encoding/binary"
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

// Index returns the frames that the seek table lists, if each is where it says.
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
	return readPlaces(r, entries, int(foot.entrySize()), start)
}

// readPlaces reads the entries of a seek table, which are to be of the frames of r up
// to end.
func readPlaces(r io.ReaderAt, entries io.Reader, size int, end int64) (places []checkpoint.Place, content int64, ok bool) {
	off := int64(0)
	chunk := make([]byte, size<<12)
	for {
		n, err := io.ReadFull(entries, chunk)
		for e := chunk[:n]; len(e) >= size; e = e[size:] {
			stored, listed := int64(binary.LittleEndian.Uint32(e)), int64(binary.LittleEndian.Uint32(e[4:]))
			if stored < minFrame || off+stored > end || !frameAt(r, off, listed) {
				return nil, 0, false
			}
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
	f, err := parseFrame(head[:])
	return err == nil && (f.content < 0 || f.content == content)
}
