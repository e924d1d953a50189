package linux

import (
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Objects returns the kernel's memory as a debugger sees it: objects by the name of their
// symbol or by their type, with members by name. It is for what this package has no type
// of its own for.
func (k *Kernel) Objects() *kstruct.Space { return k.objects }

// Object returns the variable that a symbol names: see [kstruct.Space.Object].
func (k *Kernel) Object(symbol string) kstruct.Value { return k.objects.Object(symbol) }

// Struct returns the object of a type at an address: see [kstruct.Space.Struct].
func (k *Kernel) Struct(typ string, addr vmem.VirtAddr) kstruct.Value {
	return k.objects.Struct(typ, addr)
}
