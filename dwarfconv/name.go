package dwarfconv

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
)

// A nameRef says where a name is: an offset, an index or a position below
// refBits, and above it which of the four. None is 0.
type nameRef uint64

const (
	refBits = 61
	refMask = 1<<refBits - 1
)

const (
	nameStr     = 1 + iota // an offset in .debug_str
	nameLineStr            // an offset in .debug_line_str
	nameIndex              // an index into the unit's part of .debug_str_offsets
	nameInline             // a position in the unit
)

// maxName is the longest name in bytes; the kernel's own limit for symbols is 512
// (KSYM_NAME_LEN). Names may share memory, so that without a limit those of a small
// file could have any length together.
const maxName = 1 << 12

var (
	errName     = errors.New("name outside its section")
	errLongName = errors.New("name longer than 4096 bytes")
)

// name returns the name at ref, which shares memory with the section's string.
func (u *unit) name(ref nameRef) (string, error) {
	off := uint64(ref) & refMask
	switch ref >> refBits {
	case nameInline:
		return u.inlineName(off)
	case nameLineStr:
		return cstring(u.file.lineStr, off)
	case nameIndex:
		var err error
		if off, err = u.strOffset(off); err != nil {
			return "", err
		}
	}
	return cstring(u.file.str, off)
}

// cstring returns the NUL-terminated string at off.
func cstring(s string, off uint64) (string, error) {
	if off >= uint64(len(s)) {
		return "", fmt.Errorf("%w at %#x", errName, off)
	}
	s = s[off:]
	n := strings.IndexByte(s[:min(len(s), maxName+1)], 0)
	switch {
	case n >= 0:
		return s[:n], nil
	case len(s) > maxName:
		return "", fmt.Errorf("%w at %#x", errLongName, off)
	}
	return "", fmt.Errorf("%w at %#x", errName, off)
}

func (u *unit) inlineName(pos uint64) (string, error) {
	if pos > uint64(u.end) {
		return "", fmt.Errorf("%w at %#x", errName, pos)
	}
	b := u.data[pos:u.end]
	n := bytes.IndexByte(b[:min(len(b), maxName+1)], 0)
	switch {
	case n >= 0:
		return string(b[:n]), nil
	case len(b) > maxName:
		return "", fmt.Errorf("%w at %#x", errLongName, pos)
	}
	return "", fmt.Errorf("%w at %#x", errName, pos)
}

// strOffset looks up index i of the unit's part of .debug_str_offsets.
func (u *unit) strOffset(i uint64) (uint64, error) {
	return u.indexed(u.file.strOffsets, u.strOffsets, i, int(u.offSize))
}

// address looks up index i of the unit's part of .debug_addr.
func (u *unit) address(i uint64) (uint64, error) {
	return u.indexed(u.file.addr, u.addrBase, i, int(u.addrSize))
}

// indexed returns the number of size bytes at index i of table, counted from
// base. The table is followed by slack.
func (u *unit) indexed(table []byte, base, i uint64, size int) (uint64, error) {
	n := uint64(len(table))
	if n < slack || base > n-slack || i > (n-slack-base)/uint64(size) {
		return 0, fmt.Errorf("index %d: %w", i, errName)
	}
	pos := int(base + i*uint64(size))
	if size == 8 {
		return u.order.u64(table, pos), nil
	}
	return u.order.u32(table, pos), nil
}

// A nameTable remembers the hashes of the names in .debug_str by their offsets,
// for the same few names come up millions of times. It belongs to one worker.
type nameTable struct {
	seed  maphash.Seed
	keys  []uint32 // offset+1; 0 means free. The length is a power of 2.
	sums  []uint64
	count int
}

// maxNames bounds a nameTable; a kernel has some 100,000 names.
const maxNames = 1 << 21

func newNameTable(seed maphash.Seed) *nameTable {
	const n = 1 << 12
	return &nameTable{seed: seed, keys: make([]uint32, n), sums: make([]uint64, n)}
}

// hash returns the hash of the name at ref in u. Equal names have equal hashes
// wherever they are kept.
func (t *nameTable) hash(u *unit, ref nameRef) (uint64, error) {
	off := uint64(ref) & refMask
	if ref>>refBits == nameIndex {
		var err error
		if off, err = u.strOffset(off); err != nil {
			return 0, err
		}
		ref = nameStr<<refBits | nameRef(off&refMask)
	}
	if ref>>refBits != nameStr || off >= 1<<32-1 {
		s, err := u.name(ref)
		return maphash.String(t.seed, s), err
	}
	key := uint32(off) + 1
	i := t.slot(key)
	if t.keys[i] == key {
		return t.sums[i], nil
	}
	s, err := u.name(ref)
	if err != nil {
		return 0, err
	}
	sum := maphash.String(t.seed, s)
	if t.count < maxNames {
		t.insert(i, key, sum)
	}
	return sum, nil
}

// slot returns the place of key, or the free one where it belongs.
func (t *nameTable) slot(key uint32) uint32 {
	mask := uint32(len(t.keys) - 1)
	i := key * 0x9e3779b1 >> 7 & mask
	for t.keys[i] != key && t.keys[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

func (t *nameTable) insert(i, key uint32, sum uint64) {
	t.keys[i], t.sums[i] = key, sum
	t.count++
	if t.count*2 < len(t.keys) {
		return
	}
	keys, sums := t.keys, t.sums
	t.keys, t.sums = make([]uint32, 2*len(keys)), make([]uint64, 2*len(keys))
	for i, key := range keys {
		if key != 0 {
			j := t.slot(key)
			t.keys[j], t.sums[j] = key, sums[i]
		}
	}
}
