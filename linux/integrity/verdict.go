package integrity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Kind is a kind of code.
type Kind uint8

// The kinds of code.
const (
	Unknown    Kind = iota // in no code that the kernel knows of
	Kernel                 // of the kernel's image
	Module                 // of a module
	BPF                    // of a BPF program
	Trampoline             // made by the kernel to get from one place to another
)

var kindNames = [...]string{"unknown", "kernel", "module", "bpf", "trampoline"}

// String returns unknown, kernel, module, bpf or trampoline.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Verdict says whose code a target is.
type Verdict struct {
	Kind Kind
	Name string // of a module
	ID   uint32 // of a BPF program
}

// String returns kernel, module NAME, bpf ID, trampoline or unknown.
func (v Verdict) String() string {
	switch v.Kind {
	case Module:
		return "module " + v.Name
	case BPF:
		return "bpf " + strconv.FormatUint(uint64(v.ID), 10)
	default:
		return v.Kind.String()
	}
}

// MarshalText returns what String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

var errVerdict = errors.New("not a verdict")

// UnmarshalText takes what MarshalText gives.
func (v *Verdict) UnmarshalText(text []byte) error {
	kind, rest, more := strings.Cut(string(text), " ")
	*v = Verdict{}
	for i, name := range kindNames {
		if name == kind {
			v.Kind = Kind(i)
		}
	}
	switch {
	case v.Kind == Module && more:
		v.Name = rest
		return nil
	case v.Kind == BPF && more:
		id, err := strconv.ParseUint(rest, 10, 32)
		v.ID = uint32(id)
		return err
	case more || v.Kind == Module || v.Kind == BPF || v.Kind.String() != kind:
		return fmt.Errorf("%w: %q", errVerdict, text)
	}
	return nil
}
