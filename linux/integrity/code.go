package integrity

import (
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/x86code"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A function is code of the kernel as it is in memory: with all that the kernel patched.
type function struct {
	name string
	at   vmem.VirtAddr
	text []byte
}

// maxFunction is how much of a function is read.
const maxFunction = 64 << 10

// function reads the function of a name. The error wraps an [*isf.LookupError] where there is none.
func (c *Checker) function(name string) (*function, error) {
	at, err := c.k.Symbol(name)
	if err != nil {
		var ok bool
		if at, ok = c.symbols.Find(name); !ok {
			return nil, fmt.Errorf("integrity: %w", &isf.LookupError{In: "the kernel", Object: "function " + name})
		}
	}
	return c.functionAt(at)
}

// functionAt reads the function that an address is in, from there to its end.
func (c *Checker) functionAt(at vmem.VirtAddr) (*function, error) {
	r, ok := c.symbols.Extent(at)
	if !ok {
		return nil, fmt.Errorf("%w: no symbol at %v", kstruct.ErrCorrupt, at)
	}
	l, _ := c.symbols.Resolve(at)
	f := &function{name: l.Symbol, at: at, text: make([]byte, min(r.Size-uint64(at-r.Start), maxFunction))}
	n, err := c.k.Space().ReadVirt(f.text, at)
	f.text = f.text[:n]
	return f, err
}

// contains reports whether an address is in the function.
func (f *function) contains(a vmem.VirtAddr) bool {
	return a >= f.at && uint64(a-f.at) < uint64(len(f.text))
}

// A inst is an instruction at an address.
type inst struct {
	x86asm.Inst
	at vmem.VirtAddr
}

// next returns the address behind the instruction.
func (i *inst) next() vmem.VirtAddr { return i.at + vmem.VirtAddr(i.Len) }

// target returns where a direct call or jump leads.
func (i *inst) target() (vmem.VirtAddr, bool) {
	rel, ok := i.Args[0].(x86asm.Rel)
	return i.next() + vmem.VirtAddr(int64(rel)), ok
}

// decode decodes the instruction at the offset. What is no instruction that the disassembler knows is one of
// one byte.
func (f *function) decode(off int) inst {
	in, _, err := x86code.Decode(f.text[off:])
	if err != nil {
		in = x86asm.Inst{Len: 1, Op: x86asm.UD2} // it stops what follows the code
	}
	return inst{in, f.at + vmem.VirtAddr(off)}
}

// each goes over the instructions of a function one after the other.
func (f *function) each(visit func(*inst) bool) {
	for off := 0; off < len(f.text); {
		in := f.decode(off)
		if !visit(&in) {
			return
		}
		off += in.Len
	}
}

// A reference is an address of the kernel's image that code uses.
type reference struct {
	at     vmem.VirtAddr // of the instruction
	target vmem.VirtAddr
	op     x86asm.Op
	index  bool // it is the start of an array
	memory bool // what is there is used, and not the address itself
}

// references returns the addresses of the kernel's image that the instructions of a function use, in their order, but for those
// that they call and jump to.
func (f *function) references() (refs []reference) {
	f.each(func(in *inst) bool {
		for _, arg := range in.Args {
			r := reference{at: in.at, op: in.Op}
			switch a := arg.(type) {
			case x86asm.Mem:
				r.memory = in.Op != x86asm.LEA
				r.index = a.Index != 0
				switch {
				case a.Segment != 0:
					continue
				case a.Base == x86asm.RIP:
					r.target = in.next() + vmem.VirtAddr(a.Disp)
				default:
					r.target = vmem.VirtAddr(int64(int32(a.Disp)))
				}
			case x86asm.Imm:
				r.target = vmem.VirtAddr(int64(a))
				if in.DataSize == 32 {
					r.target = vmem.VirtAddr(int64(int32(a)))
				}
			default:
				continue
			}
			if r.target >= x86.StartKernelMap {
				refs = append(refs, r)
			}
		}
		return true
	})
	return refs
}
