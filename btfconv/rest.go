package btfconv

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem/x86"
)

// A finder finds the symbols that neither kallsyms nor the export tables have,
// which without CONFIG_KALLSYMS_ALL are the data of the kernel that modules must
// not touch. Addresses are those of the running kernel.
type finder struct {
	*search
	end  uint64            // of the part of the image that is searched
	more map[string]uint64 // the symbols that were found
}

// findRest checks that the kernel which the tables describe is the one that runs,
// and completes the symbols. Where nothing but the tables says where it runs, that must
// succeed.
func (s *search) findRest(ctx context.Context) error {
	s.report.mem, s.report.image = s.mem, s.imageRange()
	f := &finder{search: s, more: map[string]uint64{}}
	f.end = f.dataEnd()
	if s.report.InitTaskErr = s.missing(ctx, PartInitTask, f.initTask()); s.report.InitTaskErr != nil && !s.placed() {
		return s.report.InitTaskErr
	}
	f.correctLink(ctx)
	f.fromNotes()
	f.fromPointers()
	f.defaultRoot()
	f.cgroupRoots()
	f.fromScan()
	f.fromTimekeeper()
	f.fromModules()
	f.fromPerCPU()
	f.fromCode()
	f.banner(ctx)
	f.missing()
	f.addFound()
	return ctx.Err()
}

// find returns the address of a symbol that a table has or that was found.
func (f *finder) find(name string) (uint64, bool) {
	if va, ok := f.more[name]; ok {
		return va, true
	}
	return f.symbols.find(name)
}

func (f *finder) has(name string) bool {
	_, ok := f.find(name)
	return ok
}

// found adds a symbol and says how it was found.
func (f *finder) found(name string, addr uint64, format string, args ...any) {
	if f.has(name) {
		return
	}
	f.more[name] = addr
	f.report.Found = append(f.report.Found, FoundSymbol{Name: name, FoundBy: fmt.Sprintf(format, args...)})
}

// addFound adds what was found to the symbols.
func (f *finder) addFound() {
	found := make([]kernelSymbol, 0, len(f.more))
	for name, va := range f.more {
		found = append(found, kernelSymbol{name: name, addr: va, kind: 'D'})
	}
	f.symbols.add(found)
	for i := range f.report.Found {
		s := &f.report.Found[i]
		s.Address = f.image.linked(f.more[s.Name])
	}
	slices.SortFunc(f.report.Found, func(a, b FoundSymbol) int { return strings.Compare(a.Name, b.Name) })
}

// dataEnd returns where the search ends: some way after the last symbol, for the
// end of the image is not a function; and, as there may be functions only, farther
// after the BTF, which is the last of the read-only data.
func (f *finder) dataEnd() uint64 {
	const afterSymbol, afterBTF = 4 << 20, 32 << 20
	end := f.image.text
	for i := range f.symbols.sorted {
		if a := f.symbols.sorted[i].addr; a-f.image.text < kernelImageMax {
			end = max(end, a)
		}
	}
	return max(end+afterSymbol, f.dataStart()+afterBTF)
}

// dataStart returns an address that none of the data is before that changes: that of the BTF, or of the
// whole image where that is not known.
func (f *finder) dataStart() uint64 {
	if btf, ok := f.image.virtual(f.report.BTF.Addr); ok && f.report.BTF.Addr != 0 {
		return btf
	}
	return f.image.text
}

// initTask verifies init_task, or finds it: the task that is its own parent and is
// called swapper.
func (f *finder) initTask() error {
	comm, ok1 := f.layouts.offset("task_struct", "comm")
	parent, ok2 := f.layouts.offset("task_struct", "real_parent")
	if !ok1 || !ok2 {
		return fmt.Errorf("task_struct without comm and real_parent: %w", ErrDamaged)
	}
	if va, ok := f.find("init_task"); ok {
		return f.checkInitTask(va, comm, parent)
	}
	name := binary.LittleEndian.Uint64([]byte("swapper/"))
	for at, b := range f.image.chunks(f.image.text, f.end, 0) {
		for i := 0; i+8 <= len(b); i += 8 {
			if binary.LittleEndian.Uint64(b[i:]) != name {
				continue
			}
			va, text := at+uint64(i)-comm, f.image.text
			if f.checkInitTask(va, comm, parent) == nil { // which may have moved the image
				f.found("init_task", va+f.image.text-text, "the task called swapper that is its own parent")
				return nil
			}
		}
	}
	return fmt.Errorf("no task called swapper in the kernel's data: %w", ErrNotFound)
}

func (f *finder) checkInitTask(va, comm, parent uint64) error {
	name, err := f.image.read(va+comm, 8)
	if err != nil {
		return err
	}
	self, err := f.image.word(va + parent)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(name, []byte("swapper")) {
		return fmt.Errorf("init_task is called %q: %w", name, ErrDamaged)
	}
	if self != va && f.shiftUnknown() && (self-va)%kernelAlign == 0 && self-va < kernelImageMax {
		f.moveImage(self - va)
		return nil
	}
	if self != va {
		return fmt.Errorf("the parent of init_task is at %#x, not %#x: %w", self, va, ErrDamaged)
	}
	return nil
}

const kernelAlign = x86.KernelAlign

// shiftUnknown reports whether the tables left open where the kernel runs: those
// of 7.2 hold no absolute address, and the one that others hold may be lost.
func (f *finder) shiftUnknown() bool {
	return f.notes == nil && f.unshifted && f.image.text == linkedText
}

func (f *finder) moveImage(shift uint64) {
	f.image.text += shift
	f.end += shift
	f.symbols.move(shift)
}

// fromNotes adds symbols of VMCOREINFO. (Some others of its "symbols" are values
// of pointers.)
func (f *finder) fromNotes() {
	if f.notes == nil {
		return
	}
	for _, name := range []string{"init_top_pgt", "init_uts_ns", "node_data", "prb", "log_buf"} {
		if va, err := f.notes.Symbol(name); err == nil && va-f.image.text < kernelImageMax {
			f.found(name, va, "VMCOREINFO")
		}
	}
}

// pointers lists symbols that others point to from boot on: INIT_TASK in
// init/init_task.c, init_nsproxy in kernel/nsproxy.c, init_css_set in
// kernel/cgroup/cgroup.c.
var pointers = []struct{ name, from, typ, member string }{
	{"init_nsproxy", "init_task", "task_struct", "nsproxy"},
	{"init_cred", "init_task", "task_struct", "real_cred"},
	{"init_css_set", "init_task", "task_struct", "cgroups"},
	{"init_files", "init_task", "task_struct", "files"},
	{"init_fs", "init_task", "task_struct", "fs"},
	{"init_signals", "init_task", "task_struct", "signal"},
	{"init_sighand", "init_task", "task_struct", "sighand"},
	{"init_uts_ns", "init_nsproxy", "nsproxy", "uts_ns"},
	{"init_ipc_ns", "init_nsproxy", "nsproxy", "ipc_ns"},
	{"init_pid_ns", "init_nsproxy", "nsproxy", "pid_ns_for_children"},
	{"init_net", "init_nsproxy", "nsproxy", "net_ns"},
	{"init_time_ns", "init_nsproxy", "nsproxy", "time_ns"},
	{"init_cgroup_ns", "init_nsproxy", "nsproxy", "cgroup_ns"},
	{"init_user_ns", "init_cred", "cred", "user_ns"},
}

// defaultRoot finds cgrp_dfl_root, which has the cgroup of the v2 hierarchy that init_css_set is of.
func (f *finder) defaultRoot() {
	set, ok := f.find("init_css_set")
	member, ok2 := f.layouts.offset("css_set", "dfl_cgrp")
	inner, ok3 := f.layouts.offset("cgroup_root", "cgrp")
	owner, ok4 := f.layouts.offset("cgroup", "root")
	if !ok || !ok2 || !ok3 || !ok4 || f.has("cgrp_dfl_root") {
		return
	}
	cgroup, err := f.image.word(set + member)
	if err != nil || !f.inData(cgroup-inner) {
		return
	}
	if root, err := f.image.word(cgroup + owner); err == nil && root == cgroup-inner {
		f.found("cgrp_dfl_root", root, "init_css_set.dfl_cgrp")
	}
}

func (f *finder) fromPointers() {
	for _, p := range pointers {
		from, ok := f.find(p.from)
		off, ok2 := f.layouts.offset(p.typ, p.member)
		if !ok || !ok2 || f.has(p.name) {
			continue
		}
		if va, err := f.image.word(from + off); err == nil && f.inData(va) {
			f.found(p.name, va, "%s.%s", p.from, p.member)
		}
	}
}

// inData reports whether va can be the address of an object in the kernel's image.
func (f *finder) inData(va uint64) bool { return va >= f.image.text && va < f.end && va%8 == 0 }

// cgroupRoots finds the head of the list that cgrp_dfl_root is on with all other
// hierarchies, which are not in the image.
func (f *finder) cgroupRoots() {
	root, ok := f.find("cgrp_dfl_root")
	off, ok2 := f.layouts.offset("cgroup_root", "root_list")
	if !ok || !ok2 || f.has("cgroup_roots") {
		return
	}
	first := root + off
	at := first
	for range maxHierarchies {
		next, err := f.word(at)
		if err != nil || next == first {
			return
		}
		if f.inData(next) {
			f.found("cgroup_roots", next, "the list of cgrp_dfl_root.root_list")
			return
		}
		at = next
	}
}

// maxHierarchies is more than there can be: one a controller, and some named ones.
const maxHierarchies = 64

// word reads a word of the image or of the direct map.
func (f *finder) word(va uint64) (uint64, error) {
	if va-f.image.text < kernelImageMax {
		return f.image.word(va)
	}
	sym, ok := f.find("page_offset_base")
	if !ok {
		return 0, fmt.Errorf("page_offset_base: %w", ErrNotFound)
	}
	base, err := f.image.word(sym)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	if _, err := f.mem.ReadAt(b[:], int64(va-base)); err != nil || va < base {
		return 0, fmt.Errorf("address %#x: %w", va, ErrDamaged)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// missing lists the symbols that analysis uses and that were not found.
func (f *finder) missing() {
	for _, w := range wanted {
		if !slices.ContainsFunc(w, f.has) {
			f.report.Missing = append(f.report.Missing, w[0])
		}
	}
}

// wanted lists the symbols that analysis uses; one of each list is enough.
var wanted = [][]string{
	{"init_task"}, {"init_pid_ns"}, {"init_uts_ns"}, {"init_user_ns"}, {"init_net"}, {"init_nsproxy"}, {"init_mm"},
	{"init_top_pgt", "swapper_pg_dir"}, {"linux_banner"}, {"tk_core", "timekeeper_data"}, {"page_offset_base"},
	{"vmemmap_base"}, {"vmalloc_base"}, {"phys_base"}, {"__per_cpu_offset"}, {"cgrp_dfl_root"}, {"cgroup_roots"},
	{"cgrp_dfl_visible"}, {"cgroup_subsys"}, {"socket_file_ops"}, {"sockfs_dentry_operations"}, {"modules"},
}
