package ktext

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// state is what the kernel's own data says of how it patched its code. What is not known is left out.
type state struct {
	k     *linux.Kernel
	mem   *vmem.AddressSpace
	names names // of the vmlinux: symbols of data, which the image need not have

	features []byte // boot_cpu_data.x86_capability
	thunk    uint64 // x86_return_thunk
	up       bool   // uniproc_patched
	depth    bool   // thunks_initialized

	ftrace  ftraceState
	probes  []probe
	patches []patching
	keys    keyViews
	gaps    []vmem.Gap
}

// keyViews are of the keys of jump labels and static calls (include/linux/jump_label.h,
// include/linux/static_call_types.h).
type keyViews struct {
	enabled *kstruct.Field[int32]
	fn      *kstruct.Field[vmem.VirtAddr]
}

// readState reads what of the kernel's data counts.
func readState(ctx context.Context, k *linux.Kernel, n names) *state {
	s := &state{k: k, mem: k.Space(), names: n}
	b := kstruct.NewBinder(k.Symbols())
	s.keys.enabled = kstruct.BindOptionalField[int32](b, "static_key", "enabled.counter")
	s.keys.fn = kstruct.BindOptionalField[vmem.VirtAddr](b, "static_call_key", "func")
	s.readFeatures(b)
	s.thunk = s.word("x86_return_thunk")
	s.up = s.word("uniproc_patched")&0xff != 0
	s.depth = s.word("thunks_initialized")&0xff != 0
	s.readFtrace(ctx)
	s.readProbes(ctx)
	s.readPatching()
	return s
}

// lose says what is not known.
func (s *state) lose(object string, at uint64, err error) {
	s.gaps = append(s.gaps, vmem.NewGap(object, vmem.KernelPlace(vmem.VirtAddr(at)), err))
}

// word returns what is in the variable of that name, 0 where there is none.
func (s *state) word(symbol string) uint64 {
	at, ok := s.names.address(symbol)
	if !ok {
		return 0
	}
	v, err := s.mem.Uint64(vmem.VirtAddr(at))
	if err != nil {
		s.lose(symbol, at, err)
		return 0
	}
	return v
}

// readFeatures reads what features the processors have.
func (s *state) readFeatures(b *kstruct.Binder) {
	m := kstruct.BindOptionalMember(b, "cpuinfo_x86", "x86_capability")
	at, ok := s.names.address("boot_cpu_data")
	if !ok || !m.Ok() || m.Size() == 0 || m.Size() > 4096 {
		s.lose("CPU features", at, kstruct.ErrUnsupported)
		return
	}
	p := make([]byte, m.Size())
	if _, err := s.mem.ReadVirt(p, m.Of(vmem.VirtAddr(at))); err != nil {
		s.lose("CPU features", at, err)
		return
	}
	s.features = p
}

// has reports whether the processors have a feature. known is false where that is not known.
func (s *state) has(feature uint16) (has, known bool) {
	if int(feature/8) >= len(s.features) {
		return false, false
	}
	return s.features[feature/8]>>(feature%8)&1 != 0, true
}

// on returns the count of the key of a jump label.
func (s *state) on(key uint64) (int32, error) {
	return s.keys.enabled.Load(s.mem, vmem.VirtAddr(key))
}

// fn returns the function of the key of a static call.
func (s *state) fn(key uint64) (uint64, error) {
	a, err := s.keys.fn.Load(s.mem, vmem.VirtAddr(key))
	return uint64(a), err
}

// A patching is code that is being patched at this moment: struct text_poke_loc.
type patching struct {
	at   uint64
	size uint8
}

// readPatching reads what code is being patched (smp_text_poke_batch_finish of arch/x86/kernel/alternative.c; until
// 6.15 text_poke_bp_batch).
func (s *state) readPatching() {
	stext, _ := s.names.address("_stext")
	b := kstruct.NewBinder(s.k.Symbols())
	loc := kstruct.Bind[struct {
		Off  int32 `kernel:"rel_addr"`
		Size uint8 `kernel:"len"`
	}](b, "smp_text_poke_loc", "text_poke_loc")
	vec := kstruct.BindOptionalMember(b, "smp_text_poke_array", "vec")
	count := kstruct.BindOptionalField[int32](b, "smp_text_poke_array", "nr_entries")
	desc := kstruct.BindOptionalField[vmem.VirtAddr](b, "bp_patching_desc", "vec")
	entries := kstruct.BindOptionalField[int32](b, "bp_patching_desc", "nr_entries")
	refs := kstruct.BindOptionalField[int32](b, "bp_patching_desc", "refs.counter")
	size, err := s.k.Symbols().UserType("smp_text_poke_loc")
	if err != nil {
		size, err = s.k.Symbols().UserType("text_poke_loc")
	}
	if err != nil || size.Size == 0 || !loc.Ok() {
		return
	}
	var first vmem.VirtAddr
	var n int32
	if at, ok := s.names.address("text_poke_array"); ok {
		first = vec.Of(vmem.VirtAddr(at))
		n, err = count.Load(s.mem, vmem.VirtAddr(at))
	} else if at, ok := s.names.address("bp_desc"); ok {
		var held int32
		if held, err = refs.Load(s.mem, vmem.VirtAddr(at)); err == nil && held > 0 {
			first, _ = desc.Load(s.mem, vmem.VirtAddr(at))
			n, err = entries.Load(s.mem, vmem.VirtAddr(at))
		}
	}
	for i := int32(0); err == nil && i < min(n, 256); i++ {
		v := struct {
			Off  int32 `kernel:"rel_addr"`
			Size uint8 `kernel:"len"`
		}{}
		if err = loc.Read(s.mem, first+vmem.VirtAddr(uint64(i)*size.Size), &v); err == nil {
			s.patches = append(s.patches, patching{at: stext + uint64(int64(v.Off)), size: v.Size})
		}
	}
	if err != nil {
		s.lose("code being patched", uint64(first), err)
	}
}

// underway reports whether the code at an address is being patched.
func (s *state) underway(at uint64) bool {
	return slices.ContainsFunc(s.patches, func(p patching) bool { return at >= p.at && at < p.at+uint64(p.size) })
}

// ftraceState is what ftrace says of the functions that it traces.
type ftraceState struct {
	records []record // by address
	known   bool
	tramps  map[uint64]uint64 // trampolines, by where they begin, with the ftrace_ops
	direct  map[uint64]uint64 // by function, what it calls without ftrace
}

// A record is struct dyn_ftrace.
type record struct {
	ip    uint64
	flags uint64
}

// The flags of a record (include/linux/ftrace.h); the same in all kernels since 5.5.
const (
	ftraceEnabled = 1 << 31
	ftraceRegs    = 1 << 29 // FTRACE_FL_REGS_EN
	ftraceTramp   = 1 << 27 // FTRACE_FL_TRAMP_EN
	ftraceDirect  = 1 << 23 // FTRACE_FL_DIRECT_EN
)

type ftracePage struct {
	Next    vmem.VirtAddr `kernel:"next"`
	Records vmem.VirtAddr `kernel:"records"`
	Index   int32         `kernel:"index"`
}

// maxFtracePages and maxFtraceRecords are how much of ftrace's records is read: a kernel has some 50,000 functions, and all its
// modules as many again, 256 to a page.
const (
	maxFtracePages   = 1 << 16
	maxFtraceRecords = 1 << 20
)

// readFtrace reads the records of all functions (kernel/trace/ftrace.c).
func (s *state) readFtrace(ctx context.Context) {
	at, ok := s.names.address("ftrace_pages_start")
	if !ok {
		return // without CONFIG_DYNAMIC_FTRACE
	}
	b := kstruct.NewBinder(s.k.Symbols())
	page := kstruct.Bind[ftracePage](b, "ftrace_page")
	ip := kstruct.BindMember(b, "dyn_ftrace", "ip")
	flags := kstruct.BindMember(b, "dyn_ftrace", "flags")
	rec, err := s.k.Symbols().UserType("dyn_ftrace")
	if err == nil {
		err = b.Err()
	}
	if err != nil {
		s.lose("ftrace records", at, err)
		return
	}
	first, err := s.mem.Uint64(vmem.VirtAddr(at))
	if err != nil {
		s.lose("ftrace records", at, err)
	}
	next, _ := page.Offset("Next")
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "ftrace records", Nodes: maxFtracePages, Gaps: 100})
	said := 0 // by all pages, whether they are there or not
	for at, err := range w.Chain(vmem.VirtAddr(first), next) {
		var p ftracePage
		if err == nil {
			err = page.Read(s.mem, at, &p)
		}
		if err == nil && (p.Index < 0 || said+int(p.Index) > maxFtraceRecords) {
			err = fmt.Errorf("%w: %d records on a page", kstruct.ErrTooMany, p.Index)
		}
		if err != nil {
			s.lose("ftrace records", uint64(at), err)
			continue
		}
		said += int(p.Index)
		buf := make([]byte, int(p.Index)*int(rec.Size))
		got, err := s.mem.ReadVirt(buf, p.Records)
		for i := 0; i+int(rec.Size) <= got; i += int(rec.Size) {
			s.ftrace.records = append(s.ftrace.records, record{
				ip: binary.LittleEndian.Uint64(buf[i+int(ip.Offset()):]), flags: binary.LittleEndian.Uint64(buf[i+int(flags.Offset()):]),
			})
		}
		if err != nil {
			s.lose("ftrace records", uint64(p.Records), err)
		}
	}
	slices.SortFunc(s.ftrace.records, func(a, b record) int {
		switch {
		case a.ip < b.ip:
			return -1
		case a.ip > b.ip:
			return 1
		}
		return 0
	})
	s.ftrace.known = len(s.ftrace.records) > 0
	s.readTrampolines(ctx)
}

// record returns ftrace's record of a place.
func (f *ftraceState) record(ip uint64) (record, bool) {
	i, ok := slices.BinarySearchFunc(f.records, ip, func(r record, ip uint64) int {
		switch {
		case r.ip < ip:
			return -1
		case r.ip > ip:
			return 1
		}
		return 0
	})
	if !ok {
		return record{}, false
	}
	return f.records[i], true
}

type ftraceOps struct {
	Next       vmem.VirtAddr `kernel:"next"`
	Trampoline uint64        `kernel:"trampoline"`
	Filter     vmem.VirtAddr `kernel:"func_hash"`
}

// readTrampolines reads the trampolines of ftrace_ops_list, and what functions call directly: direct_functions, and since 6.19
// the hashes of the ops.
func (s *state) readTrampolines(ctx context.Context) {
	s.ftrace.tramps, s.ftrace.direct = map[uint64]uint64{}, map[uint64]uint64{}
	b := kstruct.NewBinder(s.k.Symbols())
	ops := kstruct.Bind[ftraceOps](b, "ftrace_ops")
	filter := kstruct.BindField[vmem.VirtAddr](b, "ftrace_ops_hash", "filter_hash")
	if at, ok := s.names.address("direct_functions"); ok {
		if p, err := s.mem.Uint64(vmem.VirtAddr(at)); err == nil {
			s.readDirect(ctx, vmem.VirtAddr(p))
		}
	}
	at, ok := s.names.address("ftrace_ops_list")
	if !ok || b.Err() != nil {
		s.lose("ftrace trampolines", at, kstruct.ErrUnsupported)
		return
	}
	first, err := s.mem.Uint64(vmem.VirtAddr(at))
	if err != nil {
		s.lose("ftrace trampolines", at, err)
	}
	end, _ := s.names.address("ftrace_list_end")
	next, _ := ops.Offset("Next")
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "ftrace trampolines", Nodes: maxFtraceOps, Gaps: 100})
	hashes := map[vmem.VirtAddr]bool{}
	for at, err := range w.Chain(vmem.VirtAddr(first), next) {
		if uint64(at) == end {
			break
		}
		var o ftraceOps
		if err == nil {
			err = ops.Read(s.mem, at, &o)
		}
		if err != nil {
			s.lose("ftrace trampolines", uint64(at), err)
			continue
		}
		if o.Trampoline != 0 {
			s.ftrace.tramps[o.Trampoline] = uint64(at)
		}
		if h, err := filter.Load(s.mem, o.Filter); err == nil && h != 0 && !hashes[h] { // many share the empty one
			hashes[h] = true
			s.readDirect(ctx, h)
		}
	}
}

// maxFtraceOps is how many ftrace_ops are looked at.
const maxFtraceOps = 1 << 12

// readDirect reads from a hash what functions call directly (struct ftrace_func_entry.direct).
func (s *state) readDirect(ctx context.Context, hash vmem.VirtAddr) {
	b := kstruct.NewBinder(s.k.Symbols())
	bits := kstruct.BindField[uint64](b, "ftrace_hash", "size_bits")
	buckets := kstruct.BindField[vmem.VirtAddr](b, "ftrace_hash", "buckets")
	entry := kstruct.Bind[struct {
		IP     uint64 `kernel:"ip"`
		Direct uint64 `kernel:"direct"`
	}](b, "ftrace_func_entry")
	node := kstruct.BindMember(b, "ftrace_func_entry", "hlist")
	n, err := bits.Load(s.mem, hash)
	first, err2 := buckets.Load(s.mem, hash)
	if err == nil {
		err = err2
	}
	if err == nil && n > maxHashBits {
		err = fmt.Errorf("%w: a hash of 2^%d chains", kstruct.ErrCorrupt, n)
	}
	if err = cmp.Or(b.Err(), err); err != nil {
		s.lose("what functions call directly", uint64(hash), err)
		return
	}
	if first == 0 {
		return
	}
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "ftrace hash", Nodes: 1 << 20})
	for i := range vmem.VirtAddr(1) << n {
		if ctx.Err() != nil {
			return
		}
		for at, err := range w.HList(first + 8*i) {
			var e struct {
				IP     uint64 `kernel:"ip"`
				Direct uint64 `kernel:"direct"`
			}
			if err == nil && entry.Read(s.mem, node.Container(at), &e) == nil && e.Direct != 0 && s.ftrace.direct[e.IP] == 0 { // that of an ops can be out of date
				s.ftrace.direct[e.IP] = e.Direct
			}
		}
	}
}

// maxHashBits is FTRACE_HASH_MAX_BITS of kernel/trace/ftrace.c.
const maxHashBits = 12

// pvOps returns what an element of pv_ops leads to.
func (s *state) pvOps(slot uint64) (uint64, error) {
	v, err := s.mem.Uint64(vmem.VirtAddr(slot))
	if err != nil {
		return 0, fmt.Errorf("pv_ops: %w", err)
	}
	return v, nil
}
