package module

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A Module is one module of the running kernel.
type Module struct {
	Name       string        `json:"name"`
	Size       uint64        `json:"size"`       // of all its areas in bytes, as /proc/modules has it
	References int           `json:"references"` // by other modules and by what uses it
	UsedBy     []string      `json:"usedBy"`     // other modules, as /proc/modules lists them
	Uses       []string      `json:"uses"`
	Permanent  bool          `json:"permanent"` // it can't be unloaded
	State      State         `json:"state"`
	Base       vmem.VirtAddr `json:"base"` // of its code, as /proc/modules has it
	Areas      []Area        `json:"areas"`
	Init       vmem.VirtAddr `json:"init" jsonx:"null"` // its functions; the first is freed after it ran
	Exit       vmem.VirtAddr `json:"exit" jsonx:"null"`
	Taints     Taints        `json:"taints"`
	Parameters Parameters    `json:"parameters"`
	Args       string        `json:"args" jsonx:"null"` // with which it was loaded
	Version    string        `json:"version" jsonx:"null"`
	SrcVersion string        `json:"srcversion" jsonx:"null"`
	BuildID    string        `json:"buildID" jsonx:"null"` // in hexadecimal; empty where it has none
	Sections   []Section     `json:"sections"`
	Sources    Sources       `json:"sources"`
	Missing    Sources       `json:"missing"` // views that should have it and have not, though they are whole: it is hidden
	Address    vmem.VirtAddr `json:"address"` // of struct module
}

// Hidden reports whether views that hold every module lack this one.
func (m *Module) Hidden() bool { return m.Missing != 0 }

// A State is what a module is doing: enum module_state of include/linux/module.h.
type State uint8

// The states of modules.
const (
	Live     State = iota
	Coming         // its init function runs
	Going          // it is being removed
	Unformed       // it is still being set up
)

var stateNames = [...]string{"Live", "Loading", "Unloading", "Unformed"}

// String returns the state as /proc/modules has it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *State) UnmarshalText(b []byte) error { return parseName(stateNames[:], "state", b, s) }

// parseName sets v to the value that has a name, or stands behind the word for those that have none.
func parseName[T ~uint8](names []string, word string, text []byte, v *T) error {
	if i := slices.Index(names, string(text)); i >= 0 {
		*v = T(i)
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(string(text), word+" "), 10, 8)
	if err != nil || n < uint64(len(names)) {
		return fmt.Errorf("module: unknown %s %q", word, text)
	}
	*v = T(n)
	return nil
}

// An AreaKind says what is in an area of a module: enum mod_mem_type of include/linux/module.h.
type AreaKind uint8

// The kinds of areas.
const (
	Text AreaKind = iota
	Data
	ReadOnly          // data that is only read
	ReadOnlyAfterInit // data that is only read once the module is initialised
	InitText          // freed once the module is initialised, as all that follow
	InitData
	InitReadOnly
)

var areaNames = [...]string{"text", "data", "rodata", "ro_after_init", "init.text", "init.data", "init.rodata"}

// String returns text, data, rodata and so on.
func (a AreaKind) String() string {
	if int(a) < len(areaNames) {
		return areaNames[a]
	}
	return fmt.Sprintf("area %d", uint8(a))
}

// MarshalText returns what String does.
func (a AreaKind) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (a *AreaKind) UnmarshalText(b []byte) error { return parseName(areaNames[:], "area", b, a) }

// An Area is memory of a module.
type Area struct {
	Kind  AreaKind                  `json:"kind"`
	Range vmem.Range[vmem.VirtAddr] `json:"range"`
}

// Contains reports whether an address is in an area of the module.
func (m *Module) Contains(a vmem.VirtAddr) bool {
	_, ok := m.area(a)
	return ok
}

// area returns the area that an address is in.
func (m *Module) area(a vmem.VirtAddr) (Area, bool) {
	i := slices.IndexFunc(m.Areas, func(x Area) bool { return x.Range.Contains(a) })
	if i < 0 {
		return Area{}, false
	}
	return m.Areas[i], true
}

// newModule returns the module that is at an address.
func newModule(at vmem.VirtAddr, s *modStruct, mem bool) *Module {
	m := &Module{Name: cString(s.Name[:]), State: State(min(s.State, 255)), Address: at, UsedBy: []string{}, Uses: []string{}}
	if mem {
		m.addMemory(s.Mem[:])
	} else {
		m.addLayout(&s.Core, [4]AreaKind{Text, ReadOnly, ReadOnlyAfterInit, Data})
		m.addLayout(&s.Init, [4]AreaKind{InitText, InitReadOnly, InitReadOnly, InitData})
		m.Base = s.Core.Base
	}
	return m
}

// addMemory adds the areas of kernels since 6.4.
func (m *Module) addMemory(areas []modMemory) {
	m.Base = areas[Text].Base
	for i, a := range areas {
		m.addArea(AreaKind(i), a.Base, 0, a.Size)
	}
}

// addLayout adds the areas that one layout of kernels before 6.4 consists of.
func (m *Module) addLayout(l *modLayout, kinds [4]AreaKind) {
	end := uint32(0)
	for i, next := range [4]uint32{l.Text, l.ReadOnly, l.ReadOnlyEnd, l.Size} {
		next = min(max(next, end), l.Size)
		m.addArea(kinds[i], l.Base, end, next)
		end = next
	}
}

// addArea adds an area that is from one offset up to another behind base.
func (m *Module) addArea(kind AreaKind, base vmem.VirtAddr, from, to uint32) {
	if base == 0 || to <= from {
		return
	}
	size := uint64(to - from)
	m.Areas = append(m.Areas, Area{Kind: kind, Range: vmem.Range[vmem.VirtAddr]{Start: base + vmem.VirtAddr(from), Size: size}})
	m.Size += size
}

// cString returns b up to its first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
