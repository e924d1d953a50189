// Package taskshape finds out how the kernel's struct task_struct is laid out, and what leads
// from a task to its PID, its threads and its credentials, from nothing but tasks in memory. It
// is for images that have lost the types of their kernel, where no layout of it is known.
//
// It goes by what holds in all kernels that are read here, from 5.10 on, whatever their
// configuration: which members lie side by side (include/linux/sched.h), which of them point to
// the task itself, to its neighbours and back, and which values they have in all tasks. A member
// for whose place not nearly all tasks speak, or for which several places would do, is not
// inferred, and that is told. Kernels whose structures are shuffled (CONFIG_RANDSTRUCT) have
// none of that.
package taskshape

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrNone says that no tasks were found that a layout could be inferred from.
var ErrNone = errors.New("no tasks in memory that a layout could be inferred from")

// A Shape is what was inferred.
type Shape struct {
	Types  *isf.File // of what was inferred, under the kernel's names
	Tasks  int       // how many processes it was inferred from
	Failed []string  // what was not inferred, such as "mm: no place fits"; of task_struct where no structure is named
}

// Infer finds the tasks in memory and infers their layout. It reads all of memory, twice at
// most. The error wraps ErrNone, or is that of ctx.
func Infer(ctx context.Context, mem vmem.Memory) (*Shape, error) {
	inits, err := findInit(ctx, mem)
	if err != nil {
		return nil, err
	}
	why := []error{ErrNone}
	for _, init := range inits {
		n := &node{mem: mem, init: init}
		if err := n.findLeaders(ctx); err != nil {
			return nil, err
		}
		if len(n.tasks) < minTasks {
			why = append(why, fmt.Errorf("with init_task at %#x: %d processes", init.va, len(n.tasks)))
			continue
		}
		l := n.layout()
		if l.complete() {
			return l.shape()
		}
		why = append(why, fmt.Errorf("with init_task at %#x: of %d processes %q", init.va, len(n.tasks), l.failed))
	}
	return nil, errors.Join(why...)
}

const (
	// minTasks is how many processes there must be: fewer agree by chance.
	minTasks = 16
	// maxTasks is how many are looked at: more would say the same.
	maxTasks = 2048
	// maxInits is how many places are tried that look like init_task.
	maxInits = 8
	// kinReach is how much behind real_parent is read of a task: its links, those of its threads, and a pointer more.
	kinReach = 256
	// taskWindow is how much of each task is looked at. Nothing that is inferred lies further on.
	taskWindow = 8 << 10
	// taskAlign is what the address of a task_struct is a multiple of.
	taskAlign = 64
	// pidMax is PID_MAX_LIMIT (include/linux/threads.h).
	pidMax = 4 << 20
)

// The members from real_parent on, as all kernels have them: real_parent, parent, children,
// sibling, group_leader, ptraced, ptrace_entry, thread_pid, pid_links.
const (
	offParent    = 8
	offChildren  = 16
	offSibling   = 32
	offLeader    = 48
	offThreadPID = offLeader + 40
	offLinks     = offThreadPID + 8
	kinSize      = offLeader + 8
)

// An initTask is where init_task is.
type initTask struct {
	va, pa uint64
	kin    uint64 // offset of real_parent
}

func word(b []byte, off uint64) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
func half(b []byte, off uint64) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

// plausible reports whether v can be the address of an object of the kernel.
func plausible(v uint64) bool { return x86.IsObject(vmem.VirtAddr(v)) }

// findInit finds what is laid out as init_task: it is its own parent, twice, and its own
// leader, and has no siblings (init/init_task.c).
func findInit(ctx context.Context, mem vmem.Memory) (all []initTask, err error) {
	err = scan(ctx, mem, func(b []byte, limit int, pa uint64) bool {
		for i := 0; i < limit && i+kinSize <= len(b); i += 8 {
			va := word(b, uint64(i))
			if va < x86.StartKernelMap || va%taskAlign != 0 {
				continue
			}
			k := b[i : i+kinSize]
			self := word(k, offSibling)
			kin := self - va - offSibling
			if word(k, offParent) == va && word(k, offLeader) == va && word(k, offSibling+8) == self && kin <= taskWindow-kinReach && kin%8 == 0 &&
				plausible(word(k, offChildren)) && plausible(word(k, offChildren+8)) && pa+uint64(i) >= kin {
				all = append(all, initTask{va: va, pa: pa + uint64(i) - kin, kin: kin})
			}
		}
		return len(all) < maxInits
	})
	return all, err
}

// scanChunk is how much of memory is read at a time.
const scanChunk = 1 << 20

// scan calls each with memory piece by piece, each with its physical address, the number of
// bytes that are new, and some more behind them; until it returns false. What can't be read is
// passed over, a page at a time.
func scan(ctx context.Context, mem vmem.Memory, each func(b []byte, limit int, pa uint64) bool) error {
	buf := make([]byte, scanChunk+kinSize)
	for _, r := range mem.Ranges() {
		for off := uint64(0); off < r.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			want := buf[:min(uint64(len(buf)), r.Size-off)]
			n, _ := mem.ReadAt(want, int64(r.Start)+int64(off))
			limit := min(n, scanChunk)
			if !each(want[:n], limit, uint64(r.Start)+off) {
				return nil
			}
			if n < len(want) && limit < scanChunk {
				limit = limit&^(vmem.PageSize-1) + vmem.PageSize
			}
			off += uint64(limit)
		}
	}
	return nil
}
