package linux

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// tellLost tells what the kernel at l has lost of what it could be found by: one Gap a page.
func (k *Kernel) tellLost(l *location) {
	lost := slices.DeleteFunc(append(slices.Clone(l.lost), k.lostNotes(l)...), func(s lostSign) bool {
		switch s.name {
		case "page tables", "lists of the direct map": // which mapLinear goes into
			return true
		case "init_uts_ns": // a report asks for the host name
			_, err := k.Hostname()
			return err != nil
		}
		return false
	})
	slices.SortStableFunc(lost, func(a, b lostSign) int { return cmp.Compare(a.addr, b.addr) })
	for i := 0; i < len(lost); {
		first := lost[i]
		names := []string{first.name}
		for i++; i < len(lost) && first.addr != 0 && lost[i].addr/vmem.PageSize == first.addr/vmem.PageSize; i++ {
			names = append(names, lost[i].name)
		}
		k.gaps = append(k.gaps, newGap(strings.Join(names, ", "), first.addr, first.err))
	}
}

// lostNotes tells where VMCOREINFO was, if there is none though the kernel made it: the pages
// that vmcoreinfo_data and vmcoreinfo_note point to (kernel/vmcore_info.c).
func (k *Kernel) lostNotes(l *location) []lostSign {
	if l.notes != nil {
		return nil
	}
	for _, name := range []string{"vmcoreinfo_data", "vmcoreinfo_note"} {
		at, err := k.Symbol(name)
		if err != nil {
			continue
		}
		page, err := k.space.Uint64(at)
		if err != nil || !plausible(vmem.VirtAddr(page)) {
			continue
		}
		b := make([]byte, 64)
		n, err := k.space.ReadVirt(b, vmem.VirtAddr(page))
		if bytes.Contains(b[:n], []byte("OSRELEASE=")) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%w: it begins with %.16q", kstruct.ErrCorrupt, b)
		}
		if !errors.Is(err, vmem.ErrNotPresent) {
			return []lostSign{{"VMCOREINFO", vmem.VirtAddr(page), err}}
		}
	}
	return nil
}
