package dwarfconv

// slack is how many readable bytes follow the end of every buffer of DWARF
// data. Within it fixed-size reads need no bounds check of their own: the
// reader compares its position with the end after each variable part only.
const slack = 512

// uleb decodes the unsigned LEB128 number at pos and returns it together with
// the position after it. Bits above 64 are dropped. The position is beyond the
// buffer's end less slack where the number is cut off.
func uleb(b []byte, pos int) (uint64, int) {
	if c := b[pos]; c < 0x80 {
		return uint64(c), pos + 1
	}
	return ulebLong(b, pos)
}

func ulebLong(b []byte, pos int) (uint64, int) {
	var v uint64
	for shift := 0; pos < len(b); shift += 7 {
		c := b[pos]
		pos++
		if shift < 64 {
			v |= uint64(c&0x7f) << shift
		}
		if c < 0x80 {
			return v, pos
		}
	}
	return 0, pos
}

// sleb decodes the signed LEB128 number at pos, as uleb does.
func sleb(b []byte, pos int) (int64, int) {
	var v int64
	for shift := 0; pos < len(b); {
		c := b[pos]
		pos++
		if shift < 64 {
			v |= int64(c&0x7f) << shift
		}
		shift += 7
		if c < 0x80 {
			if c&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v, pos
		}
	}
	return 0, pos
}
