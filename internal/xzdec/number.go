package xzdec

// maxNumber is how many bytes a number takes at most.
const maxNumber = 9

// number decodes one of the multibyte integers of the specification's section 1.2, and
// returns how many bytes it takes; 0 if it is malformed or cut off.
func number(b []byte) (v int64, n int) {
	for i := range min(len(b), maxNumber) {
		v |= int64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			if b[i] == 0 && i > 0 {
				return 0, 0 // not in the shortest form
			}
			return v, i + 1
		}
	}
	return 0, 0
}

// appendNumber appends the encoding of v, which is not negative.
func appendNumber(b []byte, v int64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// padding returns how many bytes make n a multiple of four.
func padding(n int64) int { return int(-n & 3) }
