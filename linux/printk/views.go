package printk

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A ringBuffer is struct printk_ringbuffer (kernel/printk/printk_ringbuffer.h).
type ringBuffer struct {
	CountBits uint32        `kernel:"desc_ring.count_bits"`
	Descs     vmem.VirtAddr `kernel:"desc_ring.descs"`
	Infos     vmem.VirtAddr `kernel:"desc_ring.infos"`
	Head      int64         `kernel:"desc_ring.head_id.counter"`
	Tail      int64         `kernel:"desc_ring.tail_id.counter"`
	SizeBits  uint32        `kernel:"text_data_ring.size_bits"`
	Data      vmem.VirtAddr `kernel:"text_data_ring.data"`
}

// A descriptor is struct prb_desc.
type descriptor struct {
	State int64  `kernel:"state_var.counter"`
	Begin uint64 `kernel:"text_blk_lpos.begin"`
	Next  uint64 `kernel:"text_blk_lpos.next"`
}

// An info is struct printk_info.
type info struct {
	Sequence  uint64   `kernel:"seq"`
	Time      uint64   `kernel:"ts_nsec"`
	Length    uint16   `kernel:"text_len"`
	Facility  uint8    `kernel:"facility"`
	Flags     uint8    `kernel:"flags"`
	Level     uint8    `kernel:"level"`
	Caller    uint32   `kernel:"caller_id"`
	Comm      [16]byte `kernel:"comm,optional"`
	Subsystem [16]byte `kernel:"dev_info.subsystem"`
	Device    [48]byte `kernel:"dev_info.device"`
}

type views struct {
	ring *kstruct.View[ringBuffer]
	desc *kstruct.View[descriptor]
	info *kstruct.View[info]
	err  error
}

func bind(types *isf.File) (v views) {
	b := kstruct.NewBinder(types)
	v.ring = kstruct.Bind[ringBuffer](b, "printk_ringbuffer")
	v.desc = kstruct.Bind[descriptor](b, "prb_desc")
	v.info = kstruct.Bind[info](b, "printk_info")
	v.err = b.Err()
	return v
}
