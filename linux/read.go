package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A reader reads members of kernel structures and keeps the first error, so that
// many reads need one check.
type reader struct {
	as  *vmem.AddressSpace
	err error
}

func (k *Kernel) reader() reader { return reader{as: k.space} }

// fresh returns a reader, at the beginning of a walk: what it reads of a running machine
// is not older than now.
func (k *Kernel) fresh() reader {
	k.phys.Refresh()
	return k.reader()
}

func (r *reader) u64(base vmem.VirtAddr, f field) uint64 {
	if r.err != nil || !f.ok() {
		return 0
	}
	v, err := r.as.Uint64(base + vmem.VirtAddr(f))
	r.err = err
	return v
}

func (r *reader) u32(base vmem.VirtAddr, f field) uint32 {
	if r.err != nil || !f.ok() {
		return 0
	}
	v, err := r.as.Uint32(base + vmem.VirtAddr(f))
	r.err = err
	return v
}

func (r *reader) u8(base vmem.VirtAddr, f field) uint8 {
	if r.err != nil || !f.ok() {
		return 0
	}
	v, err := r.as.Uint8(base + vmem.VirtAddr(f))
	r.err = err
	return v
}

func (r *reader) ptr(base vmem.VirtAddr, f field) vmem.VirtAddr {
	return vmem.VirtAddr(r.u64(base, f))
}

func (r *reader) i32(base vmem.VirtAddr, f field) int32 { return int32(r.u32(base, f)) }

// cstring reads up to limit bytes that end with the first NUL, which is left out.
func (r *reader) cstring(addr vmem.VirtAddr, limit int) string {
	if r.err != nil {
		return ""
	}
	s, err := r.as.CString(addr, limit)
	r.err = err
	return s
}

// bytes reads n bytes; the caller bounds n.
func (r *reader) bytes(addr vmem.VirtAddr, n int) []byte {
	if r.err != nil {
		return nil
	}
	b := make([]byte, n)
	_, r.err = r.as.ReadVirt(b, addr)
	return b
}

// plausible reports whether a can be the address of a kernel object: canonical, in
// the kernel's half, and aligned as allocators align.
func plausible(a vmem.VirtAddr) bool {
	return x86.IsObject(a)
}

// errPointer describes a pointer that can't be one.
func errPointer(what string, a vmem.VirtAddr) error {
	return fmt.Errorf("%w: %s pointer %v", kstruct.ErrCorrupt, what, a)
}
