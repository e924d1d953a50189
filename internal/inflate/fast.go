package inflate

// fast decodes symbols while the input has the padding that it needs and the piece is
// not full. It returns the entry that ends the block, if that was met.
//
// Bits are loaded 8 bytes at once; as many as fit count, and what is above them is the
// beginning of what the next load brings, so that the two can be or'ed.
func (d *decoder) fast() (entry, error) {
	var (
		src, spos = d.in.buf, d.in.pos
		b, n      = d.in.bits, d.in.n
		out, pos  = d.out, d.pos
		lit, dist = &d.code.lit, &d.code.dist
		last      = len(src) - padding
		first     = window - d.have
		e         entry
		err       error
	)
	b &= 1<<n - 1
	for spos <= last && pos < window+pieceSize {
		b, n, spos = refill(src, spos, b, n)
		// There are 56 bits: enough for three literals of the first table, or two and a length.
		e = lit[b&(1<<litBits-1)]
		if e&literal != 0 {
			out[pos] = byte(e >> 16)
			pos++
			b, n = b>>(e&63), n-uint(e&63)
			e = lit[b&(1<<litBits-1)]
			if e&literal != 0 {
				out[pos] = byte(e >> 16)
				pos++
				b, n = b>>(e&63), n-uint(e&63)
				e = lit[b&(1<<litBits-1)]
			}
		}
		if e&link != 0 {
			index, rest := e.follow(b)
			b, n = rest, n-e.width()
			e = lit[index&(litSize-1)]
		}
		if e&(literal|stop) != 0 {
			if e&stop != 0 {
				break
			}
			out[pos] = byte(e >> 16)
			pos++
			b, n = b>>(e&63), n-uint(e&63)
			continue
		}
		length := e.with(b)
		b, n = b>>(e&63), n-uint(e&63)
		b, n, spos = refill(src, spos, b, n)
		f := dist[b&(1<<distBits-1)]
		if f&link != 0 {
			index, rest := f.follow(b)
			b, n = rest, n-f.width()
			f = dist[index&(distSize-1)]
		}
		if f&stop != 0 {
			err = errSymbol
			break
		}
		distance := f.with(b)
		b, n = b>>(f&63), n-uint(f&63)
		if pos-distance < first {
			err = errDistance
			break
		}
		if distance >= 8 && length <= 32 {
			for i := pos; i < pos+length; i += 8 {
				store(out, i, load(out, i-distance))
			}
		} else {
			expand(out, pos, length, distance)
		}
		pos += length
	}
	if e&stop != 0 {
		if e&end == 0 {
			err = errSymbol
		}
		b, n = b>>(e&63), n-uint(e&63)
	}
	d.in.pos, d.in.bits, d.in.n, d.pos = spos, b, n, pos
	return e & end, err
}

// refill adds whole bytes of src from pos on to the n bits b, up to 56 bits and more.
func refill(src []byte, pos int, b uint64, n uint) (uint64, uint, int) {
	return b | load(src, pos)<<(n&63), n | 56, pos + int((63-n)>>3)
}
