package ktext

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// A section is a part of a file that is loaded, at the address at which it runs.
type section struct {
	name string
	addr uint64
	data []byte // as the file has it
	exec bool
	// exact says that data is as KASLR made it, so that there is nothing to derive.
	exact bool
	held  []byte // for each byte of data, whether what runs there is not known; nil: nowhere
}

func (s *section) end() uint64 { return s.addr + uint64(len(s.data)) }

// code is what a file says of the code of the kernel or of a module.
type code struct {
	module    string    // empty for the kernel
	sections  []section // by address
	slide     uint64    // what KASLR added to the addresses of the kernel; 0 for modules, whose data is relocated
	low, high uint64    // of the kernel as linked
	perCPU    uint64    // up to where symbols of per-CPU variables go that count from 0; 0 where they do not
	names     names
}

// find returns the section that an address is in.
func (c *code) find(at uint64) *section {
	i, found := slices.BinarySearchFunc(c.sections, at, func(s section, at uint64) int { return cmp.Compare(s.addr, at) })
	if !found {
		i--
	}
	for ; i >= 0; i-- { // empty sections share their address with what follows
		if s := &c.sections[i]; at < s.end() {
			return s
		} else if len(s.data) > 0 {
			return nil
		}
	}
	return nil
}

// at returns n bytes of the file at an address, or nil.
func (c *code) at(addr uint64, n int) []byte {
	s := c.find(addr)
	if s == nil || uint64(n) > s.end()-addr {
		return nil
	}
	off := addr - s.addr
	return s.data[off : off+uint64(n) : off+uint64(n)]
}

// valid reports whether there are n bytes of code at an address.
func (c *code) valid(addr uint64, n int) bool {
	s := c.find(addr)
	return s != nil && s.exec && uint64(n) <= s.end()-addr
}

// named returns the sections whose name begins with prefix.
func (c *code) named(prefix string) (list []*section) {
	for i := range c.sections {
		if strings.HasPrefix(c.sections[i].name, prefix) {
			list = append(list, &c.sections[i])
		}
	}
	return list
}

// table returns a table of the file: the section of a name, or what is between two symbols.
func (c *code) table(name, start, stop string) (data []byte, base uint64) {
	for i := range c.sections {
		if s := &c.sections[i]; s.name == name {
			return s.data, s.addr
		}
	}
	from, ok := c.names.address(start)
	to, ok2 := c.names.address(stop)
	if !ok || !ok2 || to < from || to-from > 1<<30 {
		return nil, 0
	}
	return c.at(from, int(to-from)), from
}

// absolute returns where the code runs that the file names by an absolute address.
func (c *code) absolute(a uint64) uint64 {
	if a >= c.low && a < c.high {
		return a + c.slide
	}
	return a
}

// kernelMap is __START_KERNEL_map: the address at which the kernel would run if it were at the beginning of physical memory.
const kernelMap = 0xffffffff80000000

// relocated reports by how many bytes the field is behind i that KASLR changed, where want, which is linked at an address, differs
// first from got at i: 0 where none explains it. The kernel is moved by multiples of 2 MiB, so that of an address the
// third or the fourth byte differs first.
//
// Fields are what arch/x86/tools/relocs.c collects: absolute addresses, and those of per-CPU variables relative to code.
func (c *code) relocated(want, got []byte, i int, linked uint64) int {
	for s := max(0, i-3); s <= i-2 && s+4 <= len(want); s++ {
		w, g := binary.LittleEndian.Uint32(want[s:]), binary.LittleEndian.Uint32(got[s:])
		switch a := uint64(int64(int32(w))); g {
		case w + uint32(c.slide):
			if a >= c.low && a <= c.high ||
				(w == 0 || uint64(w) >= c.low-kernelMap && uint64(w) <= c.high-kernelMap) && !displacement(want[:s]) {
				return s + 4 - i
			}
		case w - uint32(c.slide):
			if linked+uint64(s)+4+a < c.perCPU {
				return s + 4 - i
			}
		}
	}
	return 0
}

// displacement reports whether what follows b can be where a direct branch leads to: then it is no address, but relative to one.
func displacement(b []byte) bool {
	if n := len(b); n >= 2 {
		return b[n-1]&^1 == opCall && b[n-2] != 0x81 || b[n-2] == 0x0f && b[n-1]&0xf0 == 0x80
	}
	return false
}

// same compares what the file has with what is in memory, but for what KASLR changed. It returns where they
// differ first, len(want) where they do not.
func (c *code) same(want, got []byte, linked uint64, i int, exact bool) int {
	for i < len(want) {
		for i+8 <= len(want) && binary.LittleEndian.Uint64(want[i:]) == binary.LittleEndian.Uint64(got[i:]) {
			i += 8
		}
		for i < len(want) && want[i] == got[i] {
			i++
		}
		if i == len(want) {
			break
		}
		n := 0
		if !exact {
			n = c.relocated(want, got, i, linked)
		}
		if n == 0 {
			return i
		}
		i += n
	}
	return len(want)
}

// A name is a symbol at the address at which it runs.
type name struct {
	addr uint64
	text string
}

// names are the symbols of a file.
type names struct {
	byName map[string]uint64 // as linked
	list   []name            // of code, as linked, by address
	slide  uint64
}

// address returns where a symbol is.
func (n *names) address(text string) (uint64, bool) {
	a, ok := n.byName[text]
	return a + n.slide, ok
}

// at returns the symbol of code that an address is in.
func (n *names) at(addr uint64) (name, bool) {
	addr -= n.slide
	i, found := slices.BinarySearchFunc(n.list, addr, func(x name, a uint64) int { return cmp.Compare(x.addr, a) })
	if !found {
		i--
	}
	if i < 0 {
		return name{}, false
	}
	for i > 0 && n.list[i-1].addr == n.list[i].addr {
		i--
	}
	x := n.list[i]
	x.addr += n.slide
	return x, true
}
