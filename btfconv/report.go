package btfconv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which an image gives no symbols. A [*MissingError] wraps one.
var (
	// ErrDamaged: a table is there but can't be right: overwritten, cut short, or of
	// another kernel. As the reason of a loss, it is of what is lost alone.
	ErrDamaged = vmem.NewReason("corrupt", "damaged")
	// ErrNotFound: there is no trace of the table.
	ErrNotFound = errors.New("not found")
	// ErrConflict: two parts of the image that should say the same do not.
	ErrConflict = vmem.NewReason("conflict", "they disagree")
	// ErrUnknown: a type is of a kind that this package, or the tool that wrote it, does
	// not know. Nothing is damaged. It is the reason of a loss only.
	ErrUnknown = vmem.NewReason("unsupported", "of an unknown kind")
)

// A MissingError says what an image lacks to give its own symbols, of which
// kernel it is, as far as that is known, and what to get instead.
type MissingError struct {
	Part    Part
	Release string // as uname -r has it; "" where not known
	BuildID string // of vmlinux, in hexadecimal; "" where not known
	Err     error  // wraps ErrDamaged, ErrNotFound or vmem.ErrNotCaptured
}

// A Part is a part of the kernel that symbols are made of.
type Part string

// The parts of the kernel that symbols are made of.
const (
	PartKallsyms Part = "kallsyms"  // names and addresses
	PartBTF      Part = "BTF"       // types
	PartInitTask Part = "init_task" // without which a kernel can't be told from its remains
)

// Error names the kernel, what is missing, why, and which file would help.
func (e *MissingError) Error() string {
	var b strings.Builder
	b.WriteString("btfconv: ")
	if e.Release == "" {
		b.WriteString("unknown kernel")
	} else {
		b.WriteString("kernel " + e.Release)
	}
	if e.BuildID != "" {
		b.WriteString(" (build id " + e.BuildID + ")")
	}
	fmt.Fprintf(&b, ": no usable %s in the image: %v; %s", string(e.Part), e.Err, e.Part.remedy())
	return b.String()
}

// Unwrap returns Err.
func (e *MissingError) Unwrap() error { return e.Err }

func (p Part) remedy() string {
	const isf = "an ISF file of exactly this kernel, or one made from its vmlinux with debug information, "
	switch p {
	case PartBTF:
		return isf + "would help, as would /sys/kernel/btf/vmlinux with /proc/kallsyms of a machine that runs it"
	case PartKallsyms:
		return isf + "would help, as would System.map or /proc/kallsyms of a machine that runs it, with its BTF"
	}
	return isf + "would help"
}

// A Report says what FromMemory found in an image, and how. It is safe for
// concurrent use.
type Report struct {
	Release    string        // as uname -r has it
	BuildID    string        // of vmlinux, in hexadecimal; "" where not known
	Banner     string        // linux_banner, without the newline at its end
	FoundBy    string        // how the kernel was found
	KASLRShift uint64        // what was subtracted from addresses of the kernel's image
	TextPhys   vmem.PhysAddr // where the kernel's image starts
	Kallsyms   Table
	Exports    Table // __ksymtab
	ExportsErr error // why Exports was not used; nil if it was. That alone is no error of FromMemory
	BTF        Table

	// Why a part is not in the database, a *MissingError each; nil where it is, be it damaged. None is an
	// error of FromMemory. Without types there is little to be done with the symbols;
	// without kallsyms there are those that are exported or pointed to; and where
	// init_task is not verified, nothing but the tables says that the kernel is the one that runs.
	TypesErr, KallsymsErr, InitTaskErr error

	// Found lists the symbols that are in neither kallsyms nor the export tables
	// and were found in some other way, by name.
	Found []FoundSymbol
	// Missing lists the symbols that analysis uses and that were not found, by
	// name. Each costs one artefact at most.
	Missing []string

	mem   vmem.Memory
	image vmem.Range[vmem.PhysAddr] // code and read-only data
}

// lostParts returns the losses of whole parts.
func (r *Report) lostParts() (lost []error) {
	for _, err := range []error{r.TypesErr, r.KallsymsErr, r.InitTaskErr} {
		if m, ok := errors.AsType[*MissingError](err); ok {
			lost = append(lost, vmem.NewGap(string(m.Part), vmem.Place{}, m.Err))
		}
	}
	return lost
}

// A Table is one of the tables that symbols came from.
type Table struct {
	Addr    vmem.PhysAddr // of its first byte
	Size    uint64        // in bytes
	Count   int           // of its symbols or types
	FoundBy string
}

// A FoundSymbol is a symbol that no table names.
type FoundSymbol struct {
	Name    string
	Address uint64 // as linked: without the KASLR shift
	FoundBy string
}
