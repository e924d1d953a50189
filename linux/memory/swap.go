package memory

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A swapInfo is struct swap_info_struct as far as it counts who has a page (include/linux/swap.h).
type swapInfo struct {
	Max      uint32        `kernel:"max"`               // pages
	Map      vmem.VirtAddr `kernel:"swap_map,optional"` // a byte for each page, until 7.0
	Clusters vmem.VirtAddr `kernel:"cluster_info"`
}

// A swapCluster is struct swap_cluster_info of mm/swap.h.
type swapCluster struct {
	Table  vmem.VirtAddr `kernel:"table"`        // since 6.18; 0 where no page is in use
	Extend vmem.VirtAddr `kernel:"extend_table"` // counts that do not fit there
}

type swapViews struct {
	info    *kstruct.View[swapInfo]
	cluster *kstruct.View[swapCluster]
	entries kstruct.Member // of swap_table
	err     error
}

func bindSwap(types *isf.File) (v swapViews) {
	b := kstruct.NewBinder(types)
	v.info = kstruct.Bind[swapInfo](b, "swap_info_struct")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.cluster = kstruct.BindOptional[swapCluster](b, "swap_cluster_info")
	v.entries = kstruct.BindOptionalMember(b, "swap_table", "entries")
	return v
}

// Bits of a byte of swap_map (include/linux/swap.h), and where an entry of a swap table has its count (mm/swap_table.h).
const (
	swapContinued  = 0x80
	swapHasCache   = 0x40
	swapMapMax     = 0x3e
	swapCountShift = 60
	swapCountMax   = 0xf
)

// swapUsers returns how many entries of page tables have a page of a swap file, at least 1 (swp_swapcount of mm/swapfile.c). A page that more than 62 have has
// its count in parts, of which the first is returned with the error.
func (r *Reader) swapUsers(typ uint8, offset uint64) (int, error) {
	n, err := r.readSwapUsers(typ, offset)
	if err != nil {
		return max(n, 1), vmem.NewGap(fmt.Sprintf("users of page %d of swap file %d", offset, typ), vmem.Place{}, cause(err, r.swap.err))
	}
	return max(n, 1), nil
}

func (r *Reader) readSwapUsers(typ uint8, offset uint64) (int, error) {
	array, err := r.k.Symbol("swap_info")
	if err != nil {
		return 1, err
	}
	at, err := r.mem.Uint64(array + vmem.VirtAddr(8*uint64(typ)))
	if err != nil {
		return 1, err
	}
	if !plausible(vmem.VirtAddr(at)) {
		return 1, corrupt("swap_info_struct pointer %#x", at)
	}
	s, err := r.swap.info.Load(r.mem, vmem.VirtAddr(at))
	if err != nil {
		return 1, err
	}
	if offset >= uint64(s.Max) {
		return 1, corrupt("the swap file has %d pages", s.Max)
	}
	if !r.swap.info.Has("Map") {
		return r.tableUsers(s.Clusters, offset)
	}
	n, err := r.mem.Uint8(s.Map + vmem.VirtAddr(offset))
	if err == nil && n&swapContinued != 0 {
		return swapMapMax, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, swapMapMax)
	}
	return int(n &^ swapHasCache), err
}

// tableUsers is readSwapUsers of kernels that have a table for each cluster of a swap file.
func (r *Reader) tableUsers(clusters vmem.VirtAddr, offset uint64) (int, error) {
	count := r.swap.entries.Count()
	if !r.swap.cluster.Ok() || count == 0 {
		return 1, kstruct.ErrUnsupported
	}
	c, err := r.swap.cluster.Load(r.mem, clusters+vmem.VirtAddr(offset/count*r.swap.cluster.Size()))
	if err != nil {
		return 1, err
	}
	if c.Table == 0 {
		return 1, corrupt("cluster %d has no page that is in use", offset/count)
	}
	entry, err := r.mem.Uint64(c.Table + vmem.VirtAddr(8*(offset%count)))
	n := int(entry >> swapCountShift)
	if err == nil && n == swapCountMax && plausible(c.Extend) {
		var more uint32
		more, err = r.mem.Uint32(c.Extend + vmem.VirtAddr(4*(offset%count)))
		n = int(more)
	}
	return n, err
}
