package memory

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// An Object is a program or a library in a process, by its mappings and by the list of the dynamic linker (linux.library_list of Volatility has the latter,
// linux.elfs the former).
type Object struct {
	Path    string        // of the mapped file; "" where there is none
	Base    vmem.VirtAddr // of its first mapping; 0 where there is none
	Name    string        // in the linker's list; "" for the program itself
	Listed  bool          // it is in that list
	Load    vmem.VirtAddr // what the list has as what was added to its addresses
	BuildID string        // in hexadecimal; "" where it has none, or that is not in memory
}

// Objects are the programs and libraries of a process.
type Objects struct {
	// Linked: the process has a list of its linker. A static program has none.
	Linked bool
	// All are ordered by address, with those that are in the list alone at the end.
	All []Object
}

// Entries of the auxiliary vector, kinds of program headers, and a tag of the dynamic section (include/uapi/linux/auxvec.h, elf.h).
const (
	atPHDR  = 3
	atPHNum = 5
	atBase  = 7 // of the dynamic linker; 0 for a static program

	dtDebug = 21

	maxHeaders = 128
	maxLinks   = 1 << 14
	maxDynamic = 1 << 12
	maxName    = 4096
	maxNotes   = 1 << 16
)

// Objects returns the programs and libraries of a task's process. gaps are what was lost: a page of the list or of a header that is not in memory is usual. The error
// is that of [Reader.Segments].
func (r *Reader) Objects(ctx context.Context, t *linux.Task) (out Objects, gaps []vmem.Gap, err error) {
	mm, err := t.MM()
	if err != nil {
		return out, nil, err
	}
	var areas []linux.VMA
	for v, err := range mm.VMAs(ctx) {
		if ctx.Err() != nil {
			return out, nil, ctx.Err()
		}
		if err != nil {
			gaps = append(gaps, vmem.NewGap("mappings of "+t.String(), vmem.Place{}, err))
		}
		if v.Addr != 0 {
			areas = append(areas, v)
		}
	}
	o := &objectReader{Reader: r, ctx: ctx, mm: mm, areas: areas}
	out.All = o.mapped()
	if err := o.list(&out); err != nil {
		gaps = append(gaps, vmem.NewGap("list of libraries of "+t.String(), vmem.UserPlace(0, t.PID), err))
	}
	return out, gaps, ctx.Err()
}

// An objectReader reads the objects of one process.
type objectReader struct {
	*Reader
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	mm    *linux.MM
	areas []linux.VMA
}

// mapped returns the ELF files that are mapped with code, and the vDSO.
func (o *objectReader) mapped() (all []Object) {
	for i := range o.areas {
		v := &o.areas[i]
		first := v
		if v.Flags&linux.VMExec == 0 || v.File == 0 && v.Path != "[vdso]" {
			continue
		}
		for k := i - 1; k >= 0 && o.areas[k].Path == v.Path && v.File != 0; k-- { // the same file's, downwards
			first = &o.areas[k]
		}
		if slices.ContainsFunc(all, func(x Object) bool { return x.Base == first.Range.Start }) {
			continue
		}
		one := Object{Path: v.Path, Base: first.Range.Start}
		id, ok := o.buildID(first)
		if one.BuildID = id; ok {
			all = append(all, one)
		}
	}
	return all
}

// buildID returns the build ID of the file whose beginning is mapped, and whether it can be an ELF file.
func (o *objectReader) buildID(v *linux.VMA) (string, bool) {
	head := make([]byte, vmem.PageSize)
	if _, err := o.ReadVirt(o.mm, head, v.Range.Start); err != nil && !o.cached(v, head) {
		return "", v.Offset == 0 // the page is not in memory
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return "", false
	}
	for _, p := range programHeaders(head[32:], head) {
		if p.typ != elf.PT_NOTE || p.size > maxNotes {
			continue
		}
		notes, ok := p.within(head)
		if !ok {
			notes = make([]byte, p.size)
			if _, err := o.ReadVirt(o.mm, notes, v.Range.Start+vmem.VirtAddr(p.offset)); err != nil {
				continue
			}
		}
		if id := buildIDIn(notes); id != "" {
			return id, true
		}
	}
	return "", true
}

// cached reads the first page of a mapping's file from the page cache.
func (o *objectReader) cached(v *linux.VMA, page []byte) bool {
	if v.Offset != 0 {
		return false
	}
	phys, ok := o.filePages(o.ctx, v, 0, 0)[0]
	if !ok {
		return false
	}
	_, err := o.k.Physical().ReadAt(page, int64(phys))
	return err == nil
}

// A header is an Elf64_Phdr as far as it counts.
type header struct {
	typ                elf.ProgType
	offset, virt, size uint64
}

const headerSize = 56

// within returns what of the file a header is about, and whether all of it is in head, with which the file begins.
func (p *header) within(head []byte) ([]byte, bool) {
	if n := uint64(len(head)); p.offset > n || p.size > n-p.offset {
		return nil, false
	}
	return head[p.offset : p.offset+p.size], true
}

// programHeaders returns the program headers of an ELF file that begins with head; at is what follows e_entry in it.
func programHeaders(at, head []byte) []header {
	if len(head) < 64 {
		return nil
	}
	le := binary.LittleEndian
	offset, size, n := le.Uint64(at), le.Uint16(head[54:]), le.Uint16(head[56:])
	if size != headerSize || n > maxHeaders || offset > uint64(len(head)) {
		return nil
	}
	return parseHeaders(head[offset:], int(n))
}

func parseHeaders(b []byte, n int) (all []header) {
	le := binary.LittleEndian
	for ; n > 0 && len(b) >= headerSize; n, b = n-1, b[headerSize:] {
		all = append(all, header{elf.ProgType(le.Uint32(b)), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[32:])})
	}
	return all
}

// buildIDIn returns the build ID among notes (NT_GNU_BUILD_ID).
func buildIDIn(notes []byte) string {
	le := binary.LittleEndian
	for len(notes) >= 12 {
		name, desc, typ := uint64(le.Uint32(notes)), uint64(le.Uint32(notes[4:])), le.Uint32(notes[8:])
		at := 12 + (name+3)&^3
		if name > maxNotes || desc > maxNotes || at+desc > uint64(len(notes)) {
			return ""
		}
		if typ == 3 && string(notes[12:12+name]) == "GNU\x00" {
			return hex.EncodeToString(notes[at : at+desc])
		}
		next := at + (desc+3)&^3
		if next > uint64(len(notes)) {
			return ""
		}
		notes = notes[next:]
	}
	return ""
}

// list reads the linker's list: the program's dynamic section leads to struct r_debug, and that to the first struct link_map (link.h of the C library).
func (o *objectReader) list(out *Objects) error {
	debug, err := o.debug()
	if err != nil || debug == 0 {
		return err
	}
	out.Linked = true
	at, err := o.word(debug + 8)
	var before vmem.VirtAddr
	for n := 0; err == nil && at != 0; n++ {
		if n == maxLinks {
			return fmt.Errorf("%w: more than %d libraries", kstruct.ErrTooLong, maxLinks)
		}
		var m [5]vmem.VirtAddr // l_addr, l_name, l_ld, l_next, l_prev
		for i := range m {
			if m[i], err = o.word(at + vmem.VirtAddr(8*i)); err != nil {
				return err
			}
		}
		if m[4] != before {
			return corrupt("the library at %v follows one at %v, not %v", at, m[4], before)
		}
		o.add(out, m[0], m[1], m[2])
		before, at = at, m[3]
	}
	return err
}

// add notes an element of the list at the object that has its dynamic section.
func (o *objectReader) add(out *Objects, load, name, dynamic vmem.VirtAddr) {
	text, err := o.mm.Space().CString(name, maxName)
	if err != nil {
		text = ""
	}
	path := ""
	for i := range o.areas {
		if o.areas[i].Range.Contains(dynamic) {
			path = o.areas[i].Path
			break
		}
	}
	best := -1
	for i := range out.All {
		if x := &out.All[i]; x.Path == path && path != "" && x.Base <= dynamic && (best < 0 || x.Base > out.All[best].Base) {
			best = i
		}
	}
	if best < 0 {
		out.All = append(out.All, Object{Name: text, Listed: true, Load: load})
		return
	}
	x := &out.All[best]
	x.Name, x.Listed, x.Load = text, true, load
}

// debug returns the address of struct r_debug, which the linkers of glibc and musl put into the dynamic section (DT_DEBUG), 0 for a static program. Where the program
// headers, which nothing needs after start, are not in memory, the pages of the program that were written are searched.
func (o *objectReader) debug() (vmem.VirtAddr, error) {
	aux, err := o.auxiliary()
	if err != nil || aux[atBase] == 0 {
		return 0, err
	}
	dynamic, err := o.dynamic(aux)
	if err == nil && dynamic != 0 {
		return o.tag(dynamic, dtDebug)
	}
	i := slices.IndexFunc(o.areas, func(v linux.VMA) bool { return v.Range.Contains(vmem.VirtAddr(aux[atPHDR])) })
	if i < 0 || err == nil {
		return 0, err
	}
	for k := range o.areas {
		if o.areas[k].Path != o.areas[i].Path || o.areas[k].Flags&linux.VMExec != 0 {
			continue
		}
		if at, ok := o.searchDebug(&o.areas[k]); ok {
			return at, nil
		}
	}
	return 0, err
}

// searchDebug looks for DT_DEBUG in the pages of a mapping that the process wrote.
func (o *objectReader) searchDebug(v *linux.VMA) (vmem.VirtAddr, bool) {
	page := make([]byte, vmem.PageSize)
	for s, err := range o.PageStates(o.ctx, o.mm, v) {
		if err != nil || s.Flags&(Present|Anonymous) != Present|Anonymous {
			continue
		}
		if _, err := o.ReadVirt(o.mm, page, s.Range.Start); err != nil {
			continue
		}
		for i := 0; i+16 <= len(page); i += 8 {
			if binary.LittleEndian.Uint64(page[i:]) != dtDebug {
				continue
			}
			if at := vmem.VirtAddr(binary.LittleEndian.Uint64(page[i+8:])); o.isDebug(at) {
				return at, true
			}
		}
	}
	return 0, false
}

// isDebug reports whether there is a struct r_debug, by its version, and the first of the list, which has none before it and the dynamic section of
// a file behind it.
func (o *objectReader) isDebug(at vmem.VirtAddr) bool {
	version, err := o.word(at)
	if err != nil || version&0xffffffff != 1 && version&0xffffffff != 2 {
		return false
	}
	first, err := o.word(at + 8)
	if err != nil {
		return false
	}
	dynamic, err := o.word(first + 16)
	if err != nil {
		return false
	}
	before, err := o.word(first + 32)
	return err == nil && before == 0 && slices.ContainsFunc(o.areas, func(v linux.VMA) bool { return v.File != 0 && v.Range.Contains(dynamic) })
}

// dynamic returns where the program's dynamic section is, by its program headers; 0 where it has none.
func (o *objectReader) dynamic(aux map[uint64]uint64) (vmem.VirtAddr, error) {
	at, n := vmem.VirtAddr(aux[atPHDR]), aux[atPHNum]
	if at == 0 || n == 0 {
		return 0, nil
	}
	if n > maxHeaders {
		return 0, corrupt("%d program headers", n)
	}
	b := make([]byte, n*headerSize)
	if _, err := o.ReadVirt(o.mm, b, at); err != nil && !o.headersOf(at, b) {
		return 0, err
	}
	var load, dynamic vmem.VirtAddr
	for _, p := range parseHeaders(b, int(n)) {
		switch p.typ { //nolint:exhaustive // the others say nothing of this
		case elf.PT_PHDR:
			load = at - vmem.VirtAddr(p.virt)
		case elf.PT_DYNAMIC:
			dynamic = vmem.VirtAddr(p.virt)
		}
	}
	if dynamic == 0 {
		return 0, nil
	}
	return load + dynamic, nil
}

// headersOf reads program headers from the page cache, where the process has not their page.
func (o *objectReader) headersOf(at vmem.VirtAddr, b []byte) bool {
	i := slices.IndexFunc(o.areas, func(v linux.VMA) bool { return v.Range.Contains(at) })
	page := make([]byte, vmem.PageSize)
	if i < 0 || !o.cached(&o.areas[i], page) {
		return false
	}
	from := uint64(at - o.areas[i].Range.Start)
	if from+uint64(len(b)) > vmem.PageSize {
		return false
	}
	copy(b, page[from:])
	return true
}

// auxiliary returns the auxiliary vector by its types.
func (o *objectReader) auxiliary() (map[uint64]uint64, error) {
	if !o.views.auxv.Ok() {
		return nil, cmp.Or(o.views.err, kstruct.ErrUnsupported)
	}
	b := make([]byte, min(o.views.auxv.Size(), vmem.PageSize))
	if _, err := o.mem.ReadVirt(b, o.views.auxv.Of(o.mm.Addr)); err != nil {
		return nil, err
	}
	all := map[uint64]uint64{}
	for ; len(b) >= 16; b = b[16:] {
		typ := binary.LittleEndian.Uint64(b)
		if typ == 0 {
			break
		}
		all[typ] = binary.LittleEndian.Uint64(b[8:])
	}
	return all, nil
}

// tag returns the value of a tag of a dynamic section, 0 where it has none.
func (o *objectReader) tag(dynamic vmem.VirtAddr, tag vmem.VirtAddr) (vmem.VirtAddr, error) {
	for i := range vmem.VirtAddr(maxDynamic) {
		is, err := o.word(dynamic + 16*i)
		if err != nil || is == 0 {
			return 0, err
		}
		if is == tag {
			return o.word(dynamic + 16*i + 8)
		}
	}
	return 0, errors.New("a dynamic section without an end")
}

func (o *objectReader) word(at vmem.VirtAddr) (vmem.VirtAddr, error) {
	v, err := o.mm.Space().Uint64(at)
	return vmem.VirtAddr(v), err
}

// String returns the object as a line: address, build ID, path, and what is odd about it.
func (x *Object) String() string {
	odd := ""
	switch {
	case !x.Listed:
		odd = " (not in the linker's list)"
	case x.Base == 0:
		odd = " (not mapped)"
	}
	return strings.TrimSpace(fmt.Sprintf("%v %s %s", x.Base, x.BuildID, cmp.Or(x.Path, x.Name))) + odd
}
