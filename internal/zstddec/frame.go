package zstddec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	maxWindow = 128 << 20 // bytes: that of level 22 with --ultra, and of --long=27
	maxBlock  = 128 << 10 // bytes of content
	maxHeader = 18        // bytes of a frame's header
)

// Reasons not to decode a frame.
var (
	errMagic      = errors.New("neither a zstd frame nor a skippable one")
	errReserved   = errors.New("reserved bit set in a zstd frame's header")
	errDictionary = errors.New("dictionaries are not supported; unpack it first (zstd -d -D DICTIONARY)")
	errWindow     = errors.New("128 MiB are supported; unpack it first (zstd -d --long=31), or pack it with --long=27 at most")
)

// A frame is what a frame's header says.
type frame struct {
	window   int   // bytes of content that a match may reach back
	content  int64 // bytes in the frame; -1 where the header doesn't say
	checksum bool  // of the content, at the frame's end
}

// blockMax returns the size that neither a block nor its content exceeds.
func (f *frame) blockMax() int { return min(f.window, maxBlock) }

// A header is a Frame_Header_Descriptor, the byte behind the magic number.
type header byte

func (h header) single() bool   { return h&0x20 != 0 }
func (h header) reserved() bool { return h&0x08 != 0 }
func (h header) checksum() bool { return h&0x04 != 0 }

// window, dictionary and content return the sizes of the fields.
func (h header) window() int {
	if h.single() {
		return 0
	}
	return 1
}

func (h header) dictionary() int { return int([]byte{0, 1, 2, 4}[h&3]) }

func (h header) content() int {
	if h>>6 == 0 && h.single() {
		return 1
	}
	return int([]byte{0, 2, 4, 8}[h>>6])
}

// size returns the size of the frame's header, with the magic number.
func (h header) size() int { return 4 + 1 + h.window() + h.dictionary() + h.content() }

// parseFrame parses the header of a frame, which is whole, as header.size says.
func parseFrame(p []byte) (frame, error) {
	h := header(p[4])
	p = p[5:]
	f := frame{content: -1, checksum: h.checksum()}
	window := uint64(0)
	if !h.single() {
		base := uint64(1) << (10 + p[0]>>3)
		window = base + base/8*uint64(p[0]&7)
		p = p[1:]
	}
	dictionary := little(p[:h.dictionary()])
	p = p[h.dictionary():]
	if n := h.content(); n > 0 {
		content := little(p)
		if n == 2 {
			content += 256
		}
		f.content = int64(content)
		if h.single() {
			window = content
		}
	}
	switch {
	case h.reserved():
		return f, errReserved
	case dictionary != 0:
		return f, fmt.Errorf("frame that needs dictionary %d: %w", dictionary, errDictionary)
	case window > maxWindow:
		return f, fmt.Errorf("frame with a window of %d MiB: %w", window>>20, errWindow)
	case f.content < -1:
		return f, fmt.Errorf("content size %d is impossible", uint64(f.content))
	}
	f.window = int(window)
	return f, nil
}

// little returns the little-endian number in p, of up to eight bytes.
func little(p []byte) uint64 {
	var b [8]byte
	copy(b[:], p)
	return binary.LittleEndian.Uint64(b[:])
}
