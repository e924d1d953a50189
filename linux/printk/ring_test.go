package printk

import (
	"encoding/binary"
	"testing"
)

func TestBlock(t *testing.T) {
	for _, test := range []struct {
		begin, next, off, size uint64
		ok                     bool
	}{
		{0, 0x20, 0, 0x20, true},
		{0x1010, 0x1030, 0x10, 0x20, true},
		{0x1ff0, 0x2000, 0xff0, 0x10, true}, // up to the end, since 6.18
		{0x1ff0, 0x2040, 0, 0x40, true},     // it would wrap
		{0x1ff0, 0x3040, 0, 0, false},
		{0x40, 0x20, 0, 0, false},
		{0x20, 0x28, 0, 0, false}, // no text
		{0x21, 0x48, 0, 0, false},
		{^uint64(0) &^ 7, 0x20, 0, 0x20, true}, // positions count on from the last
	} {
		off, size, err := block(test.begin, test.next, 12)
		if (err == nil) != test.ok || test.ok && (off != test.off || size != test.size) {
			t.Errorf("%#x to %#x: %#x, %#x, %v", test.begin, test.next, off, size, err)
		}
	}
}

// FuzzText decodes texts out of a ring of 4 KiB: whatever the positions are, what is read lies in the
// ring, and begins with the ID.
func FuzzText(f *testing.F) {
	ring := make([]byte, 4096)
	binary.LittleEndian.PutUint64(ring[16:], 7)
	f.Add(uint64(16), uint64(48), uint64(7), uint16(20), ring)
	f.Add(uint64(4080), uint64(4128), uint64(0), uint16(9), ring)
	f.Add(^uint64(7), uint64(24), uint64(7), uint16(65535), ring)
	f.Fuzz(func(t *testing.T, begin, next, id uint64, length uint16, ring []byte) {
		off, size, err := block(begin, next, 12)
		if err != nil {
			return
		}
		if off+size > 4096 || size <= blockID {
			t.Fatalf("%#x to %#x is %#x, %#x", begin, next, off, size)
		}
		if off+size > uint64(len(ring)) {
			return
		}
		b := ring[off:][:size]
		text, err := decodeText(b, id, int(length))
		if len(text) > int(length) || err == nil && (len(text) != int(length) || binary.LittleEndian.Uint64(b) != id) {
			t.Fatalf("%q of %d bytes, %v", text, length, err)
		}
	})
}
