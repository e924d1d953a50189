package ktext

import (
	"cmp"
	"slices"
	"strings"
)

// A Kind is a way in which the kernel changes its own code.
type Kind uint8

// The ways in which the kernel changes its own code. Other is none of them.
const (
	Other Kind = iota
	Alternative
	Paravirt
	Retpoline
	Return
	CallDepth
	Seal
	Lock
	JumpLabel
	StaticCall
	Trampoline // of a static call
	Ftrace
	FtraceCall // what ftrace's own code calls
	Constant   // a runtime constant
	Kprobe
	Patching // underway as memory was captured
	kinds
)

var kindNames = [kinds]string{"other", "alternative", "paravirt", "retpoline", "return", "call-depth", "endbr", "lock", "jump-label",
	"static-call", "static-call-trampoline", "ftrace", "ftrace-call", "runtime-constant", "kprobe", "patching"}

// String returns alternative, paravirt and so on.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText returns what String does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes what MarshalText gives; what is not known is Other.
func (k *Kind) UnmarshalText(b []byte) error {
	*k = Kind(max(0, slices.Index(kindNames[:], string(b))))
	return nil
}

// A site is a place that the kernel patches.
type site struct {
	at   uint64
	size uint32
	kind Kind
	ref  int32 // index of it in what sites has of its kind
}

// sites are the places of code that are patched.
type sites struct {
	list     []site          // by address; none overlaps another
	inner    map[uint64]site // those in code that is or takes the place of an alternative
	alts     []alternative
	groups   [][]alternative
	para     []paraSite
	jumps    []jumpEntry
	statics  []staticSite
	keys     []uint64          // of trampolines
	values   []string          // of the variables whose values are runtime constants
	agreed   map[int32][8]byte // the values of those that have no variable
	broken   []string          // tables that can't be decoded
	thunks   map[uint64]int
	cfiSites bool
}

// moved returns the sites of a kernel that KASLR moved.
func (t *sites) moved(slide uint64) *sites {
	m := *t
	m.list = slices.Clone(t.list)
	for i := range m.list {
		m.list[i].at += slide
	}
	m.inner = make(map[uint64]site, len(t.inner))
	for at, s := range t.inner {
		s.at += slide
		m.inner[at+slide] = s
	}
	m.thunks = make(map[uint64]int, len(t.thunks))
	for at, r := range t.thunks {
		m.thunks[at+slide] = r
	}
	m.alts = slices.Clone(t.alts)
	for i := range m.alts {
		m.alts[i].at += slide
		m.alts[i].repl += slide
	}
	m.groups = groups(m.alts)
	m.para = slices.Clone(t.para)
	for i := range m.para {
		m.para[i].at += slide
	}
	m.jumps = slices.Clone(t.jumps)
	for i := range m.jumps {
		j := &m.jumps[i]
		j.at, j.target, j.key = j.at+slide, j.target+slide, j.key+slide
	}
	m.statics = slices.Clone(t.statics)
	for i := range m.statics {
		m.statics[i].at += slide
		m.statics[i].key += slide
	}
	m.keys = slices.Clone(t.keys)
	for i := range m.keys {
		m.keys[i] += slide
	}
	m.agreed = map[int32][8]byte{}
	return &m
}

// newSites collects the places that a file says are patched; calls says whether all calls are, to count them.
func newSites(c *code, calls bool) *sites {
	t := &sites{inner: map[uint64]site{}, agreed: map[int32][8]byte{}, thunks: registers(c)}
	all := t.alternatives(c)
	all = append(all, t.offsets(c, Retpoline, ".retpoline_sites", "__retpoline_sites", 5)...)
	all = append(all, t.offsets(c, Return, ".return_sites", "__return_sites", 5)...)
	all = append(all, t.offsets(c, Seal, ".ibt_endbr_seal", "__ibt_endbr_seal", 4)...)
	all = append(all, t.offsets(c, Lock, ".smp_locks", "__smp_locks", 1)...)
	if calls {
		all = append(all, t.offsets(c, CallDepth, ".call_sites", "__call_sites", 5)...)
	}
	all = append(all, t.paravirt(c)...)
	all = append(all, t.jumpLabels(c)...)
	all = append(all, t.staticCalls(c)...)
	all = append(all, t.trampolines(c)...)
	all = append(all, t.ftrace(c)...)
	all = append(all, t.constants(c)...)
	cfi, _ := c.table(".cfi_sites", "__cfi_sites", "__cfi_sites_end")
	t.cfiSites = len(cfi) > 0
	t.arrange(c, all)
	return t
}

// rank says which of two sites at one place stands for both: alternatives hold others, and a trampoline of a
// static call can end in a return.
func rank(k Kind) int {
	switch k {
	case Alternative:
		return 0
	case Trampoline:
		return 1
	case StaticCall:
		return 2
	}
	return 3
}

// arrange sorts the sites and puts those that are in others aside.
func (t *sites) arrange(c *code, all []site) {
	slices.SortFunc(all, func(a, b site) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), cmp.Compare(a.kind, b.kind), cmp.Compare(a.ref, b.ref))
	})
	spare := c.named(".altinstr_replacement")
	end, open := uint64(0), Other
	for _, s := range all {
		switch {
		case s.at < end:
			if open == Alternative && s.kind != Alternative {
				t.inner[s.at] = s
			}
			continue
		case slices.ContainsFunc(spare, func(x *section) bool { return s.at >= x.addr && s.at < x.end() }):
			t.inner[s.at] = s
			continue
		case !c.valid(s.at, int(s.size)):
			continue
		}
		t.list = append(t.list, s)
		end, open = s.at+uint64(s.size), s.kind
	}
}

// between returns the sites that begin in a range.
func (t *sites) between(start, end uint64) []site {
	find := func(at uint64) int {
		i, _ := slices.BinarySearchFunc(t.list, at, func(s site, at uint64) int { return cmp.Compare(s.at, at) })
		return i
	}
	return t.list[find(start):find(end)]
}

func (t *sites) alternatives(c *code) (list []site) {
	data, base := c.table(".altinstructions", "__alt_instructions", "__alt_instructions_end")
	all := parseAlternatives(data, base, c.valid)
	if len(all) == 0 && len(data) > 0 {
		t.broken = append(t.broken, ".altinstructions")
	}
	t.alts = all
	t.groups = groups(all)
	for i, g := range t.groups {
		size := uint8(0)
		for _, a := range g {
			size = max(size, a.size)
		}
		if size > 0 {
			list = append(list, site{at: g[0].at, size: uint32(size), kind: Alternative, ref: int32(i)})
		}
	}
	return list
}

// offsets reads a table of offsets from their own places.
func (t *sites) offsets(c *code, kind Kind, name, start string, size uint32) []site {
	data, base := c.table(name, start, start+"_end")
	places := parseOffsets(data, base)
	list := make([]site, 0, len(places))
	for _, at := range places {
		s := site{at: at, size: size, kind: kind}
		if kind == Retpoline || kind == Return { // clang gives the jump to the thunk of returns a prefix
			if br, ok := decodeBranch(c.at(at, min(16, c.left(at))), at); ok {
				s.size = uint32(br.size)
			}
		}
		list = append(list, s)
	}
	return list
}

// left returns how many bytes there are from an address to the end of its section.
func (c *code) left(at uint64) int {
	s := c.find(at)
	if s == nil {
		return 0
	}
	return int(s.end() - at)
}

func (t *sites) paravirt(c *code) (list []site) {
	data, _ := c.table(".parainstructions", "__parainstructions", "__parainstructions_end")
	t.para = parseParavirt(data)
	for i := range t.para {
		p := &t.para[i]
		p.at = c.absolute(p.at)
		list = append(list, site{at: p.at, size: uint32(p.size), kind: Paravirt, ref: int32(i)})
	}
	return list
}

func (t *sites) jumpLabels(c *code) (list []site) {
	data, base := c.table("__jump_table", "__start___jump_table", "__stop___jump_table")
	t.jumps = parseJumps(data, base)
	for i, j := range t.jumps {
		size := uint32(5)
		if b := c.at(j.at, 2); b != nil && (b[0] == opJmp8 || nopLen(b) == 2) {
			size = 2
		}
		list = append(list, site{at: j.at, size: size, kind: JumpLabel, ref: int32(i)})
	}
	return list
}

func (t *sites) staticCalls(c *code) (list []site) {
	data, base := c.table(".static_call_sites", "__start_static_call_sites", "__stop_static_call_sites")
	t.statics = parseStaticCalls(data, base)
	for i, s := range t.statics {
		size := uint32(5)
		if b := c.at(s.at, 1); b != nil && b[0] == 0x0f {
			size = 6
		}
		list = append(list, site{at: s.at, size: size, kind: StaticCall, ref: int32(i)})
	}
	return list
}

// trampolines finds the trampolines of static calls, by their names, each with the key of its own.
func (t *sites) trampolines(c *code) (list []site) {
	for n, at := range c.names.byName {
		rest, ok := strings.CutPrefix(n, "__SCT__")
		key, have := c.names.address("__SCK__" + rest)
		if !ok || !have {
			continue
		}
		list = append(list, site{at: at + c.names.slide, size: 5, kind: Trampoline, ref: int32(len(t.keys))})
		t.keys = append(t.keys, key)
	}
	return list
}

func (t *sites) ftrace(c *code) (list []site) {
	data, _ := c.table("__mcount_loc", "__start_mcount_loc", "__stop_mcount_loc")
	for _, at := range parseAddresses(data) {
		list = append(list, site{at: c.absolute(at), size: 5, kind: Ftrace})
	}
	for _, n := range []string{"ftrace_call", "ftrace_regs_call"} {
		if at, ok := c.names.address(n); ok && c.module == "" {
			list = append(list, site{at: at, size: 5, kind: FtraceCall})
		}
	}
	return list
}

// constants finds the places of runtime constants (arch/x86/include/asm/runtime-const.h). A section is named after
// the variable.
func (t *sites) constants(c *code) (list []site) {
	for _, kind := range []struct {
		prefix string
		size   uint32
	}{{"runtime_ptr_", 8}, {"runtime_shift_", 1}} {
		for _, sec := range c.named(kind.prefix) {
			for _, at := range parseOffsets(sec.data, sec.addr) {
				list = append(list, site{at: at, size: kind.size, kind: Constant, ref: int32(len(t.values))})
			}
			t.values = append(t.values, strings.TrimPrefix(sec.name, kind.prefix))
		}
	}
	return list
}

// registers returns the retpolines, each with the number of its register.
func registers(c *code) map[uint64]int {
	m := map[uint64]int{}
	for i, r := range [...]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"} {
		if at, ok := c.names.address("__x86_indirect_thunk_" + r); ok {
			m[at] = i
		}
	}
	return m
}
