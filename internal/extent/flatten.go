package extent

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// flatten returns the records without overlaps, sorted by address: each byte
// comes from the record of the lowest index that has it. kept is how many bytes of
// each record are left.
//
// It sweeps over the addresses where any record begins or ends. Between two such
// addresses the set of records that cover the memory does not change, and the
// heap's top is the one that counts. Time is O(n log n) for n records.
func flatten(records []Extent) (out []Extent, kept []uint64) {
	order, edges := sortRecords(records)
	kept = make([]uint64, len(records))
	var open indexHeap
	next := 0
	for i, from := range edges {
		for next < len(order) && records[order[next]].Range.Start == from {
			heap.Push(&open, order[next])
			next++
		}
		for len(open) > 0 && end(records[open[0]].Range) <= from {
			heap.Pop(&open)
		}
		if len(open) == 0 || i+1 == len(edges) {
			continue
		}
		piece := records[open[0]].from(from)
		piece.Range.Size = uint64(edges[i+1] - from)
		kept[open[0]] += piece.Range.Size
		out = appendExtent(out, piece)
	}
	return slices.Clip(out), kept
}

// sortRecords returns the indices of the records that are not empty, by start
// address, and all addresses where one of them begins or ends, ascending.
func sortRecords(records []Extent) (order []int, edges []vmem.PhysAddr) {
	for i, r := range records {
		if r.Range.Size == 0 {
			continue
		}
		order = append(order, i)
		edges = append(edges, r.Range.Start, end(r.Range))
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(records[a].Range.Start, records[b].Range.Start), cmp.Compare(a, b))
	})
	slices.Sort(edges)
	return order, slices.Compact(edges)
}

// appendExtent appends e, joined to the last extent where both the memory and
// the source go on.
func appendExtent(out []Extent, e Extent) []Extent {
	if n := len(out); n > 0 {
		last := &out[n-1]
		if end(last.Range) == e.Range.Start && last.Offset+int64(last.Range.Size) == e.Offset {
			last.Range.Size += e.Range.Size
			return out
		}
	}
	return append(out, e)
}

// An indexHeap has the lowest index on top.
type indexHeap []int

func (h indexHeap) Len() int           { return len(h) }
func (h indexHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h indexHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *indexHeap) Push(x any)        { *h = append(*h, x.(int)) }

func (h *indexHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
