package swap

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An infoStruct is struct swap_info_struct (include/linux/swap.h).
type infoStruct struct {
	Flags    uint64        `kernel:"flags"`
	Priority int16         `kernel:"prio"`
	Max      uint32        `kernel:"max"`               // pages, with the header
	Pages    uint32        `kernel:"pages"`             // that can be used
	Map      vmem.VirtAddr `kernel:"swap_map,optional"` // a byte for each page, until 7.0
	Zeros    vmem.VirtAddr `kernel:"zeromap,optional"`  // a bit for each page, 6.12 to 7.0
	Clusters vmem.VirtAddr `kernel:"cluster_info"`
	Device   vmem.VirtAddr `kernel:"bdev"`
	File     vmem.VirtAddr `kernel:"swap_file"`
}

// A clusterStruct is struct swap_cluster_info of mm/swap.h.
type clusterStruct struct {
	Table  vmem.VirtAddr `kernel:"table,optional"`        // since 6.18; 0 where no page is in use
	Extend vmem.VirtAddr `kernel:"extend_table,optional"` // counts that do not fit there
	Zeros  vmem.VirtAddr `kernel:"zero_bitmap,optional"`  // where an entry has no room for the bit
}

// A diskStruct is struct gendisk (include/linux/blkdev.h).
type diskStruct struct {
	Name    [32]byte      `kernel:"disk_name"`
	Private vmem.VirtAddr `kernel:"private_data"`
}

// A folioStruct is struct page as far as it names the swap entry that it is cached for.
type folioStruct struct {
	Flags   uint64 `kernel:"flags.f|flags"`
	Private uint64 `kernel:"private"`
}

type views struct {
	info    *kstruct.View[infoStruct]
	used    *kstruct.Field[uint32] // inuse_pages of swap_info_struct
	usedNow *kstruct.Field[int64]  // the same since 6.13, with a flag
	cluster *kstruct.View[clusterStruct]
	entries kstruct.Member // of swap_table
	disk    *kstruct.View[diskStruct]
	bdDisk  *kstruct.Field[vmem.VirtAddr] // of block_device
	start   *kstruct.Field[uint64]        // bd_start_sect of block_device, since 5.11
	mnt     *kstruct.Field[vmem.VirtAddr] // of file
	dentry  *kstruct.Field[vmem.VirtAddr]
	err     error

	page     *kstruct.View[folioStruct]
	space    kstruct.Member // i_pages of address_space
	spaceLen uint64         // of an address_space
	cached   uint64         // PG_swapcache as a mask
	cacheErr error
}

func bindViews(types *isf.File) (v views) {
	b := kstruct.NewBinder(types)
	v.info = kstruct.Bind[infoStruct](b, "swap_info_struct")
	v.bdDisk = kstruct.BindField[vmem.VirtAddr](b, "block_device", "bd_disk")
	v.disk = kstruct.Bind[diskStruct](b, "gendisk")
	v.mnt = kstruct.BindField[vmem.VirtAddr](b, "file", "f_path.mnt")
	v.dentry = kstruct.BindField[vmem.VirtAddr](b, "file", "f_path.dentry")
	v.start = kstruct.BindOptionalField[uint64](b, "block_device", "bd_start_sect")
	if u, err := types.Field("swap_info_struct", "inuse_pages.counter"); err == nil && u.Type != nil {
		v.usedNow = kstruct.BindField[int64](b, "swap_info_struct", "inuse_pages.counter")
	} else {
		v.used = kstruct.BindField[uint32](b, "swap_info_struct", "inuse_pages")
	}
	v.err = b.Err()

	b = kstruct.NewBinder(types)
	v.cluster = kstruct.BindOptional[clusterStruct](b, "swap_cluster_info")
	v.entries = kstruct.BindOptionalMember(b, "swap_table", "entries")
	v.page = kstruct.Bind[folioStruct](b, "page")
	v.space = kstruct.BindMember(b, "address_space", "i_pages")
	if u, err := types.UserType("address_space"); err == nil {
		v.spaceLen = u.Size
	}
	for _, name := range []string{"PG_swapcache", "PG_owner_priv_1"} { // one bit with two names
		if bit, err := types.Constant("pageflags", name); err == nil && bit >= 0 && bit < 64 {
			v.cached = 1 << bit
			break
		}
	}
	v.cacheErr = b.Err()
	return v
}

// A zramStruct is struct zram (drivers/block/zram/zram_drv.h).
type zramStruct struct {
	Table vmem.VirtAddr    `kernel:"table"`
	Pool  vmem.VirtAddr    `kernel:"mem_pool"`
	Size  uint64           `kernel:"disksize"`
	Name  [128]byte        `kernel:"compressor,optional"` // of the compression, until 6.1
	Names [4]vmem.VirtAddr `kernel:"comp_algs,optional"`  // of each, since 6.2; 0 for none
}

// A slotStruct is struct zram_table_entry.
type slotStruct struct {
	Handle uint64 `kernel:"handle"`
	Flags  uint64 `kernel:"attr.flags|flags"` // in a union since 6.19
}

// A paramsStruct is struct zcomp_params (drivers/block/zram/zcomp.h), since 6.12.
type paramsStruct struct {
	Dictionary vmem.VirtAddr `kernel:"dict"`
	Length     uint64        `kernel:"dict_sz"`
	WindowBits int32         `kernel:"deflate.winbits,optional"`
}

// A zramViews is what devices of zram are read with. It is bound by the types of the module.
type zramViews struct {
	zram   *kstruct.View[zramStruct]
	slot   *kstruct.View[slotStruct]
	params *kstruct.View[paramsStruct]
	first  kstruct.Member // params[0] of zram, where there are any
	shift  uint           // of a slot's flags, behind the size

	same, written, huge, priority uint64 // masks of flags
	priorityShift                 uint
	err                           error
}

func bindZram(types *isf.File) (v zramViews) {
	b := kstruct.NewBinder(types)
	v.zram = kstruct.Bind[zramStruct](b, "zram")
	v.slot = kstruct.Bind[slotStruct](b, "zram_table_entry")
	v.err = b.Err()
	v.params = kstruct.BindOptional[paramsStruct](b, "zcomp_params")
	v.first = kstruct.BindOptionalMember(b, "zram", "params")
	e, err := types.Enum("zram_pageflags")
	if err != nil || len(e.Constants) == 0 {
		if v.err == nil {
			v.err = kstruct.ErrUnsupported
		}
		return v
	}
	v.shift = 63
	bit := map[string]uint64{}
	for _, c := range e.Constants {
		if c.Value >= 0 && c.Value < 63 {
			v.shift = min(v.shift, uint(c.Value))
			bit[c.Name] = 1 << c.Value
		}
	}
	v.same, v.written, v.huge = bit["ZRAM_SAME"], bit["ZRAM_WB"], bit["ZRAM_HUGE"]
	if low := bit["ZRAM_COMP_PRIORITY_BIT1"]; low != 0 {
		v.priority = low | bit["ZRAM_COMP_PRIORITY_BIT2"]
		at, _ := types.Constant("zram_pageflags", "ZRAM_COMP_PRIORITY_BIT1")
		v.priorityShift = uint(at)
	}
	if v.same == 0 && v.err == nil {
		v.err = kstruct.ErrUnsupported
	}
	return v
}

// A zspageStruct is struct zspage (mm/zsmalloc.c).
type zspageStruct struct {
	Class uint32 `kernel:"class"`
	Magic uint32 `kernel:"magic"`
	Huge  uint32 `kernel:"huge,optional"` // since 5.17
}

// A zsPage is struct page, or zpdesc since 6.14, as zsmalloc uses it.
type zsPage struct {
	Flags  uint64        `kernel:"flags.f|flags"`
	ZSPage vmem.VirtAddr `kernel:"private"`
	Next   vmem.VirtAddr `kernel:"freelist|index|__folio_index"` // or the handle, where the object is as large as a page; of a page before 5.17 that is the next
	Handle vmem.VirtAddr `kernel:"index|__folio_index"`          // of an object that is as large as a page
}

// A zsViews is what zsmalloc's pools are read with. It is bound by the types of the module.
type zsViews struct {
	zspage  *kstruct.View[zspageStruct]
	page    *kstruct.View[zsPage]
	classes kstruct.Member        // size_class of zs_pool
	size    *kstruct.Field[int32] // of size_class
	huge    uint64                // the flag of a page that has one object, before there was a bit of zspage
	err     error
}

func bindZsmalloc(types *isf.File) (v zsViews) {
	b := kstruct.NewBinder(types)
	v.zspage = kstruct.Bind[zspageStruct](b, "zspage")
	v.page = kstruct.Bind[zsPage](b, "page")
	v.classes = kstruct.BindMember(b, "zs_pool", "size_class")
	v.size = kstruct.BindField[int32](b, "size_class", "size")
	v.err = b.Err()
	if bit, err := types.Constant("pageflags", "PG_owner_priv_1"); err == nil && bit >= 0 && bit < 64 {
		v.huge = 1 << bit
	}
	return v
}
