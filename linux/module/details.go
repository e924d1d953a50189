package module

import (
	"cmp"
	"encoding/hex"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A modDetails is what else struct module says of a module.
type modDetails struct {
	Version    vmem.VirtAddr `kernel:"version,optional"`
	SrcVersion vmem.VirtAddr `kernel:"srcversion,optional"`
	BuildID    [20]byte      `kernel:"build_id,optional"` // since 5.14, CONFIG_STACKTRACE_BUILD_ID
	Taints     uint64        `kernel:"taints"`
	Params     vmem.VirtAddr `kernel:"kp"`
	NumParams  uint32        `kernel:"num_kp"`
	Args       vmem.VirtAddr `kernel:"args"`
	Init       vmem.VirtAddr `kernel:"init"`
	Exit       vmem.VirtAddr `kernel:"exit,optional"` // CONFIG_MODULE_UNLOAD, as what follows
	RefCount   int32         `kernel:"refcnt.counter,optional"`
	Users      vmem.VirtAddr `kernel:"&source_list,optional"`
	Uses       vmem.VirtAddr `kernel:"&target_list,optional"`
	Sections   vmem.VirtAddr `kernel:"sect_attrs,optional"`
}

// A modUse is struct module_use: that one module, the source, uses another.
type modUse struct {
	Source vmem.VirtAddr `kernel:"source"`
	Target vmem.VirtAddr `kernel:"target"`
}

type detailViews struct {
	details *kstruct.View[modDetails]
	err     error
	use     *kstruct.View[modUse]
	useErr  error
}

func bindDetails(types *isf.File) (v detailViews) {
	b := kstruct.NewBinder(types)
	v.details = kstruct.Bind[modDetails](b, "module")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.use = kstruct.Bind[modUse](b, "module_use")
	v.useErr = b.Err()
	return v
}

// maxText is the longest text of a module, its version and its arguments, in bytes.
const maxText = 4096

// fill reads what else there is of a module. What can't be read of it is among the gaps of
// the Set.
func (s *Set) fill(m *Module, walks func(string) *kstruct.Walk) {
	d, err := s.views.details.details.Load(s.k.Space(), m.Address)
	if err != nil {
		s.lose("module "+m.Name, m.Address, cmp.Or(s.views.details.err, err))
		return
	}
	m.Version, m.SrcVersion = s.text(m, d.Version), s.text(m, d.SrcVersion)
	m.Args = s.text(m, d.Args)
	m.Taints, m.Init, m.Exit = Taints(d.Taints), d.Init, d.Exit
	s.addSections(m, d.Sections)
	m.BuildID = s.buildID(m, d.BuildID)
	s.addParameters(m, d.Params, d.NumParams)
	if d.Users != 0 {
		m.References = max(0, int(d.RefCount)-1) // MODULE_REF_BASE
		m.Permanent = d.Init != 0 && d.Exit == 0
		m.UsedBy = s.used(walks, m, d.Users, "source_list", func(u *modUse) (by, of vmem.VirtAddr) { return u.Source, u.Target })
		m.Uses = s.used(walks, m, d.Uses, "target_list", func(u *modUse) (by, of vmem.VirtAddr) { return u.Target, u.Source })
	}
}

func (s *Set) lose(object string, at vmem.VirtAddr, err error) {
	s.gaps = append(s.gaps, vmem.NewGap(object, vmem.KernelPlace(at), err))
}

// text reads a text of a module, "" where there is none.
func (s *Set) text(m *Module, at vmem.VirtAddr) string {
	if at == 0 {
		return ""
	}
	text, err := s.k.Space().CString(at, maxText)
	if err != nil {
		s.lose("module "+m.Name, at, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// used returns the names of the modules at the other ends of a list of struct module_use,
// each of which has to name the module itself at its own end.
func (s *Set) used(walks func(string) *kstruct.Walk, m *Module, head vmem.VirtAddr, list string, ends func(*modUse) (other, own vmem.VirtAddr)) []string {
	var names []string
	w := walks("users of module " + m.Name)
	for at, err := range w.Entries(w.List(head), "module_use", list) {
		var u modUse
		if err == nil {
			err = s.views.details.use.Read(s.k.Space(), at, &u)
		}
		if err != nil {
			s.lose("users of module "+m.Name, at, cmp.Or(s.views.details.useErr, err))
			continue
		}
		other, own := ends(&u)
		raw, err := s.views.module.Load(s.k.Space(), other)
		if err != nil || own != m.Address || raw.Self != other {
			s.lose("users of module "+m.Name, at, cmp.Or(err, kstruct.ErrCorrupt))
			continue
		}
		names = append(names, cString(raw.Name[:]))
		s.named[other] = true
	}
	return names
}

// noteHeader begins a build id in the GNU form: the sizes of the name and of 20 bytes,
// NT_GNU_BUILD_ID, and the name (include/uapi/linux/elf.h).
const noteHeader = "\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x00"

// buildID returns the build id of a module: what struct module has of it, or its note.
func (s *Set) buildID(m *Module, id [20]byte) string {
	if id != [20]byte{} {
		return hex.EncodeToString(id[:])
	}
	for _, sec := range m.Sections {
		if sec.Name != ".note.gnu.build-id" {
			continue
		}
		b := make([]byte, len(noteHeader)+20)
		if _, err := s.k.Space().ReadVirt(b, sec.Address); err == nil && string(b[:len(noteHeader)]) == noteHeader {
			return hex.EncodeToString(b[len(noteHeader):])
		}
	}
	return ""
}
