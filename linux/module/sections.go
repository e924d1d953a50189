package module

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Section is an ELF section of a module's file, where it was loaded to, as
// /sys/module/NAME/sections has it. Those of its initialisation are freed.
type Section struct {
	Name    string        `json:"name"`
	Address vmem.VirtAddr `json:"address"`
}

// A sectAttribute is struct bin_attribute, which stands for a section.
type sectAttribute struct {
	Name    vmem.VirtAddr `kernel:"attr.name"`
	Private vmem.VirtAddr `kernel:"private"` // its address, since 6.14
}

type sectionViews struct {
	attrs *kstruct.Field[vmem.VirtAddr] // the pointers to the attributes, up to one of 0
	attr  *kstruct.View[sectAttribute]
	inner kstruct.Member                // the bin_attribute in what has the address, until 6.13
	addr  *kstruct.Field[vmem.VirtAddr] // of that
	err   error
}

func bindSections(types *isf.File) (v sectionViews) {
	b := kstruct.NewBinder(types)
	v.attrs = kstruct.BindField[vmem.VirtAddr](b, "module_sect_attrs", "grp.bin_attrs")
	v.attr = kstruct.Bind[sectAttribute](b, "bin_attribute")
	v.inner = kstruct.BindOptionalMember(b, "module_sect_attr", "battr")
	v.addr = kstruct.BindOptionalField[vmem.VirtAddr](b, "module_sect_attr", "address")
	v.err = b.Err()
	return v
}

// maxSections is how many sections of a module are read: modules have some fifty.
const maxSections = 4096

// addSections reads the sections of a module (kernel/module/sysfs.c).
func (s *Set) addSections(m *Module, attrs vmem.VirtAddr) {
	if attrs == 0 {
		return
	}
	v := &s.views.sections
	table, err := v.attrs.Load(s.k.Space(), attrs)
	for i := range vmem.VirtAddr(maxSections) {
		if err != nil {
			break
		}
		var at uint64
		if at, err = s.k.Space().Uint64(table + 8*i); err != nil || at == 0 {
			break
		}
		var sec Section
		if sec, err = s.section(vmem.VirtAddr(at)); err == nil {
			m.Sections = append(m.Sections, sec)
		}
	}
	if err != nil {
		s.lose("sections of module "+m.Name, attrs, cmp.Or(v.err, err))
	}
}

// section reads one section by its attribute.
func (s *Set) section(at vmem.VirtAddr) (Section, error) {
	v := &s.views.sections
	a, err := v.attr.Load(s.k.Space(), at)
	if err != nil {
		return Section{}, err
	}
	sec := Section{Address: a.Private}
	if v.inner.Ok() {
		if sec.Address, err = v.addr.Load(s.k.Space(), v.inner.Container(at)); err != nil {
			return sec, err
		}
	}
	sec.Name, err = s.k.Space().CString(a.Name, maxName)
	if err == nil && sec.Name == "" {
		err = fmt.Errorf("%w: a section without a name", kstruct.ErrCorrupt)
	}
	return sec, err
}

// loaded returns the sections that are still in memory, by address, each with the room that it
// can have: up to the next one or the end of its area.
func (m *Module) loaded() (sections []Section, sizes []uint64) {
	for _, sec := range m.Sections {
		if m.Contains(sec.Address) {
			sections = append(sections, sec)
		}
	}
	slices.SortStableFunc(sections, func(a, b Section) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), strings.Compare(a.Name, b.Name))
	})
	for i, sec := range sections {
		area, _ := m.area(sec.Address)
		size := area.Range.Size - uint64(sec.Address-area.Range.Start)
		if i+1 < len(sections) {
			size = min(size, uint64(sections[i+1].Address-sec.Address))
		}
		sizes = append(sizes, size)
	}
	return sections, sizes
}
