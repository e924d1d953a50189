package zstddec

import (
	"encoding/binary"
	"errors"
)

// Symbol compression modes: RFC 8878, Sequences Section Header.
const (
	modePredefined = iota
	modeRLE
	modeFSE
	modeRepeat
)

// What is wrong with a block's sequences.
var (
	errModes    = errors.New("reserved bits set in the modes of sequences")
	errRepeat   = errors.New("table of codes to be used again, and none before in the frame")
	errCode     = errors.New("code of sequences that there isn't")
	errTrailing = errors.New("bytes behind its last sequence")
	errRecent   = errors.New("match of offset zero")
)

const minMatch = 3 // bytes

// sequences reads the sequences that b is.
func (d *decoder) sequences(b *body, limit int) ([]sequence, error) {
	n, err := readSequenceCount(b)
	if err != nil || n == 0 {
		if err == nil && b.len() > 0 {
			err = errTrailing
		}
		return nil, err
	}
	head, err := b.cut(1)
	if err != nil {
		return nil, err
	}
	modes := head.bytes()[0]
	if modes&3 != 0 {
		return nil, errModes
	}
	for kind := range d.tables.codes {
		if err := d.tables.readCodes(b, kind, modes>>(6-2*kind)&3); err != nil {
			return nil, err
		}
	}
	in, ok := newBackward(*b)
	if !ok {
		return nil, errStream
	}
	return d.decode(&in, n, limit)
}

// readSequenceCount reads how many sequences there are from the beginning of b.
func readSequenceCount(b *body) (int, error) {
	head, err := b.cut(1)
	if err != nil {
		return 0, err
	}
	first := int(head.bytes()[0])
	switch {
	case first < 128:
		return first, nil
	case first < 255:
		head, err = b.cut(1)
		return (first-128)<<8 + int(little(head.bytes())), err
	}
	head, err = b.cut(2)
	return int(little(head.bytes())) + 0x7f00, err
}

// readCodes reads the table of a kind of codes from the beginning of b.
func (t *tables) readCodes(b *body, kind int, mode byte) error {
	spec := &specs()[kind]
	switch mode {
	case modePredefined:
		t.codes[kind] = &predefined()[kind]
		return nil
	case modeRepeat:
		if t.codes[kind] == nil {
			return errRepeat
		}
		return nil
	case modeRLE:
		only, err := b.cut(1)
		if err != nil {
			return err
		}
		symbol := int(only.bytes()[0])
		if symbol >= len(spec.codes) {
			return errCode
		}
		t.own[kind].single(spec.codes[symbol])
	case modeFSE:
		dist, err := readDistribution(b, len(spec.codes), spec.log)
		if err != nil {
			return err
		}
		t.own[kind].build(spec, &dist)
	}
	t.codes[kind] = &t.own[kind]
	return nil
}

// decode decodes n sequences, which in is to end with.
func (d *decoder) decode(in *backward, n, limit int) ([]sequence, error) {
	ll, of, ml := d.tables.codes[literalLength], d.tables.codes[offsetCode], d.tables.codes[matchLength]
	l, o, m := uint(in.read(ll.log)), uint(in.read(of.log)), uint(in.read(ml.log))
	// Local variables, no arrays among them, stay in registers.
	buf, first, pos := in.buf, in.first, in.pos
	recent, second, third := d.tables.recent[0], d.tables.recent[1], d.tables.recent[2]
	if n*minMatch > limit {
		return nil, errContent
	}
	seqs := d.sequenceRoom(n)
	for i := range seqs {
		le, oe, me := ll.entries[l&511], of.entries[o&511], ml.entries[m&511]
		lx, ox, mx := uint(le>>8&31), uint(oe>>8&31), uint(me>>8&31)
		pos -= int(ox + mx)
		v := binary.LittleEndian.Uint64(buf[uint(pos)>>3:]) >> (pos & 7)
		match := uint32(me>>32) + uint32(v&(1<<mx-1))
		value := uint32(oe>>32) + uint32(v>>mx&(1<<ox-1))
		lb, ob, mb := uint(le&15), uint(oe&15), uint(me&15)
		pos -= int(lx)
		v = binary.LittleEndian.Uint64(buf[uint(pos)>>3:]) >> (pos & 7)
		literals := uint32(le>>32) + uint32(v&(1<<lx-1))
		if pos < first {
			return nil, errStream
		}
		if value > 3 {
			recent, second, third = value-3, recent, second
		} else if recent, second, third = repeatOffset(value, literals, recent, second, third); recent == 0 {
			return nil, errRecent
		}
		seqs[i] = sequence{literals, match, recent}
		if i == n-1 {
			break // no states behind it
		}
		pos -= int(lb + mb + ob)
		v = binary.LittleEndian.Uint64(buf[uint(pos)>>3:]) >> (pos & 7)
		o = uint(oe>>16&0xffff) + uint(v&(1<<ob-1))
		m = uint(me>>16&0xffff) + uint(v>>ob&(1<<mb-1))
		l = uint(le>>16&0xffff) + uint(v>>(ob+mb)&(1<<lb-1))
	}
	if pos != first {
		return nil, errStream
	}
	d.tables.recent = [3]uint32{recent, second, third}
	return seqs, nil
}

// repeatOffset returns the recent offsets after one of them was used again: RFC 8878,
// Repeat Offsets.
func repeatOffset(value, literals, recent, second, third uint32) (a, b, c uint32) {
	if literals == 0 {
		value++
	}
	switch value {
	case 1:
		return recent, second, third
	case 2:
		return second, recent, third
	case 3:
		return third, recent, second
	}
	return recent - 1, recent, second
}
