package btfconv

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A pattern is a symbol that is found by a word that stands in it: a pointer to a
// function or to another object, which is unlikely to stand anywhere else in the
// same form.
type pattern struct {
	name   string
	offset uint64 // of the word in the object
	word   uint64
	valid  func(va uint64) bool
	by     string
}

// fromScan looks for the objects of all patterns at once. What is found at two
// places is not found.
func (f *finder) fromScan() {
	patterns := f.patterns()
	hits := make([][]uint64, len(patterns))
	if len(patterns) == 0 {
		return
	}
	for at, b := range f.image.chunks(f.image.text, f.end, 0) {
		for i := 0; i+8 <= len(b); i += 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			if w-f.image.text >= kernelImageMax {
				continue
			}
			for k := range patterns {
				if p := &patterns[k]; p.word == w && p.valid(at+uint64(i)-p.offset) {
					hits[k] = append(hits[k], at+uint64(i)-p.offset)
				}
			}
		}
	}
	for k, p := range patterns {
		if len(hits[k]) == 1 {
			f.found(p.name, hits[k][0], "%s", p.by)
		}
	}
	f.topTable()
}

// patterns returns those of the symbols that are missing.
func (f *finder) patterns() []pattern {
	var ps []pattern
	ps = f.addOperations(ps, "socket_file_ops", "file_operations", "release", "sock_close")
	ps = f.addOperations(ps, "sockfs_dentry_operations", "dentry_operations", "d_dname", "sockfs_dname")
	ps = f.addInitMM(ps)
	return f.addSubsystems(ps)
}

// addOperations adds the table of functions that has a certain function at a
// certain place.
func (f *finder) addOperations(ps []pattern, name, typ, member, function string) []pattern {
	off, ok := f.layouts.offset(typ, member)
	size, _ := f.layouts.size(typ)
	va, ok2 := f.find(function)
	if !ok || !ok2 || f.has(name) {
		return ps
	}
	valid := func(at uint64) bool { return f.isOperations(at, size) }
	return append(ps, pattern{name: name, offset: off, word: va, valid: valid, by: typ + "." + member + " is " + function})
}

// isOperations reports whether all that is at an address are functions, no
// functions, and flags.
func (f *finder) isOperations(at, size uint64) bool {
	b, err := f.image.read(at, int(size))
	if err != nil {
		return false
	}
	for i := 0; i+8 <= len(b); i += 8 {
		if w := binary.LittleEndian.Uint64(b[i:]); w>>32 != 0 && !f.inText(w) {
			return false
		}
	}
	return true
}

// inText reports whether an address can be that of a function.
func (f *finder) inText(va uint64) bool {
	end, ok := f.find("_etext")
	return va >= f.image.text && (va < end || !ok && va < f.end)
}

// addInitMM adds init_mm, of which setup_arch in arch/x86/kernel/setup.c sets the
// borders of the code to those of the kernel.
func (f *finder) addInitMM(ps []pattern) []pattern {
	start, ok := f.layouts.offset("mm_struct", "start_code")
	end, ok2 := f.layouts.offset("mm_struct", "end_code")
	if !ok || !ok2 || f.has("init_mm") {
		return ps
	}
	etext, known := f.find("_etext")
	valid := func(at uint64) bool {
		w, err := f.image.word(at + end)
		if err != nil || known && w != etext || w <= f.image.text || w >= f.end {
			return false
		}
		top := f.topTableOf(at)
		return top != 0 && (known || f.spaceOf(top) != nil)
	}
	return append(ps, pattern{name: "init_mm", offset: start, word: f.image.text, valid: valid, by: "mm_struct.start_code is _text"})
}

// topTable finds the kernel's page table by init_mm, if VMCOREINFO didn't tell.
func (f *finder) topTable() {
	mm, ok := f.find("init_mm")
	if !ok || f.has("swapper_pg_dir") {
		return
	}
	if va := f.topTableOf(mm); va != 0 {
		f.found("init_top_pgt", va, "init_mm.pgd")
	}
}

// topTableOf returns the address of the page table of an mm_struct, if it is one
// in the kernel's image, else 0.
func (f *finder) topTableOf(mm uint64) uint64 {
	off, ok := f.layouts.offset("mm_struct", "pgd")
	va, err := f.image.word(mm + off)
	if !ok || err != nil || !f.inData(va) || va%vmem.PageSize != 0 {
		return 0
	}
	return va
}

// addSubsystems adds cgroup_subsys, the array of pointers to the controllers: the
// states that init_css_set has of the first two point to them.
func (f *finder) addSubsystems(ps []pattern) []pattern {
	first, err := f.subsystem(0)
	second, err2 := f.subsystem(1)
	if err != nil || err2 != nil || f.has("cgroup_subsys") {
		return ps
	}
	valid := func(at uint64) bool {
		w, err := f.image.word(at + 8)
		return err == nil && w == second
	}
	return append(ps, pattern{name: "cgroup_subsys", word: first, valid: valid, by: "the order of init_css_set.subsys"})
}

// subsystem returns the controller that init_css_set has a state of at an index.
func (f *finder) subsystem(i uint64) (uint64, error) {
	set, ok := f.find("init_css_set")
	states, ok2 := f.layouts.offset("css_set", "subsys")
	ss, ok3 := f.layouts.offset("cgroup_subsys_state", "ss")
	if !ok || !ok2 || !ok3 {
		return 0, ErrNotFound
	}
	state, err := f.image.word(set + states + 8*i)
	if err != nil {
		return 0, err
	}
	return f.word(state + ss)
}
