package zstddec

import (
	"encoding/binary"
	"math/bits"
)

// one decodes the one stream b, which dst fills.
func (h *huffman) one(dst []byte, b body) error {
	in, ok := newBackward(b)
	if !ok || !h.rest(dst, &in) {
		return errStream
	}
	return nil
}

// rest decodes what is left of a stream, which is to fill dst. It reports whether it
// does.
func (h *huffman) rest(dst []byte, in *backward) bool {
	for len(dst) >= 5 && in.left() >= 5*huffmanBits {
		v := in.top()
		for i := range (*[5]byte)(dst) {
			e := h.table[v>>(64-huffmanBits)]
			v <<= e & 63
			in.pos -= int(e & 63)
			dst[i] = byte(e >> 8)
		}
		dst = dst[5:]
	}
	for i := range dst {
		e := h.table[in.top()>>(64-huffmanBits)]
		in.pos -= int(e & 63)
		if in.left() < 0 {
			return false
		}
		dst[i] = byte(e >> 8)
	}
	return in.left() == 0
}

// top returns the next 57 bits and more, from the highest of a word on.
func (r *backward) top() uint64 {
	end := (r.pos + 7) >> 3
	return binary.LittleEndian.Uint64(r.buf[end-8:]) << (-r.pos & 7)
}

// four decodes the four streams in b, whose sizes are before them. Each but the last
// fills a fourth of dst, rounded up.
func (h *huffman) four(dst []byte, b body) error {
	jump, err := b.cut(6)
	if err != nil {
		return err
	}
	fourth := (len(dst) + 3) / 4
	if 3*fourth > len(dst) {
		return errJump
	}
	var in [4]backward
	var out [4][]byte
	for i := range in {
		part := b
		if i < 3 {
			if part, err = b.cut(int(binary.LittleEndian.Uint16(jump.bytes()[2*i:]))); err != nil {
				return err
			}
			out[i], dst = dst[:fourth], dst[fourth:]
		} else {
			out[i] = dst
		}
		var ok bool
		if in[i], ok = newBackward(part); !ok {
			return errStream
		}
	}
	done := h.together(&out, &in)
	for i := range in {
		if !h.rest(out[i][done:], &in[i]) {
			return errStream
		}
	}
	return nil
}

// together decodes all streams in turns as far as all last, five symbols at a time, so
// that the processor need not wait for one of them. It returns how many of each. The
// lowest bit of a loaded word, which five symbols never reach, is set to tell by the
// zeros behind it how many bits they took.
func (h *huffman) together(out *[4][]byte, in *[4]backward) int {
	n := len(out[3]) / 5 * 5
	o0, o1, o2, o3 := out[0][:n], out[1][:n], out[2][:n], out[3][:n]
	p0, p1, p2, p3 := in[0].pos, in[1].pos, in[2].pos, in[3].pos
	buf, t := in[0].buf, &h.table
	i := 0
	for ; i < n; i += 5 {
		if min(p0-in[0].first, p1-in[1].first, p2-in[2].first, p3-in[3].first) < 5*huffmanBits {
			break
		}
		a0, a1, a2, a3 := (p0+7)>>3, (p1+7)>>3, (p2+7)>>3, (p3+7)>>3
		v0 := (binary.LittleEndian.Uint64(buf[a0-8:]) | 1) << (-p0 & 7)
		v1 := (binary.LittleEndian.Uint64(buf[a1-8:]) | 1) << (-p1 & 7)
		v2 := (binary.LittleEndian.Uint64(buf[a2-8:]) | 1) << (-p2 & 7)
		v3 := (binary.LittleEndian.Uint64(buf[a3-8:]) | 1) << (-p3 & 7)
		d0, d1, d2, d3 := (*[5]byte)(o0[i:]), (*[5]byte)(o1[i:]), (*[5]byte)(o2[i:]), (*[5]byte)(o3[i:])
		for k := range 5 {
			e0, e1, e2, e3 := t[v0>>53], t[v1>>53], t[v2>>53], t[v3>>53]
			v0, v1, v2, v3 = v0<<(e0&63), v1<<(e1&63), v2<<(e2&63), v3<<(e3&63)
			d0[k], d1[k], d2[k], d3[k] = byte(e0>>8), byte(e1>>8), byte(e2>>8), byte(e3>>8)
		}
		p0, p1 = a0<<3-bits.TrailingZeros64(v0), a1<<3-bits.TrailingZeros64(v1)
		p2, p3 = a2<<3-bits.TrailingZeros64(v2), a3<<3-bits.TrailingZeros64(v3)
	}
	in[0].pos, in[1].pos, in[2].pos, in[3].pos = p0, p1, p2, p3
	return i
}
