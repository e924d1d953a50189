package ktext

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/linux/internal/x86code"
	"github.com/nodelens/nodelens/vmem"
)

// tell adds the differences of an area to the report.
func (r *run) tell(a *area) {
	if len(a.diffs) == 0 {
		return
	}
	expected := append([]byte(nil), a.got...)
	for _, d := range a.diffs {
		copy(expected[d.start:d.end], a.expect(&d))
	}
	for i := range a.diffs {
		if len(r.report.Modifications) >= maxModifications {
			r.dropped += len(a.diffs) - i
			return
		}
		d := &a.diffs[i]
		at := a.base + uint64(d.start)
		m := Modification{
			Address: vmem.VirtAddr(at), Module: a.code.module, Section: a.section.name, Length: d.end - d.start, Site: d.site,
			Expected: short(expected[d.start:d.end]), Found: short(a.got[d.start:d.end]),
		}
		start := d.start
		if n, ok := a.code.names.at(at); ok && a.section.exec {
			m.Symbol = n.text
			if at > n.addr {
				m.Symbol += fmt.Sprintf("+%#x", at-n.addr)
			}
			start = max(0, int(n.addr)-int(a.base), start-maxFunction)
		}
		if a.section.exec && len(r.report.Modifications) < maxDescribed {
			first := boundary(expected, start, d.start)
			m.Was = r.disassemble(expected[first:], a.base+uint64(first), d.end-first)
			m.Is = r.disassemble(a.got[first:], a.base+uint64(first), d.end-first)
			m.Meaning = r.meaning(a, d, first)
		} else if !a.section.exec {
			m.Meaning = r.pointer(a, d)
		}
		if d.why != "" {
			m.Meaning = strings.TrimPrefix(m.Meaning+"; "+d.why, "; ")
		}
		r.report.Modifications = append(r.report.Modifications, m)
	}
}

// maxFunction is how far before a place it is looked for the beginning of its function, in bytes.
const maxFunction = 64 << 10

// expect returns what there should be in place of a difference.
func (a *area) expect(d *difference) []byte {
	if d.want != nil {
		return d.want[:min(len(d.want), d.end-d.start)]
	}
	out := append([]byte(nil), a.want[d.start:d.end]...)
	// An address that begins before the difference, or in it, is where KASLR moved it to.
	for i := max(0, d.start-7); i < d.end && i+4 <= len(a.want); i++ {
		w := binary.LittleEndian.Uint32(a.want[i:])
		if x := uint64(int64(int32(w))); a.code.slide != 0 && !a.section.exact && x >= a.code.low && x < a.code.high {
			var b [4]byte
			binary.LittleEndian.PutUint32(b[:], w+uint32(a.code.slide))
			for j := range b {
				if k := i + j - d.start; k >= 0 && k < len(out) {
					out[k] = b[j]
				}
			}
			i += 3
		}
	}
	return out
}

func short(b []byte) string { return hex.EncodeToString(b[:min(len(b), 64)]) }

// boundary returns where the instruction begins that the byte at is in, counted from where a function begins.
func boundary(b []byte, start, at int) int {
	for start < at {
		n := insnLen(b[start:min(len(b), start+16)])
		if start+n > at {
			return start
		}
		start += n
	}
	return at
}

// maxInstructions is how many instructions of a modification are shown.
const maxInstructions = 12

// disassemble returns the instructions of the first n bytes of b.
func (r *run) disassemble(b []byte, at uint64, n int) (list []string) {
	for i := 0; i < n && i < len(b) && len(list) < maxInstructions; {
		in, name, err := x86code.Decode(b[i:min(len(b), i+16)])
		if k := nopLen(b[i:]); k > 0 {
			list = append(list, "nop")
			i += k
			continue
		}
		if err != nil {
			list = append(list, fmt.Sprintf(".byte %#02x", b[i]))
			i++
			continue
		}
		if name != "" {
			list = append(list, name)
			i += in.Len
			continue
		}
		list = append(list, x86asm.GNUSyntax(in, at+uint64(i), r.symbol))
		i += in.Len
	}
	return list
}

// symbol names the target of a branch for the disassembler.
func (r *run) symbol(a uint64) (string, uint64) {
	if n, ok := r.names.at(a); ok && r.kernel.valid(a, 1) {
		return n.text, n.addr
	}
	return "", 0
}

// describe names an address.
func (r *run) describe(a uint64) string {
	if r.opts.Describe != nil {
		return r.opts.Describe(vmem.VirtAddr(a))
	}
	if n, ok := r.names.at(a); ok && r.kernel.valid(a, 1) {
		if a == n.addr {
			return n.text
		}
		return fmt.Sprintf("%s+%#x", n.text, a-n.addr)
	}
	if r.opts.Modules != nil {
		if m := r.opts.Modules.At(vmem.VirtAddr(a)); m != nil {
			return fmt.Sprintf("%#x in module %s", a, m.Name)
		}
	}
	return fmt.Sprintf("%#x", a)
}

// meaning says what a modification of code probably is.
func (r *run) meaning(a *area, d *difference, first int) string {
	b := a.got[first:]
	at := a.base + uint64(first)
	where := "in the function"
	if n, ok := a.code.names.at(a.base + uint64(d.start)); ok && at-n.addr < 16 {
		where = "at the function's beginning"
	}
	if nopRun(b) > 0 && first+nopRun(b) >= d.end {
		return "code taken out by NOPs"
	}
	if br, ok := decodeBranch(b, at); ok {
		switch br.kind {
		case call:
			return "a call of " + r.describe(br.target) + " " + where
		case jump:
			return "a jump to " + r.describe(br.target) + " " + where
		}
		return "another condition or target of a jump"
	}
	if target, ok := far(b, at); ok {
		return "a jump to " + r.describe(target) + " " + where
	}
	switch {
	case b[0] == opInt3:
		return "a breakpoint that no kprobe and no patching accounts for"
	case returnsSoon(b):
		return "the function returns at once"
	}
	return "other code"
}

// far decodes what takes more than one instruction to jump anywhere: through memory behind it, a register or the stack.
func far(b []byte, at uint64) (uint64, bool) {
	le := binary.LittleEndian
	switch {
	case len(b) >= 14 && b[0] == 0xff && b[1] == 0x25 && le.Uint32(b[2:]) == 0:
		return le.Uint64(b[6:]), true // jmp *0(%rip)
	case len(b) >= 12 && b[0]&^1 == 0x48 && b[1]&0xf8 == 0xb8:
		for _, tail := range []int{10, 11} { // jmp *reg; push reg, ret
			if tail+1 < len(b) && (b[tail] == 0xff && b[tail+1]&0xf8 == 0xe0 || b[tail]&0xf8 == 0x50 && b[tail+1] == opRet) {
				return le.Uint64(b[2:]), true
			}
		}
	case len(b) >= 6 && b[0] == 0x68 && b[5] == opRet:
		return uint64(int64(int32(le.Uint32(b[1:])))), true // push imm32, ret
	}
	_ = at
	return 0, false
}

// returnsSoon reports whether code sets a value at most and returns.
func returnsSoon(b []byte) bool {
	for range 3 {
		switch {
		case len(b) == 0:
			return false
		case b[0] == opRet:
			return true
		case b[0] == 0x31 || b[0] == 0x33 || b[0] == 0xb8 || b[0] == 0x48 && len(b) > 1 && (b[1] == 0x31 || b[1] == 0xc7 || b[1] == 0x83):
			b = b[min(len(b), insnLen(b)):]
		case nopLen(b) > 0:
			b = b[nopLen(b):]
		default:
			return false
		}
	}
	return false
}

// pointer says what a modification of constant data probably is.
func (r *run) pointer(a *area, d *difference) string {
	i := d.start &^ 7
	if i+8 > len(a.got) {
		return "other data"
	}
	was := binary.LittleEndian.Uint64(a.want[i:])
	if !a.section.exact {
		was = a.code.absolute(was)
	}
	is := binary.LittleEndian.Uint64(a.got[i:])
	if was < kernelMap || is < 1<<63 {
		return "other data"
	}
	return "a pointer to " + r.describe(is) + " instead of " + r.describe(was)
}
