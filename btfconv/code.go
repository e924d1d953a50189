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
