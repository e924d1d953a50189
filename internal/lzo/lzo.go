// Package lzo decodes LZO1X blocks, as makedumpfile and QEMU write them for the pages of a dump, and LZO-RLE, as zram writes it.
//
// It follows the description of the stream in the kernel's documentation ("LZO stream
// format as understood by Linux's LZO decompressor", Documentation/staging/lzo.rst): LZO1X is
// its version 0, LZO-RLE its version 1.
package lzo

import "errors"

// ErrCorrupt says that a block is not LZO1X, or not of the length that was asked for.
var ErrCorrupt = errors.New("malformed LZO block")

// Decode decodes src, which must be one whole block, into dst and returns how many
// bytes it wrote. The error is ErrCorrupt where src is malformed, ends early or goes on
// behind its end, or where its content is longer than dst. Nothing is allocated. A block of LZO-RLE is malformed.
func Decode(dst, src []byte) (int, error) {
	d := decoder{dst: dst, src: src}
	return d.decode()
}

// versionMark begins a block that says its version in the second byte.
const versionMark = 17

// DecodeRLE is Decode for what the kernel's compressor lzo-rle writes: a block that says that it is of version 1, and has runs of zeros. Others are decoded as
// Decode does.
func DecodeRLE(dst, src []byte) (int, error) {
	d := decoder{dst: dst, src: src}
	if len(src) >= 5 && src[0] == versionMark {
		d.in, d.runs = 2, src[1] > 0
	}
	return d.decode()
}

func (d *decoder) decode() (int, error) {
	if d.in < len(d.src) && d.src[d.in] > 17 {
		n := int(d.src[d.in]) - 17
		d.in++
		if d.literals(n); d.state > 3 {
			d.state = afterLong
		}
	}
	for !d.end && !d.bad {
		d.instruction()
	}
	if d.bad || d.in != len(d.src) {
		return d.out, ErrCorrupt
	}
	return d.out, nil
}

// afterLong is the state after an instruction of literals alone.
const afterLong = 4

// A decoder is the state of decoding one block.
type decoder struct {
	dst, src []byte
	in, out  int
	state    int  // how many literals the last instruction copied; 4 for 4 or more
	runs     bool // runs of zeros have an instruction
	end      bool
	bad      bool
}

// instruction carries out the next instruction. In the comments are the bits of its
// first byte, by the names of the description.
func (d *decoder) instruction() {
	op := d.byte()
	switch {
	case op >= 64: // 1LLDDDSS and 01LDDDSS, H
		distance := d.byte()<<3 + op>>2&7 + 1
		d.match(distance, op>>5+1, op&3)
	case op >= 32: // 001LLLLL
		length := d.length(op&31, 31) + 2
		v := d.word()
		d.match(v>>2+1, length, v&3)
	case op&0xf8 == 0x18 && d.isRun(): // 00011LLL, D of all ones, XXXXXXXX
		v := d.word()
		d.zeros((d.byte()<<3|op&7)+4, v&3)
	case op >= 16: // 0001HLLL
		length := d.length(op&7, 7) + 2
		v := d.word()
		if distance := 16384 + (op&8)<<11 + v>>2; distance > 16384 {
			d.match(distance, length, v&3)
		} else { // of three bytes: the length is in the first
			d.end, d.bad = true, d.bad || op&7 == 0
		}
	case d.state == 0: // 0000LLLL
		d.literals(d.length(op, 15) + 3)
		d.state = afterLong
	case d.state == afterLong: // 0000DDSS, H
		distance := d.byte()<<2 + op>>2 + 2049
		d.match(distance, 3, op&3)
	default: // 0000DDSS, H
		distance := d.byte()<<2 + op>>2 + 1
		d.match(distance, 2, op&3)
	}
}

// isRun reports whether an instruction is a run of zeros, by the bytes behind the first.
func (d *decoder) isRun() bool {
	return d.runs && d.in+2 < len(d.src) && d.src[d.in]&0xfc == 0xfc && d.src[d.in+1] == 0xff
}

// zeros writes n zeros, and copies then so many literals.
func (d *decoder) zeros(n, literals int) {
	if d.bad || n > len(d.dst)-d.out {
		d.bad = true
		return
	}
	clear(d.dst[d.out : d.out+n])
	d.out += n
	d.state = 0
	if literals > 0 {
		d.literals(literals)
	}
}

// byte returns the next byte of the source.
func (d *decoder) byte() int {
	if d.in >= len(d.src) {
		d.bad = true
		return 0
	}
	d.in++
	return int(d.src[d.in-1])
}

// word returns the next two bytes of the source.
func (d *decoder) word() int {
	low := d.byte()
	return low + d.byte()<<8
}

// length returns the length that begins with the bits v of an instruction, which go up
// to most: 0 stands for most, and more in the bytes that follow.
func (d *decoder) length(v, most int) int {
	if v != 0 {
		return v
	}
	for v = most; !d.bad; v += 255 {
		if b := d.byte(); b != 0 {
			return v + b
		}
		if v > len(d.dst) { // more than fits, however long it goes on
			d.bad = true
		}
	}
	return 0
}

// literals copies n bytes of the source.
func (d *decoder) literals(n int) {
	d.state = n
	if d.bad || n > len(d.src)-d.in || n > len(d.dst)-d.out {
		d.bad = true
		return
	}
	copy(d.dst[d.out:d.out+n], d.src[d.in:])
	d.in += n
	d.out += n
}

// match copies length bytes from distance bytes back, and then so many literals.
func (d *decoder) match(distance, length, literals int) {
	if d.bad || distance > d.out || length > len(d.dst)-d.out {
		d.bad = true
		return
	}
	to := d.dst[d.out : d.out+length]
	d.out += length
	if distance == 1 {
		fill(to, d.dst[d.out-length-1])
	} else {
		// What overlaps repeats itself: each round copies twice as much as the last.
		for from := d.out - length - distance; len(to) > 0; {
			n := copy(to, d.dst[from:d.out-len(to)])
			to = to[n:]
		}
	}
	d.state = 0
	if literals > 0 {
		d.literals(literals)
	}
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}
