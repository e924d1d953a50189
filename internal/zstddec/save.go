package zstddec

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A savedState is a state in a form of a fixed size, for files.
type savedState struct {
	Off, Window, Content, Decoded, Listed int64
	Checksum, Inside, Last, Tables        bool
	Lanes                                 [4]uint64
	Tail                                  [32]byte
	Summed                                uint64
	Huffman                               bool
	Symbols                               [1 << huffmanBits]uint16
	Uses                                  [3]uint8 // of codes: none, own or predefined
	Logs                                  [3]uint8
	Entries                               [3][1 << maxLog]uint64
	Recent                                [3]uint32
}

// What a kind of codes uses.
const (
	usesNone = iota
	usesOwn
	usesPredefined
)

// errSaved is of bytes that are no state.
var errSaved = errors.New("not a saved state of a zstd decoder")

// AppendState implements [checkpoint.Saver].
func (format) AppendState(b []byte, rest any) ([]byte, error) {
	s, ok := rest.(*state)
	if !ok {
		return b, errState
	}
	p := &s.place
	v := savedState{
		Off: s.off, Window: int64(p.frame.window), Content: p.frame.content, Decoded: p.decoded, Listed: p.listed,
		Checksum: p.frame.checksum, Inside: p.inside, Last: p.last, Tables: s.tables != nil,
		Lanes: p.sum.lanes, Tail: p.sum.buf, Summed: p.sum.size,
	}
	if t := s.tables; t != nil {
		v.Huffman, v.Symbols, v.Recent = t.huffman.valid, t.huffman.table, t.recent
		for kind, c := range t.codes {
			switch {
			case c == &t.own[kind]:
				v.Uses[kind], v.Logs[kind] = usesOwn, uint8(c.log)
				for i, e := range c.entries {
					v.Entries[kind][i] = uint64(e)
				}
			case c != nil:
				v.Uses[kind] = usesPredefined
			}
		}
	}
	return binary.Append(b, binary.LittleEndian, &v)
}

// ParseState implements [checkpoint.Saver].
func (format) ParseState(b []byte) (any, error) {
	var v savedState
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &v); err != nil || len(b) != binary.Size(&v) {
		return nil, errSaved
	}
	if v.Off < 0 || v.Window < 0 || v.Window > maxWindow || v.Decoded < 0 || v.Inside && !v.Last && !v.Tables {
		return nil, errSaved
	}
	s := &state{off: v.Off, place: place{
		frame:  frame{window: int(v.Window), content: v.Content, checksum: v.Checksum},
		inside: v.Inside, last: v.Last, decoded: v.Decoded, listed: v.Listed,
		sum: digest{lanes: v.Lanes, buf: v.Tail, size: v.Summed},
	}}
	if !v.Tables {
		return s, nil
	}
	t := &tables{huffman: huffman{valid: v.Huffman, table: v.Symbols}, recent: v.Recent}
	for kind, uses := range v.Uses {
		switch uses {
		case usesOwn:
			if v.Logs[kind] > maxLog {
				return nil, errSaved
			}
			t.own[kind].log = int(v.Logs[kind])
			for i, e := range v.Entries[kind] {
				t.own[kind].entries[i] = entry(e)
			}
			t.codes[kind] = &t.own[kind]
		case usesPredefined:
			t.codes[kind] = &predefined()[kind]
		}
	}
	s.tables = t
	return s, nil
}
