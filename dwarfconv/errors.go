package dwarfconv

import (
	"errors"
	"fmt"
)

// The reasons for which a file can't be converted at all. Their messages say
// what to give instead.
var (
	// ErrFormat: the file is neither an ELF file, nor one compressed, nor a
	// package of Debian or in RPM.
	ErrFormat = errors.New("not an ELF file: give a vmlinux, a module (.ko) or a -dbg or -debuginfo package (.deb, .rpm)")
	// ErrBootImage: the file is a vmlinuz (bzImage), the compressed kernel that
	// boots. Debug information never is in it.
	ErrBootImage = errors.New("a boot image (vmlinuz), which has no debug information: " +
		"give the vmlinux of the same build, from the kernel's -dbg or -debuginfo package or its build directory")
	// ErrNoDWARF: the ELF file has no debug information, or it was stripped.
	ErrNoDWARF = errors.New("no DWARF in the file, it is stripped or was built without CONFIG_DEBUG_INFO: " +
		"give the vmlinux of the same build from the kernel's -dbg or -debuginfo package")
	// ErrReduced: the kernel was built with less debug information than analysis needs: its
	// structures are declared only (CONFIG_DEBUG_INFO_REDUCED), or are not there at all
	// (-g1), as that of struct task_struct shows.
	ErrReduced = errors.New("the debug information is reduced, it does not define struct task_struct: " +
		"give the vmlinux of the kernel's -dbg or -debuginfo package, or of a build without CONFIG_DEBUG_INFO_REDUCED; " +
		"a kernel with CONFIG_DEBUG_INFO_BTF can do without")
	// ErrNotKernel: the file has debug information, but of something else than a
	// Linux kernel or a part of it.
	ErrNotKernel = errors.New("not a Linux kernel: give a vmlinux or a kernel module")
	// ErrDamaged: not a single unit of the debug information could be read. The
	// reason for the first one comes with it.
	ErrDamaged = errors.New("debug information damaged from the start")
)

// A UnitError says that a unit of the debug information was skipped, or, with
// Next or Rest, that so were units behind it. Everything else in the file is converted.
type UnitError struct {
	Section string // .debug_info or .debug_types
	Unit    uint64 // offset in bytes of the unit's header in the section
	Next    uint64 // where units were found again, by their headers, after one whose length is damaged; 0 otherwise
	Rest    bool   // the unit's length is damaged, and there is none behind it
	Err     error
}

// Error implements the error interface.
func (e *UnitError) Error() string {
	switch {
	case e.Next > 0:
		return fmt.Sprintf("dwarfconv: units of %s lost at %#x, found again at %#x: %v", e.Section, e.Unit, e.Next, e.Err)
	case e.Rest:
		return fmt.Sprintf("dwarfconv: units from %#x of %s on lost: %v", e.Unit, e.Section, e.Err)
	}
	return fmt.Sprintf("dwarfconv: unit at %#x of %s skipped: %v", e.Unit, e.Section, e.Err)
}

// Unwrap returns the reason.
func (e *UnitError) Unwrap() error { return e.Err }

// A LossError says what else of a file could not be taken as it is: a symbol, a section
// beside the units, or one of several members of one name, of which the last holds as it
// does for dwarf2json.
type LossError struct {
	Object string // such as "struct page" or "symbol 12"
	Err    error
}

// Error implements the error interface.
func (e *LossError) Error() string { return fmt.Sprintf("dwarfconv: %s: %v", e.Object, e.Err) }

// Unwrap returns the reason.
func (e *LossError) Unwrap() error { return e.Err }
