package ktext

import (
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A Report says how the code of a kernel and its modules compares with their files.
type Report struct {
	BuildID string `json:"buildID" jsonx:"null"` // of the vmlinux
	Areas   []Area `json:"areas"`
	// Patched are the places where memory differs from the file, and is as the kernel's own data says.
	Patched       []Patched      `json:"patched"`
	Modifications []Modification `json:"modifications"` // by address
}

// An Area is a range of code or constant data that was compared.
type Area struct {
	Module  string                    `json:"module" jsonx:"null"` // empty for the kernel
	Section string                    `json:"section"`             // of the file
	Range   vmem.Range[vmem.VirtAddr] `json:"range"`
	Lost    uint64                    `json:"lost"` // how many bytes of it are not in the image
}

// Patched counts places of one kind.
type Patched struct {
	Kind  Kind `json:"kind"`
	Count int  `json:"count"`
}

// A Modification is code or constant data that is not what the file and the kernel's own data say.
type Modification struct {
	Address  vmem.VirtAddr `json:"address"`
	Symbol   string        `json:"symbol" jsonx:"null"` // that it is in, with the offset
	Module   string        `json:"module" jsonx:"null"` // empty for the kernel
	Section  string        `json:"section"`
	Length   int           `json:"length"`   // in bytes
	Expected string        `json:"expected"` // in hexadecimal, at most 64 bytes
	Found    string        `json:"found"`
	Was      []string      `json:"was"` // the instructions that there should be, and those that there are
	Is       []string      `json:"is"`
	Site     Kind          `json:"site"`    // how the kernel itself patches at this place; other: not at all
	Meaning  string        `json:"meaning"` // what it probably is, in words that may change
}

// String returns the modification on one line.
func (m Modification) String() string {
	where := m.Symbol
	if where == "" {
		where = m.Address.String()
	}
	return fmt.Sprintf("%s: %d bytes of %s are %s instead of %s: %s", where, m.Length, m.Section, m.Found, m.Expected, m.Meaning)
}
