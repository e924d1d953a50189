package capture

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// An Order is the order in which memory is read. A machine goes on while it is captured:
// what points to each other is best read close together.
type Order uint8

const (
	// OrderAscending reads by ascending address. Some readers, Volatility 3 among them,
	// take no image whose records are in another order.
	OrderAscending Order = iota
	// OrderKernelFirst reads the kernel's image first, then slab and page tables, which
	// hold nearly all that a kernel's structures are made of, then the rest.
	OrderKernelFirst
)

var orderNames = []string{"ascending", "kernel-first"}

// ParseOrder returns the order of a name that String gives.
func ParseOrder(name string) (Order, error) {
	i := slices.Index(orderNames, name)
	if i < 0 {
		return 0, fmt.Errorf("capture: no order is called %q: there are %q", name, orderNames)
	}
	return Order(i), nil
}

// String returns ascending or kernel-first.
func (o Order) String() string {
	if int(o) >= len(orderNames) {
		return fmt.Sprintf("Order(%d)", uint8(o))
	}
	return orderNames[o]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseOrder].
func (o *Order) UnmarshalText(b []byte) error {
	v, err := ParseOrder(string(b))
	if err != nil {
		return err
	}
	*o = v
	return nil
}

// A pass goes through all chunks and reads some pages of each.
type pass struct {
	name     string
	within   []vmem.Range[vmem.PhysAddr] // only there; nil means everywhere
	only     []memmap.PageClass          // only these; nil means all but what is to be left out
	classify bool                        // the class of pages matters
	last     bool                        // what it does not read is left out
}

func passesOf(o Options, segments []kcore.Segment) []pass {
	rest := pass{name: "all", classify: o.Pages != nil && len(o.LeaveOut) > 0, last: true}
	if o.Order != OrderKernelFirst {
		return []pass{rest}
	}
	rest.name = "rest"
	passes := []pass{{name: "kernel image", within: kernelImage(segments)}}
	if o.Pages != nil {
		passes = append(passes, pass{name: "slab and page tables", only: []memmap.PageClass{memmap.PageSlab, memmap.PageTable}, classify: true})
	}
	return append(passes, rest)
}

// kernelImage returns where the kernel's text and data are in physical memory: the
// KCORE_TEXT segment.
func kernelImage(segments []kcore.Segment) []vmem.Range[vmem.PhysAddr] {
	image := []vmem.Range[vmem.PhysAddr]{} // not nil: nowhere
	for _, s := range segments {
		if s.InKernelImage() {
			image = append(image, vmem.Range[vmem.PhysAddr]{Start: s.Phys, Size: s.MemSz})
		}
	}
	return vmem.NormalizeRanges(image)
}

// reaches reports whether the pass may read pages of r.
func (p *pass) reaches(r vmem.Range[vmem.PhysAddr]) bool {
	return p.within == nil || slices.ContainsFunc(p.within, func(w vmem.Range[vmem.PhysAddr]) bool { return w.Intersect(r).Size > 0 })
}

// wants reports whether the pass reads the page at addr.
func (p *pass) wants(addr vmem.PhysAddr, class memmap.PageClass, leaveOut []memmap.PageClass) bool {
	switch {
	case p.within != nil && !p.reaches(vmem.Range[vmem.PhysAddr]{Start: addr, Size: pageSize}):
		return false
	case p.only != nil:
		return slices.Contains(p.only, class)
	}
	return !slices.Contains(leaveOut, class)
}
