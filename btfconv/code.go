package btfconv

import (
	"bytes"
	"encoding/binary"
)

// fromCode finds cgrp_dfl_visible, which says whether /proc/PID/cgroup shows the
// unified hierarchy: cgroup_get_tree in kernel/cgroup/cgroup.c begins with setting
// it, which all compilers do with one instruction: movb $1, offset(%rip).
func (f *finder) fromCode() {
	const name, size = "cgrp_dfl_visible", 7
	va, ok := f.find("cgroup_get_tree")
	if !ok || f.has(name) {
		return
	}
	code := f.image.window(va, 64)
	i := bytes.Index(code, []byte{0xc6, 0x05})
	if i < 0 || i+size > len(code) || code[i+size-1] != 1 {
		return
	}
	target := va + uint64(i+size) + uint64(int64(int32(binary.LittleEndian.Uint32(code[i+2:]))))
	if b, err := f.image.read(target, 1); err == nil && b[0] <= 1 && target < f.end {
		f.found(name, target, "what cgroup_get_tree sets")
	}
}

// linkedByCode returns where the kernel was linked. dump_kernel_offset in
// arch/x86/kernel/setup.c prints that, after __START_KERNEL_map: constants, which KASLR does
// not move, and which all compilers pass to printk as movq $constant, %rdx and %rcx.
func (f *finder) linkedByCode() (uint64, bool) {
	va, ok := f.find("dump_kernel_offset")
	if !ok {
		return 0, false
	}
	code := f.image.window(va, 128)
	if !bytes.Contains(code, []byte{0x48, 0xc7, 0xc1, 0, 0, 0, 0x80}) {
		return 0, false
	}
	i := bytes.Index(code, []byte{0x48, 0xc7, 0xc2})
	if i < 0 || i+7 > len(code) {
		return 0, false
	}
	at := uint64(int64(int32(binary.LittleEndian.Uint32(code[i+3:]))))
	return at, at-startKernelMap < kernelImageMax && at%kernelAlign == 0
}
