package vmem

// View returns the bytes at va without copying them: size of them, or those before the
// end of the page or before the first that can't be read, where that comes earlier. At
// least one byte is returned, or a *Fault that says why va itself can't be read; a size
// of 0 or less gives none and no error.
//
// The caller must not change the bytes. They stay what they are, and stay in memory,
// for as long as the caller keeps them.
func (as *AddressSpace) View(va VirtAddr, size int) ([]byte, error) {
	if size <= 0 {
		return nil, nil
	}
	if addr, ok := as.known(va); ok {
		if f := as.phys.cached(addr); f != nil && f.holes == nil {
			off := va % PageSize
			end := off + VirtAddr(min(uint64(size), pageRest(va)))
			return f.data[off:end:end], nil
		}
	}
	return as.viewUncached(va, size)
}

func (as *AddressSpace) viewUncached(va VirtAddr, size int) ([]byte, error) {
	pa, err := as.resolve(va)
	if err != nil {
		return nil, err
	}
	data, err := as.phys.view(pa, min(uint64(size), pageRest(va)))
	if len(data) > 0 {
		return data, nil
	}
	return nil, as.fault(va, err)
}
