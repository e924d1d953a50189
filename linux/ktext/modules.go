package ktext

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// ErrOtherModule says that a file is of another build than the module that is loaded.
var ErrOtherModule = errors.New("the file is of another module")

// compareModule compares the code and the constant data of a module.
func (r *run) compareModule(m *module.Module) {
	if r.ctx.Err() != nil {
		return
	}
	file, err := r.opts.File(m)
	if err == nil {
		err = r.compareFile(m, file)
	}
	if err != nil {
		r.lose("code of module "+m.Name, uint64(m.Address), err)
	}
}

func (r *run) compareFile(m *module.Module, file io.ReaderAt) error {
	f, err := elf.NewFile(file)
	if err != nil {
		return err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_REL {
		return fmt.Errorf("%w: %v for %v", ErrOtherModule, f.Type, f.Machine)
	}
	l := &loader{run: r, file: f, module: m}
	c, err := l.load()
	if err != nil {
		return err
	}
	t := newSites(c, r.depth)
	l.exported(t)
	for _, table := range t.broken {
		r.lose("table "+table+" of module "+m.Name, uint64(m.Address), kstruct.ErrCorrupt)
	}
	for thunk, reg := range r.build.sites.thunks {
		t.thunks[thunk+r.kernel.slide] = reg
	}
	v := &verifier{state: r.state, code: c, kernel: r.kernel.names, sites: t}
	for i := range c.sections {
		if s := &c.sections[i]; l.compared(s) {
			r.compareArea(v, s, s.addr, s.end())
		}
	}
	if l.unknown > 0 {
		r.lose("code of module "+m.Name, uint64(m.Address), fmt.Errorf("%w: %d relocations to symbols such as %q", kstruct.ErrUnsupported, l.unknown, l.example))
	}
	return nil
}

// A loader puts a module's file where the kernel did (kernel/module/main.c, arch/x86/kernel/module.c).
type loader struct {
	*run
	file    *elf.File
	module  *module.Module
	addrs   []uint64 // of the file's sections, 0 where they are not loaded
	percpu  uint64
	unknown int
	example string
}

// maxModule is the size of a module's section above which the file is refused, in bytes.
const maxModule = 64 << 20

// load returns the code of the module as it was loaded.
func (l *loader) load() (*code, error) {
	c := &code{module: l.module.Name}
	l.place()
	indexes := map[int]int{} // in c.sections, by that of the file
	for i, s := range l.file.Sections {
		if l.addrs[i] == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		if s.Size > maxModule {
			return nil, fmt.Errorf("%w: section %q has %d bytes", kstruct.ErrTooLong, s.Name, s.Size)
		}
		data, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("section %q: %w", s.Name, err)
		}
		if s.Name == ".note.gnu.build-id" {
			if id := buildID(data, l.file.ByteOrder.Uint32); l.module.BuildID != "" && id != l.module.BuildID {
				return nil, fmt.Errorf("%w: its build id is %s, that of the module %s", ErrOtherModule, id, l.module.BuildID)
			}
		}
		indexes[i] = len(c.sections)
		c.sections = append(c.sections, section{name: s.Name, addr: l.addrs[i], data: data, exec: s.Flags&elf.SHF_EXECINSTR != 0, exact: true})
	}
	symbols, err := l.file.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range l.file.Sections {
		if i, ok := indexes[int(s.Info)]; ok && s.Type == elf.SHT_RELA {
			data, err := s.Data()
			if err != nil {
				return nil, fmt.Errorf("section %q: %w", s.Name, err)
			}
			l.relocate(&c.sections[i], data, symbols)
		}
	}
	slices.SortStableFunc(c.sections, func(a, b section) int { return cmp.Compare(a.addr, b.addr) })
	moved := slices.Clone(symbols)
	for i := range moved {
		if n := int(moved[i].Section); n < len(l.addrs) && l.addrs[n] != 0 {
			moved[i].Value += l.addrs[n]
		}
	}
	c.names = newNames(moved, c.sections)
	return c, nil
}

// place finds where the sections are. Those that were freed get addresses behind the module, so that tables in them
// can be decoded.
func (l *loader) place() {
	l.addrs = make([]uint64, len(l.file.Sections))
	known := map[string][]uint64{}
	end := uint64(0)
	for _, s := range l.module.Sections {
		known[s.Name] = append(known[s.Name], uint64(s.Address))
	}
	for _, a := range l.module.Areas {
		end = max(end, uint64(a.Range.Start)+a.Range.Size)
	}
	if v, err := l.k.Struct("module", l.module.Address).At("percpu").Uint(); err == nil {
		l.percpu = v
	}
	spare := (end + 1<<20) &^ (vmem.PageSize - 1)
	for i, s := range l.file.Sections {
		switch list := known[s.Name]; {
		case s.Flags&elf.SHF_ALLOC == 0:
		case s.Name == ".data..percpu":
			// Its symbols count from the module's per-CPU memory; nothing of it is code.
		case len(list) > 0:
			l.addrs[i] = list[0]
			known[s.Name] = list[1:]
		case s.Size == 0:
			// Where an empty one was put is not kept; symbols in it are those of types that are empty.
		default:
			l.addrs[i] = spare
			spare = (spare + s.Size + 2*vmem.PageSize) &^ (vmem.PageSize - 1)
		}
	}
}

// compared reports whether a section is compared: code and constant data that is not freed, and not written
// once the module runs.
func (l *loader) compared(s *section) bool {
	area := -1
	for _, a := range l.module.Areas {
		if a.Range.Contains(vmem.VirtAddr(s.addr)) {
			area = int(a.Kind)
		}
	}
	if s.exec {
		return area == int(module.Text)
	}
	return area == int(module.ReadOnly) && strings.HasPrefix(s.name, ".rodata")
}

// relocate applies the relocations of a section.
func (l *loader) relocate(s *section, data []byte, symbols []elf.Symbol) {
	le := binary.LittleEndian
	for ; len(data) >= relaSize; data = data[relaSize:] {
		off, typ, n, addend := le.Uint64(data), elf.R_X86_64(le.Uint32(data[8:])), uint64(le.Uint32(data[12:])), le.Uint64(data[16:])
		size := uint64(4)
		if typ == elf.R_X86_64_64 || typ == elf.R_X86_64_PC64 {
			size = 8
		}
		if typ == elf.R_X86_64_NONE || off > uint64(len(s.data)) || uint64(len(s.data))-off < size {
			continue
		}
		value, ok := uint64(0), n == 0
		if n > 0 && n <= uint64(len(symbols)) {
			value, ok = l.value(&symbols[n-1])
		}
		if !ok {
			l.hold(s, off, size, symbols, n)
			continue
		}
		value += addend
		switch typ {
		case elf.R_X86_64_PC32, elf.R_X86_64_PLT32, elf.R_X86_64_PC64:
			value -= s.addr + off
		}
		if size == 8 {
			le.PutUint64(s.data[off:], value)
		} else {
			le.PutUint32(s.data[off:], uint32(value))
		}
	}
}

// hold marks what depends on a symbol that is not known, so that it is not compared.
func (l *loader) hold(s *section, off, size uint64, symbols []elf.Symbol, n uint64) {
	if s.held == nil {
		s.held = make([]byte, len(s.data))
	}
	for i := range size {
		s.held[off+i] = 1
	}
	if n == 0 || n > uint64(len(symbols)) {
		return
	}
	if x := &symbols[n-1]; int(x.Section) >= len(l.addrs) || x.Section == elf.SHN_UNDEF || l.file.Sections[x.Section].Size > 0 {
		l.unknown++
		l.example = x.Name
	}
}

// value returns the address of a symbol of the file: of its own, of the kernel or of another module.
func (l *loader) value(s *elf.Symbol) (uint64, bool) {
	switch n := int(s.Section); {
	case s.Section == elf.SHN_UNDEF:
		if a, ok := l.names.address(s.Name); ok {
			if a-l.names.slide < l.build.perCPU {
				a -= l.names.slide // a per-CPU variable that counts from 0
			}
			return a, true
		}
		return l.imported(s.Name)
	case s.Section == elf.SHN_ABS:
		return s.Value, true
	case n >= len(l.addrs):
		return 0, false
	case l.addrs[n] != 0:
		return l.addrs[n] + s.Value, true
	case l.file.Sections[n].Name == ".data..percpu" && l.percpu != 0:
		return l.percpu + s.Value, true
	}
	return 0, false
}

// imported returns the address of a symbol that another module exports.
func (l *loader) imported(symbol string) (uint64, bool) {
	if l.exports == nil {
		l.exports = map[string]uint64{}
		for _, m := range l.opts.Modules.Modules() {
			symbols, _ := l.opts.Modules.Symbols(m)
			for i := range symbols {
				if s := &symbols[i]; s.Export != module.NotExported {
					l.exports[s.Name] = uint64(s.Addr)
				}
			}
		}
	}
	a, ok := l.exports[symbol]
	return a, ok
}

// exported corrects the keys of static calls that the kernel exports the trampolines of alone: the module's table names
// these, and the kernel puts the keys in their place (static_call_add_module of kernel/static_call_inline.c).
func (l *loader) exported(t *sites) {
	for i := range t.statics {
		s := &t.statics[i]
		for _, n := range []*names{&l.kernel.names} {
			x, ok := n.at(s.key)
			if rest, isTramp := strings.CutPrefix(x.text, "__SCT__"); ok && isTramp && x.addr == s.key {
				if key, ok := n.address("__SCK__" + rest); ok {
					s.key = key
				}
			}
		}
	}
}
