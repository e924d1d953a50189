package vmem

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// A PlaceKind says what the address of a [Place] is an address of.
type PlaceKind uint8

// The kinds of places.
const (
	NoPlace       PlaceKind = iota // not known, or does not apply
	InImage                        // the image file, at Offset
	InPhysical                     // physical memory
	InKernel                       // virtual memory of the kernel
	InUser                         // virtual memory of the process PID
	numPlaceKinds                  // how many there are
)

var placeNames = [numPlaceKinds]string{"none", "image", "physical", "kernel", "user"}

// String returns none, image, physical, kernel or user.
func (k PlaceKind) String() string {
	if k < numPlaceKinds {
		return placeNames[k]
	}
	return fmt.Sprintf("PlaceKind(%d)", uint8(k))
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (k PlaceKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (k *PlaceKind) UnmarshalText(b []byte) error {
	for i, name := range placeNames {
		if string(b) == name {
			*k = PlaceKind(i)
			return nil
		}
	}
	return fmt.Errorf("vmem: unknown kind of place %q", b)
}

// A Place is where something is, or should be: in an image file or in a memory.
type Place struct {
	Kind   PlaceKind
	Addr   uint64 // the first address, of the kind that Kind says
	Size   uint64 // in bytes; 0 if it is not known
	PID    int32  // of the process, in the initial PID namespace; with InUser only
	Offset int64  // in the image, in bytes from its start; 0 if it is not known
}

// ImagePlace returns the place at offset off of the image, in bytes.
func ImagePlace(off int64) Place { return Place{Kind: InImage, Offset: off} }

// PhysicalPlace returns the place of physical memory that lies at offset off of the image.
// If r is empty, the image does not say which memory it was, and the place is one in the
// image.
func PhysicalPlace(r Range[PhysAddr], off int64) Place {
	if r.Size == 0 {
		return ImagePlace(off)
	}
	return Place{Kind: InPhysical, Addr: uint64(r.Start), Size: r.Size, Offset: off}
}

// KernelPlace returns the place at a virtual address of the kernel.
func KernelPlace(a VirtAddr) Place { return Place{Kind: InKernel, Addr: uint64(a)} }

// UserPlace returns the place at a virtual address of the process pid.
func UserPlace(a VirtAddr, pid int32) Place { return Place{Kind: InUser, Addr: uint64(a), PID: pid} }

// Physical returns the physical memory of the place: the empty range if it has none.
func (p Place) Physical() Range[PhysAddr] {
	if p.Kind != InPhysical {
		return Range[PhysAddr]{}
	}
	return Range[PhysAddr]{Start: PhysAddr(p.Addr), Size: p.Size}
}

// at returns the place of a fault that was met at p or behind it.
func (p Place) at(f *Fault) Place {
	virtual := p.Kind == InKernel || p.Kind == InUser
	switch {
	case f.Virt != 0 && virtual:
		p.Addr, p.Size = uint64(f.Virt), 0
	case f.Virt == 0 && !virtual:
		p = Place{Kind: InPhysical, Addr: uint64(f.Phys)}
	}
	return p
}

// String returns the place in one of the forms
//
//	file offset 0x10
//	physical address 0x1000+0x2000, file offset 0x10
//	kernel address 0xffffffff81000000
//	user address 0x7fff00001000 of PID 12
//
// where +0x2000 is the size. What is zero is left out, and a place of no kind is the
// empty string.
func (p Place) String() string {
	if p.Kind == NoPlace {
		return ""
	}
	var b strings.Builder
	if p.Kind != InImage {
		fmt.Fprintf(&b, "%v address %#x", p.Kind, p.Addr)
		if p.Size != 0 {
			fmt.Fprintf(&b, "+%#x", p.Size)
		}
	}
	if p.Kind == InUser {
		fmt.Fprintf(&b, " of PID %d", p.PID)
	}
	switch {
	case p.Kind == InImage:
		fmt.Fprintf(&b, "file offset %#x", p.Offset)
	case p.Offset != 0:
		fmt.Fprintf(&b, ", file offset %#x", p.Offset)
	}
	return b.String()
}

// placeJSON is a Place as members of an object in JSON.
type placeJSON struct {
	Kind   PlaceKind `json:"place"`
	Addr   *PhysAddr `json:"address"` // whatever the kind: it is the text that matters; null: there is none
	Size   uint64    `json:"size,omitempty"`
	Offset int64     `json:"offset,omitempty"`
	PID    int32     `json:"pid,omitempty"`
}

func (p Place) json() placeJSON {
	j := placeJSON{Kind: p.Kind, Size: p.Size, Offset: p.Offset, PID: p.PID}
	if p.Kind != NoPlace && p.Kind != InImage {
		j.Addr = (*PhysAddr)(&p.Addr)
	}
	return j
}

func (j placeJSON) place() Place {
	p := Place{Kind: j.Kind, Size: j.Size, Offset: j.Offset, PID: j.PID}
	if j.Addr != nil {
		p.Addr = uint64(*j.Addr)
	}
	return p
}

var _ = jsonx.Describe[Place, placeJSON]()

// MarshalJSON returns an object with the members place (the kind), address (hexadecimal,
// as a string), size, offset and pid, as [Gap.MarshalJSON] has them.
func (p Place) MarshalJSON() ([]byte, error) { return jsonx.Marshal(p.json()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (p *Place) UnmarshalJSON(b []byte) error {
	var j placeJSON
	if err := jsonx.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = j.place()
	return nil
}
