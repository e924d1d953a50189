package dwarfconv

// Each unit says how long it is, and so where the next one is. Where that is damaged, units are found
// again by their headers.

const (
	// resyncChain is how many headers must lead from one to the next, or to the end of the section, where
	// units go on.
	resyncChain = 4
	// resyncWindow is how much is looked at at a time, in bytes.
	resyncWindow = 256 << 10
)

// resume returns where units go on from an offset on, and the size of the section where they do not.
func (s *infoSection) resume(f *debugFile, off uint64) uint64 {
	var buf, chain []byte
	for ; off < s.size; off += resyncWindow {
		n := min(resyncWindow+headerSize, s.size-off)
		b, err := s.read(off, n, &buf)
		if err != nil {
			continue
		}
		for i := range min(resyncWindow, n) {
			if s.sound(f, b[i:], off+i) && s.chained(f, off+i, &chain) {
				return off + i
			}
		}
	}
	return s.size
}

// sound reports whether b, which is at an offset, begins with the header of a unit as kernels have them.
func (s *infoSection) sound(f *debugFile, b []byte, off uint64) bool {
	if len(b) < headerSize+slack {
		b = append(append(make([]byte, 0, headerSize+slack), b...), make([]byte, headerSize+slack-len(b))...)
	}
	if v := s.order.u16(b, 4); v < 2 || v > 5 { // in the 32-bit format, as all kernels have
		return false
	}
	h, err := parseHeader(b, s.order, s.types)
	return err == nil && h.size <= s.size-off && h.size > uint64(h.first) && h.abbrevs < uint64(len(f.abbrev))
}

// chained reports whether headers lead on from the one at an offset.
func (s *infoSection) chained(f *debugFile, off uint64, buf *[]byte) bool {
	for range resyncChain {
		if off == s.size {
			return true
		}
		b, err := s.read(off, min(headerSize, s.size-off), buf)
		if err != nil || !s.sound(f, b, off) {
			return false
		}
		h, err := parseHeader(b, s.order, s.types)
		if err != nil {
			return false
		}
		off += h.size
	}
	return true
}
