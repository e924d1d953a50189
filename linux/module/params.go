package module

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Parameter is a parameter of a module with its value, as /sys/module/NAME/parameters shows it.
type Parameter struct {
	Name  string
	Value string
	Known bool   // false: the module shows the value by a function of its own, or it is lost
	Mode  uint16 // of the file in sysfs; 0: there is none
}

// Parameters are the parameters of a module, in the order in which it has them.
type Parameters []Parameter

var _ = jsonx.Describe[Parameters, map[string]*string]()

// MarshalJSON returns an object of the names and values; a value that is not known is null.
func (p Parameters) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, param := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(param.Name)
		if err != nil {
			return nil, err
		}
		value := []byte("null")
		if param.Known {
			if value, err = json.Marshal(param.Value); err != nil {
				return nil, err
			}
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A kernelParam is struct kernel_param (include/linux/moduleparam.h).
type kernelParam struct {
	Name   vmem.VirtAddr `kernel:"name"`
	Module vmem.VirtAddr `kernel:"mod"`
	Ops    vmem.VirtAddr `kernel:"ops"`
	Mode   uint16        `kernel:"perm"`
	Arg    vmem.VirtAddr `kernel:"arg"`
}

// A paramArray is struct kparam_array.
type paramArray struct {
	Max  uint32        `kernel:"max"`
	Size uint32        `kernel:"elemsize"`
	Num  vmem.VirtAddr `kernel:"num"`
	Ops  vmem.VirtAddr `kernel:"ops"`
	Elem vmem.VirtAddr `kernel:"elem"`
}

type paramViews struct {
	param *kstruct.View[kernelParam]
	array *kstruct.View[paramArray]
	text  *kstruct.Field[vmem.VirtAddr] // of kparam_string
	get   *kstruct.Field[vmem.VirtAddr] // of kernel_param_ops
	err   error
}

func bindParams(types *isf.File) (v paramViews) {
	b := kstruct.NewBinder(types)
	v.param = kstruct.Bind[kernelParam](b, "kernel_param")
	v.array = kstruct.Bind[paramArray](b, "kparam_array")
	v.text = kstruct.BindField[vmem.VirtAddr](b, "kparam_string", "string")
	v.get = kstruct.BindField[vmem.VirtAddr](b, "kernel_param_ops", "get")
	v.err = b.Err()
	return v
}

// A getter reads the value of a parameter at an address, as text.
type getter func(s *Set, arg vmem.VirtAddr) (string, error)

// The getters by the name of the kernel's function (kernel/params.c); those are exported.
var getterNames = map[string]getter{
	"param_get_byte": func(s *Set, a vmem.VirtAddr) (string, error) { return number(s.k.Space().Uint8(a)) },
	"param_get_short": func(s *Set, a vmem.VirtAddr) (string, error) {
		n, err := s.k.Space().Uint16(a)
		return number(int16(n), err)
	},
	"param_get_ushort": func(s *Set, a vmem.VirtAddr) (string, error) { return number(s.k.Space().Uint16(a)) },
	"param_get_int": func(s *Set, a vmem.VirtAddr) (string, error) {
		n, err := s.k.Space().Uint32(a)
		return number(int32(n), err)
	},
	"param_get_uint": func(s *Set, a vmem.VirtAddr) (string, error) { return number(s.k.Space().Uint32(a)) },
	"param_get_long": func(s *Set, a vmem.VirtAddr) (string, error) {
		n, err := s.k.Space().Uint64(a)
		return number(int64(n), err)
	},
	"param_get_ulong":  func(s *Set, a vmem.VirtAddr) (string, error) { return number(s.k.Space().Uint64(a)) },
	"param_get_ullong": func(s *Set, a vmem.VirtAddr) (string, error) { return number(s.k.Space().Uint64(a)) },
	"param_get_hexint": func(s *Set, a vmem.VirtAddr) (string, error) {
		n, err := s.k.Space().Uint32(a)
		return fmt.Sprintf("%#08x", n), err
	},
	"param_get_bool":    func(s *Set, a vmem.VirtAddr) (string, error) { return s.boolean(a, "N", "Y") },
	"param_get_invbool": func(s *Set, a vmem.VirtAddr) (string, error) { return s.boolean(a, "Y", "N") },
	"param_get_charp": func(s *Set, a vmem.VirtAddr) (string, error) {
		p, err := s.k.Space().Uint64(a)
		if err != nil || p == 0 {
			return "(null)", err
		}
		return s.k.Space().CString(vmem.VirtAddr(p), maxText)
	},
	"param_get_string": func(s *Set, a vmem.VirtAddr) (string, error) {
		p, err := s.views.params.text.Load(s.k.Space(), a)
		if err != nil {
			return "", err
		}
		return s.k.Space().CString(p, maxText)
	},
}

func number[T uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64](n T, err error) (string, error) {
	return fmt.Sprint(n), err
}

func (s *Set) boolean(a vmem.VirtAddr, no, yes string) (string, error) {
	b, err := s.k.Space().Uint8(a)
	if b != 0 {
		return yes, err
	}
	return no, err
}

// getters returns the getters by the addresses of the kernel's functions, and that of the
// function for arrays, which is static and known by the exported operations that have it.
func (s *Set) getters() (map[vmem.VirtAddr]getter, vmem.VirtAddr) {
	byAddr := map[vmem.VirtAddr]getter{}
	for name, g := range getterNames {
		if at, err := s.k.Symbol(name); err == nil {
			byAddr[at] = g
		}
	}
	var array vmem.VirtAddr
	if at, err := s.k.Symbol("param_array_ops"); err == nil {
		array, _ = s.views.params.get.Load(s.k.Space(), at)
	}
	return byAddr, array
}

// The most parameters of a module, and the most elements of one, that are read.
const (
	maxParams   = 1024
	maxElements = 1024
)

// addParameters reads the parameters of a module.
func (s *Set) addParameters(m *Module, at vmem.VirtAddr, n uint32) {
	v := &s.views.params
	if n > maxParams {
		s.lose("parameters of module "+m.Name, at, fmt.Errorf("%w: %d of them", kstruct.ErrTooMany, n))
		n = maxParams
	}
	for i := range vmem.VirtAddr(n) {
		var p kernelParam
		err := v.param.Read(s.k.Space(), at+i*vmem.VirtAddr(v.param.Size()), &p)
		if err == nil && p.Module != m.Address {
			err = fmt.Errorf("%w: parameter of the module at %v", kstruct.ErrCorrupt, p.Module)
		}
		if err != nil {
			s.lose("parameters of module "+m.Name, at, cmp.Or(v.err, err))
			return
		}
		m.Parameters = append(m.Parameters, s.parameter(m, &p))
	}
}

// parameter reads one parameter.
func (s *Set) parameter(m *Module, p *kernelParam) Parameter {
	out := Parameter{Name: s.text(m, p.Name), Mode: p.Mode}
	get, err := s.views.params.get.Load(s.k.Space(), p.Ops)
	if err == nil {
		out.Value, out.Known, err = s.value(get, p.Arg)
	}
	switch {
	case err == nil:
	case p.Mode == 0 && errors.Is(err, vmem.ErrNotPresent):
		out.Known = false // nobody can ask for it, so it can be in memory that was freed after init
	default:
		s.lose("parameter "+out.Name+" of module "+m.Name, p.Arg, err)
		out.Known = false
	}
	return out
}

// value reads the value that a function of the kernel shows. It is not known where that is
// another one.
func (s *Set) value(get, arg vmem.VirtAddr) (value string, known bool, err error) {
	if get != 0 && get == s.arrayGetter {
		return s.elements(arg)
	}
	g, known := s.get[get]
	if !known {
		return "", false, nil
	}
	value, err = g(s, arg)
	return value, true, err
}

// elements reads the values of the struct kparam_array at an address.
func (s *Set) elements(at vmem.VirtAddr) (string, bool, error) {
	a, err := s.views.params.array.Load(s.k.Space(), at)
	if err != nil {
		return "", false, err
	}
	n := a.Max
	if a.Num != 0 {
		if n, err = s.k.Space().Uint32(a.Num); err != nil {
			return "", false, err
		}
	}
	get, err := s.views.params.get.Load(s.k.Space(), a.Ops)
	if err == nil && n > min(a.Max, maxElements) {
		err = fmt.Errorf("%w: %d elements of %d", kstruct.ErrCorrupt, n, a.Max)
	}
	if err != nil || get == s.arrayGetter {
		return "", false, err
	}
	values := make([]string, 0, n)
	for i := range vmem.VirtAddr(n) {
		v, known, err := s.value(get, a.Elem+i*vmem.VirtAddr(a.Size))
		if err != nil || !known {
			return "", false, err
		}
		values = append(values, v)
	}
	return strings.Join(values, ","), true, nil
}
