package network

import (
	"fmt"
	"reflect"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A boundKey names a view of a module's structure.
type boundKey struct {
	module, typ string
	view        reflect.Type
}

// viewOf returns the view of a structure that a module has, bound when it is first asked for.
// Where the code of the module is built in, the structure is among the kernel's own. A lack is
// told once.
func viewOf[T any](r *reader, module, typ string) (*kstruct.View[T], bool) {
	key := boundKey{module, typ, reflect.TypeFor[T]()}
	if v, ok := r.bound[key]; ok {
		view, _ := v.(*kstruct.View[T])
		return view, view != nil
	}
	types, err := r.types(module)
	var view *kstruct.View[T]
	if types != nil {
		b := kstruct.NewBinder(types)
		view = kstruct.Bind[T](b, typ)
		if lacks := b.Err(); lacks == nil {
			err = nil
		} else if err == nil {
			err = lacks
		}
	}
	if err != nil {
		r.bound[key] = nil
		r.lose(fmt.Sprintf("struct %s of the module %s", typ, module), 0, err)
		return nil, false
	}
	r.bound[key] = view
	return view, true
}

// structAt reads a structure of a module that belongs to a device. It reports whether it
// could, and tells what it could not.
func structAt[T any](r *reader, d *device, module, typ string, addr vmem.VirtAddr) (s T, ok bool) {
	v, ok := viewOf[T](r, module, typ)
	if !ok {
		return s, false
	}
	err := errPointer(typ, addr)
	if plausible(addr) {
		s, err = v.Load(r.space, addr)
	}
	if err != nil {
		r.lose(typ+" of "+d.text(), addr, err)
	}
	return s, err == nil
}

// private reads the private part of a device.
func private[T any](r *reader, d *device, module, typ string) (T, bool) {
	return structAt[T](r, d, module, typ, r.priv(d))
}
