package btfconv

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/nodelens/nodelens/vmem"
)

// Without addresses from VMCOREINFO (before 6.0, or where its page was lost), the
// tables of kallsyms are found by the shape of the largest: kallsyms_offsets is
// more than 100 KiB of numbers that ascend or descend by small steps. So a look at
// a few of every 32 KiB finds it, and the image need not be read.
const (
	probeStep = 32 << 10
	probeSize = 128      // what is looked at first
	probeRun  = 16 << 10 // what has to be in order then: no file in the page cache has four pages in a row by chance
	maxStep   = 16 << 20 // between the addresses of two symbols
	reach     = 8 << 20  // how far the other tables may be; 400,000 symbols fit
	maxUnseen = 40000    // symbols that a run may lack: before its first look, of per-CPU variables, and such as share an address
)

// A kallsymsPlace is where tables may be, and what was read around them.
type kallsymsPlace struct {
	window []byte
	phys   vmem.PhysAddr // of the window
	names  int           // index of kallsyms_names
}

// findKallsyms looks for kallsyms within a part of memory and calls try for each
// place that may hold kallsyms_names, until it returns true.
func findKallsyms(ctx context.Context, mem vmem.Memory, within vmem.Range[vmem.PhysAddr], try func(kallsymsPlace) bool) error {
	for _, r := range mem.Ranges() {
		r = r.Intersect(within)
		for off := uint64(0); off+probeRun <= r.Size; off += probeStep {
			if off%(64<<20) == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			at := r.Start + vmem.PhysAddr(off)
			run := orderedRun(mem, at)
			if run < 2*probeRun {
				continue
			}
			if tryAround(mem, r, at, run, try) {
				return nil
			}
			off += run &^ (probeStep - 1)
		}
	}
	return nil
}

// orderedRun returns for how many bytes from at on the numbers look like those
// of kallsyms_offsets, in steps of probeRun.
func orderedRun(mem vmem.Memory, at vmem.PhysAddr) uint64 {
	var first [probeSize]byte
	if n, _ := mem.ReadAt(first[:], int64(at)); n < probeSize || !ordered(first[:], probeSize/16) {
		return 0
	}
	b := make([]byte, probeRun)
	for run := uint64(0); ; run += probeRun {
		if n, _ := mem.ReadAt(b, int64(at)+int64(run)); n < probeRun || !ordered(b, 0) || isZero(b) {
			return run
		}
	}
}

// ordered reports whether b may be a part of kallsyms_offsets, in any of its
// modes, with at least so many different addresses. In places, thousands of
// names share one (__kstrtabns_*, in 5.10).
func ordered(b []byte, different int) bool {
	return inOrder(b, -1, 0, different) || inOrder(b, 1, 0, different) || inOrder(b, 1, 4, different)
}

func isZero(b []byte) bool { return bytes.Equal(b, make([]byte, len(b))) }

// inOrder reports whether the numbers in b, times sign, plus step times their
// index, don't descend, ascend slowly, and change. (Zeros ascend if step is not
// 0, but don't change.)
func inOrder(b []byte, sign, step int64, different int) bool {
	last, lastNumber := int64(math.MinInt64), int32(0)
	changes := 0
	for i := 0; i+4 <= len(b); i += 4 {
		number := int32(binary.LittleEndian.Uint32(b[i:]))
		v := sign*int64(number) + step*int64(i/4)
		if v < last || i > 0 && v > last+maxStep {
			return false
		}
		if v != last && number != lastNumber {
			changes++
		}
		last, lastNumber = v, number
	}
	return changes >= different
}

// tryAround looks for kallsyms_num_syms, and the names after it, around a run of
// ordered numbers: a number that is about as large as the run is long, up to what
// was not seen of the run before its first and after its last step.
func tryAround(mem vmem.Memory, r vmem.Range[vmem.PhysAddr], at vmem.PhysAddr, run uint64, try func(kallsymsPlace) bool) bool {
	p := kallsymsPlace{phys: (at - vmem.PhysAddr(min(reach, uint64(at-r.Start))) + 7) &^ 7}
	p.window = readUpTo(mem, p.phys, int(at-p.phys)+reach)
	low := uint32(run / 4)
	high := low + maxUnseen
	for i := 0; i+64 < len(p.window); i += 4 {
		n := binary.LittleEndian.Uint32(p.window[i:])
		if n < low || n > high {
			continue
		}
		p.names = i + 4
		if binary.LittleEndian.Uint32(p.window[i+4:]) == 0 {
			p.names = i + 8
		}
		if looksLikeNames(p.window[p.names:]) && try(p) {
			return true
		}
	}
	return false
}

// looksLikeNames steps over a few names.
func looksLikeNames(b []byte) bool {
	for i, k := 0, 0; k < 16; k++ {
		if i >= len(b) || b[i] == 0 || b[i] > 100 {
			return false
		}
		i += int(b[i]) + 1
	}
	return true
}
