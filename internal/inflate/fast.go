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
		b |= load(src, spos) << (n & 63)
		spos += int((63 - n) >> 3)
		n |= 56
		// There are 56 bits: enough for three literals of the first table, and a length.
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
				if e&literal != 0 {
					out[pos] = byte(e >> 16)
					pos++
					b, n = b>>(e&63), n-uint(e&63)
					continue
				}
			}
		}
		if e&(link|stop) != 0 {
			if e&link != 0 {
				index, rest := e.follow(b)
				b, n = rest, n-e.width()
				e = lit[index&(litSize-1)]
				if e&literal != 0 {
					out[pos] = byte(e >> 16)
					pos++
					b, n = b>>(e&63), n-uint(e&63)
					continue
				}
			}
			if e&stop != 0 {
				if e&end == 0 {
					err = errSymbol
				} else {
					b, n = b>>(e&63), n-uint(e&63)
				}
				break
			}
		}
		length := e.with(b)
		b, n = b>>(e&63), n-uint(e&63)
		b |= load(src, spos) << (n & 63)
		spos += int((63 - n) >> 3)
		n |= 56
		f := dist[b&(1<<distBits-1)]
		if f&(link|stop) != 0 {
			if f&link != 0 {
				index, rest := f.follow(b)
				b, n = rest, n-f.width()
				f = dist[index&(distSize-1)]
			}
			if f&stop != 0 {
				err = errSymbol
				break
			}
		}
		distance := f.with(b)
		b, n = b>>(f&63), n-uint(f&63)
		from := pos - distance
		if from < first {
			err = errDistance
			break
		}
		if distance >= 8 && length <= 32 {
			to := pos
			pos += length
			for to < pos {
				store(out, to, load(out, from))
				to += 8
				from += 8
			}
			continue
		}
		expand(out, pos, length, distance)
		pos += length
	}
	d.in.pos, d.in.bits, d.in.n, d.pos = spos, b, n, pos
	return e & end, err
}
