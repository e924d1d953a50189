package vmem

import (
	"bytes"
	"encoding/binary"
)

// Uint8 returns the byte at va. The error is a *Fault.
func (as *AddressSpace) Uint8(va VirtAddr) (uint8, error) {
	if page := as.cached(va); page != nil {
		return page[va%PageSize], nil
	}
	v, err := as.scalar(va, 1)
	return uint8(v), err
}

// Uint16 returns the little-endian 16-bit word at va, which need not be aligned and
// may cross pages. The error is a *Fault.
func (as *AddressSpace) Uint16(va VirtAddr) (uint16, error) {
	if page := as.cached(va); page != nil && va%PageSize <= PageSize-2 {
		return binary.LittleEndian.Uint16(page[va%PageSize:]), nil
	}
	v, err := as.scalar(va, 2)
	return uint16(v), err
}

// Uint32 returns the little-endian 32-bit word at va, as Uint16 does.
func (as *AddressSpace) Uint32(va VirtAddr) (uint32, error) {
	if page := as.cached(va); page != nil && va%PageSize <= PageSize-4 {
		return binary.LittleEndian.Uint32(page[va%PageSize:]), nil
	}
	v, err := as.scalar(va, 4)
	return uint32(v), err
}

// Uint64 returns the little-endian 64-bit word at va, as Uint16 does.
func (as *AddressSpace) Uint64(va VirtAddr) (uint64, error) {
	if page := as.cached(va); page != nil && va%PageSize <= PageSize-8 {
		return binary.LittleEndian.Uint64(page[va%PageSize:]), nil
	}
	return as.scalar(va, 8)
}

// cached returns the page that va is in if all there is to reading it is cached and all of it
// can be read, or nil.
func (as *AddressSpace) cached(va VirtAddr) *[PageSize]byte {
	addr, ok := as.tlb.lookup(va) // known, without the call that costs a fifth of a hit
	if !ok {
		if addr, ok = as.arithmetic(va); !ok {
			return nil
		}
		addr &^= PageSize - 1
	}
	f := as.phys.cached(addr)
	if f == nil || f.holes != nil {
		return nil
	}
	return f.data
}

func (as *AddressSpace) scalar(va VirtAddr, size int) (uint64, error) {
	var word [8]byte
	for n := 0; n < size; {
		data, err := as.chunk(va, n, size)
		if err != nil {
			return 0, err
		}
		n += copy(word[n:], data)
	}
	return binary.LittleEndian.Uint64(word[:]), nil
}

// ReadVirt reads len(p) bytes at va. It returns the number of bytes before the
// first that can't be read; if that is less than len(p), the error is a *Fault
// that says which, where and why.
func (as *AddressSpace) ReadVirt(p []byte, va VirtAddr) (int, error) {
	n := 0
	for n < len(p) {
		m, err := as.readPage(p, va, n)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readPage reads on at p[n:] to the end of p or of the page. Whole pages go past
// the cache of frames.
func (as *AddressSpace) readPage(p []byte, va VirtAddr, n int) (int, error) {
	at := va + VirtAddr(n)
	if at%PageSize != 0 || len(p)-n < PageSize || at < va {
		data, err := as.chunk(va, n, len(p))
		return copy(p[n:], data), err
	}
	pa, err := as.resolve(at)
	if err != nil {
		return 0, err
	}
	m, err := as.phys.readThrough(p[n:n+PageSize], pa)
	if err != nil {
		return m, as.fault(at+VirtAddr(m), err)
	}
	return m, nil
}

// CString returns the bytes at va up to a NUL, which is left out, or limit bytes
// if there is no NUL among them. Where they can't all be read it returns those
// before the first that can't and a *Fault.
func (as *AddressSpace) CString(va VirtAddr, limit int) (string, error) {
	var read []byte
	for len(read) < limit {
		data, err := as.chunk(va, len(read), limit)
		end := bytes.IndexByte(data, 0)
		if end < 0 && err == nil {
			read = append(read, data...)
			continue
		}
		if end >= 0 {
			data, err = data[:end], nil
		}
		if read == nil {
			return string(data), err
		}
		return string(append(read, data...)), err
	}
	return string(read), nil
}

// chunk returns what of the size bytes at va follows the first n, up to the end of
// that page or up to the first byte that can't be read. The error is a *Fault. The
// caller must not change the bytes.
func (as *AddressSpace) chunk(va VirtAddr, n, size int) ([]byte, error) {
	at := va + VirtAddr(n)
	if at < va {
		return nil, &Fault{Virt: at, Err: ErrNonCanonical}
	}
	pa, err := as.resolve(at)
	if err != nil {
		return nil, err
	}
	data, err := as.phys.view(pa, min(uint64(size-n), pageRest(at)))
	if err != nil {
		return data, as.fault(at+VirtAddr(len(data)), err)
	}
	return data, nil
}

// known returns the frame of the page that va is in, where no table need be read for it: in a
// linear map, which is not worth a place among the translations that are kept, or as one of these.
func (as *AddressSpace) known(va VirtAddr) (PhysAddr, bool) {
	if pa, ok := as.arithmetic(va); ok {
		return pa &^ (PageSize - 1), true
	}
	return as.tlb.lookup(va)
}

// resolve returns the physical address of va. The error is a *Fault.
func (as *AddressSpace) resolve(va VirtAddr) (PhysAddr, error) {
	if frame, ok := as.known(va); ok {
		return frame + PhysAddr(va%PageSize), nil
	}
	l, err := as.tables.Walk(va)
	if err != nil {
		return 0, err
	}
	as.tlb.store(va, l.Phys&^(PageSize-1))
	return l.Phys, nil
}

// fault returns the *Fault for va, which translates to something that can't be
// read for the given reason.
func (as *AddressSpace) fault(va VirtAddr, reason error) error {
	l, err := as.tables.Walk(va)
	if pa, ok := as.arithmetic(va); ok && (err != nil || l.Phys != pa) {
		l, err = Leaf{Phys: pa}, nil
	}
	if err != nil {
		return err
	}
	return &Fault{Virt: va, Phys: l.Phys, Entry: l.Entry, Err: reason}
}
