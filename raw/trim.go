package raw

import (
	"bytes"
	"context"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// maxPieces bounds what a file can make of the memory outside of RAM. Firmware and
	// devices have some dozens of areas.
	maxPieces = 1 << 18
	// window is how much is looked at at once, in bytes.
	window = 256 << 10
)

var zeroPage [vmem.PageSize]byte

// trim returns the records without the pages outside of RAM that hold only zeros. The
// error is that of ctx.
func (f *File) trim(ctx context.Context, records []extent.Extent, ram []vmem.Range[vmem.PhysAddr]) ([]extent.Extent, error) {
	var kept []extent.Extent
	buf := make([]byte, window)
	for _, e := range records {
		for _, r := range ram {
			if part := r.Intersect(e.Range); part.Size > 0 {
				kept = append(kept, partOf(e, part))
			}
		}
	}
	inside := len(kept)
	for _, e := range records {
		for _, r := range vmem.SubtractRanges(e.Range, ram) {
			kept = f.outside(ctx, kept, partOf(e, r), buf, inside+maxPieces)
		}
	}
	return kept, ctx.Err()
}

// partOf returns the part of e that is the memory r.
func partOf(e extent.Extent, r vmem.Range[vmem.PhysAddr]) extent.Extent {
	return extent.Extent{Range: r, Offset: e.Offset + int64(r.Start-e.Range.Start)}
}

// outside appends the pages of e that hold anything, or that can't be read, to kept, which
// gets no longer than limit. It ends with ctx.
func (f *File) outside(ctx context.Context, kept []extent.Extent, e extent.Extent, buf []byte, limit int) []extent.Extent {
	for e.Range.Size > 0 && ctx.Err() == nil {
		n := min(uint64(len(buf))-uint64(e.Range.Start)%vmem.PageSize, e.Range.Size)
		got, _ := f.source.ReadAt(buf[:n], e.Offset)
		for at := uint64(0); at < n; {
			page := min(vmem.PageSize-(uint64(e.Range.Start)+at)%vmem.PageSize, n-at)
			if at+page > uint64(got) || !bytes.Equal(buf[at:at+page], zeroPage[:page]) {
				if len(kept) == limit {
					f.gaps = append(f.gaps, vmem.Gap{Object: "image", Place: vmem.ImagePlace(e.Offset + int64(at)), Err: ErrTooMany})
					return kept
				}
				r := vmem.Range[vmem.PhysAddr]{Start: e.Range.Start + vmem.PhysAddr(at), Size: page}
				kept = join(kept, partOf(e, r))
			}
			at += page
		}
		e = partOf(e, vmem.Range[vmem.PhysAddr]{Start: e.Range.Start + vmem.PhysAddr(n), Size: e.Range.Size - n})
	}
	return kept
}

// join appends e, or extends the last record by it.
func join(kept []extent.Extent, e extent.Extent) []extent.Extent {
	if n := len(kept); n > 0 {
		last := &kept[n-1]
		if last.Range.Last()+1 == e.Range.Start && last.Offset+int64(last.Range.Size) == e.Offset {
			last.Range.Size += e.Range.Size
			return kept
		}
	}
	return append(kept, e)
}
