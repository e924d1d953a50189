package ktext

import (
	"encoding/binary"
	"slices"
)

// An alternative is struct alt_instr: code that takes the place of other code where the processor has a
// feature, or has it not.
type alternative struct {
	at, repl          uint64
	feature           uint16
	not, direct       bool // of ft_flags: ALT_FLAG_NOT, ALT_FLAG_DIRECT_CALL
	size, replacement uint8
}

// The sizes of struct alt_instr: until 6.2 the highest bit of cpuid inverts, since 6.3 ("x86/alternatives: Add
// alt_instr.flags") there are 32 bits for both.
const (
	altOld = 12
	altNew = 14
)

// parseAlternatives decodes .altinstructions, which runs at base. valid says what can be code: the size of the entries
// is the one with which each of them leads to some.
func parseAlternatives(b []byte, base uint64, valid func(at uint64, n int) bool) []alternative {
	for _, size := range []int{altNew, altOld} {
		if len(b)%size != 0 {
			continue
		}
		list := make([]alternative, 0, len(b)/size)
		for i := 0; i < len(b); i += size {
			a := parseAlternative(b[i:i+size], base+uint64(i))
			if !valid(a.at, int(a.size)) || a.replacement > 0 && !valid(a.repl, int(a.replacement)) {
				break
			}
			list = append(list, a)
		}
		if len(list) == len(b)/size {
			return list
		}
	}
	return nil
}

func parseAlternative(b []byte, at uint64) alternative {
	a := alternative{at: rel32(b, at), repl: rel32(b[4:], at+4), feature: binary.LittleEndian.Uint16(b[8:])}
	if len(b) == altOld {
		a.not = a.feature&0x8000 != 0
		a.feature &^= 0x8000
	} else {
		flags := binary.LittleEndian.Uint16(b[10:])
		a.not, a.direct = flags&1 != 0, flags&2 != 0
	}
	a.size, a.replacement = b[len(b)-2], b[len(b)-1]
	return a
}

// rel32 returns the address that an offset of 32 bits at an address leads to.
func rel32(b []byte, at uint64) uint64 {
	return at + uint64(int64(int32(binary.LittleEndian.Uint32(b))))
}

// parseOffsets decodes a table of offsets from their own places, as objtool makes .retpoline_sites and others. A zero
// stands for nothing.
func parseOffsets(b []byte, base uint64) []uint64 {
	list := make([]uint64, 0, len(b)/4)
	for i := 0; i+4 <= len(b); i += 4 {
		if binary.LittleEndian.Uint32(b[i:]) != 0 {
			list = append(list, rel32(b[i:], base+uint64(i)))
		}
	}
	return list
}

// parseAddresses decodes a table of addresses, as __mcount_loc is one. 0 is none.
func parseAddresses(b []byte) []uint64 {
	list := make([]uint64, 0, len(b)/8)
	for i := 0; i+8 <= len(b); i += 8 {
		if a := binary.LittleEndian.Uint64(b[i:]); a != 0 {
			list = append(list, a)
		}
	}
	return list
}

// A paraSite is struct paravirt_patch_site: a call through an element of pv_ops.
type paraSite struct {
	at    uint64
	index uint8 // in pv_ops, taken for an array of pointers
	size  uint8
}

// paraSize is the size of an entry, of which the last one need not have its padding.
const (
	paraSize = 16
	paraUsed = 10
)

func parseParavirt(b []byte) []paraSite {
	list := make([]paraSite, 0, len(b)/paraSize+1)
	for i := 0; i+paraUsed <= len(b); i += paraSize {
		if s := (paraSite{at: binary.LittleEndian.Uint64(b[i:]), index: b[i+8], size: b[i+9]}); s.size >= 5 {
			list = append(list, s)
		}
	}
	return list
}

// A jumpEntry is struct jump_entry with HAVE_ARCH_JUMP_LABEL_RELATIVE.
type jumpEntry struct {
	at, target, key uint64
	branch          bool // taken where the key is off
}

const jumpSize = 16

func parseJumps(b []byte, base uint64) []jumpEntry {
	list := make([]jumpEntry, 0, len(b)/jumpSize)
	for i := 0; i+jumpSize <= len(b); i += jumpSize {
		at := base + uint64(i)
		key := binary.LittleEndian.Uint64(b[i+8:])
		list = append(list, jumpEntry{at: rel32(b[i:], at), target: rel32(b[i+4:], at+4), key: at + 8 + key&^3, branch: key&1 != 0})
	}
	return list
}

// A staticSite is struct static_call_site.
type staticSite struct {
	at, key uint64
	tail    bool // a jump
}

const staticSize = 8

func parseStaticCalls(b []byte, base uint64) []staticSite {
	list := make([]staticSite, 0, len(b)/staticSize)
	for i := 0; i+staticSize <= len(b); i += staticSize {
		at := base + uint64(i)
		key := rel32(b[i+4:], at+4) // its lowest bits are flags
		list = append(list, staticSite{at: rel32(b[i:], at), key: key &^ 3, tail: key&1 != 0})
	}
	return list
}

// groups joins the alternatives of each place, in the order in which the kernel applies them.
func groups(all []alternative) [][]alternative {
	slices.SortStableFunc(all, func(a, b alternative) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	var list [][]alternative
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].at == all[i].at {
			j++
		}
		list = append(list, all[i:j:j])
		i = j
	}
	return list
}
