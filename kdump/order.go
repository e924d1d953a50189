package kdump

import (
	"fmt"
	"slices"
)

// Writers put the data of pages into the file in the order of the pages, one behind the
// other, but for a page of zeros, which is there once for all that are so (makedumpfile's
// write_kdump_pages_cyclic, QEMU's write_dump_pages). An offset that is damaged leads to the data of
// another page, and nothing tells but that they are out of this order.

// An order is what is known of the order of data in a file.
type order struct {
	known  bool
	shared descriptor // of the page of zeros, or of the first page
}

const (
	// minOrdered is how many descriptors in order show that a file is, and outOfOrder the share of them
	// that may be out of it.
	minOrdered, outOfOrder = 8, 8
	// around is how many descriptors before and behind one its neighbours are looked for among, at
	// most: between them may be pages of zeros.
	around = 4096
)

// learnOrder finds out from the first descriptors, b, whether data are in order.
func learnOrder(b []byte) (o order) {
	all := make([]descriptor, 0, len(b)/descriptorSize)
	for ; len(b) >= descriptorSize; b = b[descriptorSize:] {
		if d, err := parseDescriptor(b); err == nil {
			all = append(all, d)
			if o.shared.off == 0 || d.off < o.shared.off {
				o.shared = d
			}
		}
	}
	var last descriptor
	fit, unfit := 0, 0
	for _, d := range all {
		switch {
		case d == o.shared:
			continue
		case last.off == 0:
		case last.end() == d.off:
			fit++
		default:
			unfit++
		}
		last = d
	}
	o.known = fit >= minOrdered && unfit*outOfOrder <= fit
	return o
}

// end returns the offset behind the data.
func (d descriptor) end() int64 { return d.off + int64(d.size) }

// inOrder returns an error where the data of a descriptor, which is at an offset, can't be where it
// says: its neighbours, which are in order themselves, leave no place for them there.
func (d *decoder) inOrder(x *index, at int64, p descriptor) error {
	if !x.order.known || p == x.order.shared {
		return nil
	}
	from, to := x.descriptors, x.descriptors+int64(x.count)*descriptorSize
	for _, n := range [...]int64{1, 64, around} { // mostly the next ones tell
		from, to := max(from, at-n*descriptorSize), min(to, at+(n+1)*descriptorSize)
		if at < from || at >= to {
			return nil
		}
		d.near = slices.Grow(d.near[:0], int(to-from))
		b := d.near[:to-from]
		if got, _ := x.r.ReadAt(b, from); got < len(b) {
			return nil
		}
		before := x.order.own(b[:at-from], true)
		after := x.order.own(b[at-from+descriptorSize:], false)
		switch {
		case before[0].off != 0 && before[0].end() == p.off || after[0].off != 0 && p.end() == after[0].off:
			return nil
		case before[1].off != 0 && before[1].end() == before[0].off || after[1].off != 0 && after[0].end() == after[1].off:
			return fmt.Errorf("%w: descriptor with offset %#x, out of the order of its neighbours", ErrDamaged, p.off)
		}
	}
	return nil
}

// own returns the two descriptors of pages with data of their own that are next to one end of b: the
// last ones, the last first, or the first ones.
func (o *order) own(b []byte, last bool) (two [2]descriptor) {
	for n := 0; len(b) > 0 && n < len(two); {
		var one []byte
		if at := len(b) - descriptorSize; last {
			one, b = b[at:], b[:at]
		} else {
			one, b = b[:descriptorSize], b[descriptorSize:]
		}
		if d, err := parseDescriptor(one); err == nil && d != o.shared {
			two[n] = d
			n++
		}
	}
	return two
}
