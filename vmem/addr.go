package vmem

import (
	"fmt"
	"strconv"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// A PhysAddr is an address in the physical memory of the imaged machine. It
// prints and marshals as hexadecimal.
type PhysAddr uint64

// A VirtAddr is an address that page tables translate: a kernel or a user
// address of the imaged machine. It prints and marshals as hexadecimal.
type VirtAddr uint64

// Addr is either kind of address.
type Addr interface{ PhysAddr | VirtAddr }

// String returns the address as 0x and lower-case hexadecimal digits.
func (a PhysAddr) String() string { return "0x" + strconv.FormatUint(uint64(a), 16) }

// String returns the address as 0x and lower-case hexadecimal digits.
func (a VirtAddr) String() string { return "0x" + strconv.FormatUint(uint64(a), 16) }

var (
	_ = jsonx.Describe[PhysAddr, jsonx.Hex]()
	_ = jsonx.Describe[VirtAddr, jsonx.Hex]()
)

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (a PhysAddr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (a VirtAddr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes what MarshalText
// gives, and any other form that strconv.ParseUint takes with base 0.
func (a *PhysAddr) UnmarshalText(b []byte) error { return unmarshalAddr((*uint64)(a), b) }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes what MarshalText
// gives, and any other form that strconv.ParseUint takes with base 0.
func (a *VirtAddr) UnmarshalText(b []byte) error { return unmarshalAddr((*uint64)(a), b) }

func unmarshalAddr(a *uint64, b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 64)
	if err != nil {
		return fmt.Errorf("vmem: address %q: %w", b, err)
	}
	*a = v
	return nil
}
