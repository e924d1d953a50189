package kstack

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// maxEntries bounds a table: kernels have up to half a million entries.
const maxEntries = 1 << 22

// kernelTable reads the kernel's own table: by its symbols, which are of data, or by what it is.
func kernelTable(k *linux.Kernel) (*table, error) {
	var at [3]vmem.VirtAddr
	for i, name := range []string{"__start_orc_unwind_ip", "__stop_orc_unwind_ip", "__start_orc_unwind"} {
		a, err := k.Symbol(name)
		if err != nil {
			return searchTable(k)
		}
		at[i] = a
	}
	n := uint64(at[1]-at[0]) / 4
	if at[1] <= at[0] || n > maxEntries {
		return nil, corrupt("ORC table from %v to %v", at[0], at[1])
	}
	return readTable(k.Space(), at[0], at[2], n)
}

// minRow is how many addresses a row must have at least to be the kernel's table, and imageEnd how far behind the code it is looked for.
const (
	minRow   = 10000
	imageEnd = 128 << 20
)

// searchTable finds the longest row of 32-bit offsets each of which leads to an address of code that is not below that of the one before. The entries
// are behind it.
func searchTable(k *linux.Kernel) (*table, error) {
	var code [2]vmem.VirtAddr
	for i, name := range []string{"_stext", "_etext"} {
		a, err := k.Symbol(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
		}
		code[i] = a
	}
	var bestAt, rowAt, last vmem.VirtAddr
	var best, row uint64
	page := make([]byte, vmem.PageSize)
	for at := code[1] &^ (vmem.PageSize - 1); at < code[1]+imageEnd; at += vmem.PageSize {
		if _, err := k.Space().ReadVirt(page, at); err != nil {
			row = 0
			continue
		}
		for i := 0; i < len(page); i += 4 {
			here := at + vmem.VirtAddr(i)
			ip := here + vmem.VirtAddr(int64(int32(binary.LittleEndian.Uint32(page[i:]))))
			// Code that was freed after start is behind what is told of it.
			if ip < code[0] || ip > code[1]+imageEnd || row == 0 && ip > code[1] || row > 0 && ip < last {
				row = 0
				continue
			}
			if row == 0 {
				rowAt = here
			}
			if last, row = ip, row+1; row > best {
				best, bestAt = row, rowAt
			}
		}
	}
	if best < minRow || best > maxEntries {
		return nil, fmt.Errorf("%w: no ORC table", kstruct.ErrUnsupported)
	}
	return readTable(k.Space(), bestAt, bestAt+vmem.VirtAddr(4*best), best)
}

// A moduleORC is what of struct module.arch is ORC (struct mod_arch_specific of arch/x86/include/asm/module.h).
type moduleORC struct {
	Count   uint32        `kernel:"arch.num_orcs"`
	IPs     vmem.VirtAddr `kernel:"arch.orc_unwind_ip"`
	Entries vmem.VirtAddr `kernel:"arch.orc_unwind"`
}

// A taskStack is what of a task_struct is its kernel stack.
type taskStack struct {
	Stack vmem.VirtAddr `kernel:"stack"`
	SP    vmem.VirtAddr `kernel:"thread.sp"`
}

type views struct {
	task  *kstruct.View[taskStack]
	onCPU kstruct.Member // an int, since 7.0 a byte
	err   error

	module *kstruct.View[moduleORC]
}

func bindViews(types *isf.File) (v views) {
	b := kstruct.NewBinder(types)
	v.task = kstruct.Bind[taskStack](b, "task_struct")
	v.onCPU = kstruct.BindMember(b, "task_struct", "on_cpu")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.module = kstruct.BindOptional[moduleORC](b, "module")
	return v
}
