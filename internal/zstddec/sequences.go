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
	l, o, m := in.read(ll.log), in.read(of.log), in.read(ml.log)
	recent := d.tables.recent
	seqs := d.seqs[:0]
	total := 0
	for i := range n {
		le, oe, me := ll.entries[l&511], of.entries[o&511], ml.entries[m&511]
		lx, ox, mx := int(le>>8&31), int(oe>>8&31), int(me>>8&31)
		v := in.bits(ox + mx)
		match := uint32(me>>32) + uint32(v&(1<<mx-1))
		value := uint32(oe>>32) + uint32(v>>mx&(1<<ox-1))
		literals := uint32(le>>32) + uint32(in.bits(lx)&(1<<lx-1))
		if in.pos < in.first {
			return nil, errStream
		}
		if value > 3 {
			recent = [3]uint32{value - 3, recent[0], recent[1]}
		} else if recent = repeatOffset(recent, value, literals); recent[0] == 0 {
			return nil, errRecent
		}
		seqs = append(seqs, sequence{literals, match, recent[0]})
		total += int(match)
		if total > limit {
			return nil, errContent
		}
		if i == n-1 {
			break
		}
		lb, ob, mb := int(le&15), int(oe&15), int(me&15)
		v = in.bits(lb + mb + ob)
		o = int(oe>>16&0xffff) + int(v&(1<<ob-1))
		m = int(me>>16&0xffff) + int(v>>ob&(1<<mb-1))
		l = int(le>>16&0xffff) + int(v>>(ob+mb)&(1<<lb-1))
	}
	d.seqs, d.tables.recent = seqs, recent
	if in.left() != 0 {
		return nil, errStream
	}
	return seqs, nil
}

// bits reads n bits, up to 56; those above them in what it returns are others.
func (r *backward) bits(n int) uint64 {
	r.pos -= n
	return binary.LittleEndian.Uint64(r.buf[r.pos>>3:]) >> (r.pos & 7)
}

// repeatOffset returns the recent offsets after one of them was used again: RFC 8878,
// Repeat Offsets.
func repeatOffset(recent [3]uint32, value, literals uint32) [3]uint32 {
	if literals == 0 {
		value++
	}
	switch value {
	case 1:
		return recent
	case 2:
		return [3]uint32{recent[1], recent[0], recent[2]}
	case 3:
		return [3]uint32{recent[2], recent[0], recent[1]}
	}
	return [3]uint32{recent[0] - 1, recent[0], recent[1]}
}
