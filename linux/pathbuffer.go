package linux

import "bytes"

// A pathBuffer holds a path that is made from its end, as the kernel makes it. The zero
// pathBuffer is the root. What is short needs no memory of its own.
type pathBuffer struct {
	short [512]byte
	long  []byte // nil while the path is in short
	used  int    // bytes at the end that are in use
}

// room returns n bytes before the path, which become part of it.
func (b *pathBuffer) room(n int) []byte {
	all := b.long
	if all == nil {
		all = b.short[:]
	}
	if b.used+n > len(all) {
		b.long = make([]byte, 2*(b.used+n))
		copy(b.long[len(b.long)-b.used:], all[len(all)-b.used:])
		all = b.long
	}
	b.used += n
	start := len(all) - b.used
	return all[start : start+n]
}

// component puts a slash and a name, up to its first NUL, before the path.
func (b *pathBuffer) component(name []byte) {
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	r := b.room(1 + len(name))
	r[0] = '/'
	copy(r[1:], name)
}

// first returns the first n bytes of the path.
func (b *pathBuffer) first(n int) string {
	all := b.long
	if all == nil {
		all = b.short[:]
	}
	return string(all[len(all)-b.used:][:n])
}

// clear makes the path the root again.
func (b *pathBuffer) clear() { b.used = 0 }

// String returns the path.
func (b *pathBuffer) String() string {
	switch {
	case b.used == 0:
		return "/"
	case b.long == nil:
		return string(b.short[len(b.short)-b.used:])
	}
	return string(b.long[len(b.long)-b.used:])
}
