package kstruct_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// base is where hand-made kernels keep their objects, mapped to physical physBase.
const (
	base     = vmem.VirtAddr(0xffff888000200000)
	physBase = 0x200000
	memSize  = 128 << 10
)

// A machine is hand-made memory of one 2 MiB page of which memSize bytes are there.
type machine struct {
	t    testing.TB
	mem  *pagetest.Memory
	root vmem.PhysAddr
}

func newMachine(t testing.TB) *machine {
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, 0x1000)
	tables.Map(base, physBase, 2, pagetest.Present|pagetest.Write)
	mem.Zero(physBase, memSize)
	return &machine{t, mem, tables.Root()}
}

// space returns what the memory holds by now, with the types that text says.
func (m *machine) space(text string, symbols ...isf.Symbol) *kstruct.Space {
	m.t.Helper()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(m.mem), m.root, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return kstruct.NewSpace(as, types(m.t, text, symbols...), 0)
}

// walk returns a walk over what the memory holds by now.
func (m *machine) walk() *kstruct.Walk { return m.walkWith(context.Background(), nil) }

func (m *machine) walkWith(ctx context.Context, opts *kstruct.WalkOptions) *kstruct.Walk {
	return m.space(kernelTypes).Walk(ctx, opts)
}

// put writes words from off on, counted from base.
func (m *machine) put(off uint64, words ...uint64) {
	for i, w := range words {
		m.mem.PutUint64(vmem.PhysAddr(physBase+off)+vmem.PhysAddr(8*i), w)
	}
}

// bytes writes bytes from off on.
func (m *machine) bytes(off uint64, b ...byte) { m.mem.Write(vmem.PhysAddr(physBase+off), b) }

// forget makes bytes from off on not captured.
func (m *machine) forget(off uint64, size int) { m.mem.Forget(vmem.PhysAddr(physBase+off), size) }

// at returns an address counted from base.
func at(off uint64) uint64 { return uint64(base) + off }

// reasons are those that a loss may have, the more special first.
var reasons = []error{
	kstruct.ErrCycle, kstruct.ErrTooLong, kstruct.ErrUnsupported, kstruct.ErrCorrupt,
	kstruct.ErrPerCPU, kstruct.ErrType, kstruct.ErrRange, kstruct.ErrNull,
	vmem.ErrNotPresent, vmem.ErrNotCaptured, context.Canceled,
}

// collect returns what a walk yields, and the reasons of its losses.
func collect[T any](t testing.TB, walk iter.Seq2[T, error]) (found []T, lost []error) {
	t.Helper()
	for v, err := range walk {
		if err == nil {
			found = append(found, v)
			continue
		}
		t.Log(err)
		lost = append(lost, reasonOf(err))
	}
	return found, lost
}

func reasonOf(err error) error {
	for _, r := range reasons {
		if errors.Is(err, r) {
			return r
		}
	}
	return fmt.Errorf("no known reason: %w", err)
}

// offsets returns where walked nodes are, counted from base.
func offsets(nodes []vmem.VirtAddr) []uint64 {
	var offs []uint64
	for _, n := range nodes {
		offs = append(offs, uint64(n-base))
	}
	return offs
}

// types makes a database of structures, one a line: its name and size, then its members
// as name@offset:type.
func types(t testing.TB, text string, symbols ...isf.Symbol) *isf.File {
	t.Helper()
	c := isf.Contents{Symbols: symbols, Bases: []isf.BaseType{
		{Name: "char", Size: 1, Kind: isf.BaseChar, Signed: true},
		{Name: "u8", Size: 1, Kind: isf.BaseInt},
		{Name: "bool", Size: 1, Kind: isf.BaseBool},
		{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true},
		{Name: "u32", Size: 4, Kind: isf.BaseInt},
		{Name: "u64", Size: 8, Kind: isf.BaseInt},
		{Name: "s64", Size: 8, Kind: isf.BaseInt, Signed: true},
	}}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		words := strings.Fields(line)
		u := isf.UserType{Kind: isf.KindStruct, Name: words[0], Size: number(t, words[1])}
		for _, w := range words[2:] {
			name, rest, _ := strings.Cut(w, "@")
			off, typ, _ := strings.Cut(rest, ":")
			u.Fields = append(u.Fields, isf.Field{Name: strings.TrimPrefix(name, "?"), Offset: number(t, off), Type: parseType(t, typ), Anonymous: strings.HasPrefix(name, "?")})
		}
		c.Types = append(c.Types, u)
	}
	f, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// parseType reads a type: * for a pointer, a base type's name, or a structure's; with
// [N] behind it for an array.
func parseType(t testing.TB, s string) *isf.Type {
	if name, n, ok := strings.Cut(s, "["); ok {
		return &isf.Type{Kind: isf.KindArray, Count: number(t, strings.TrimSuffix(n, "]")), Elem: parseType(t, name)}
	}
	switch s {
	case "*":
		return &isf.Type{Kind: isf.KindPointer, Elem: &isf.Type{Kind: isf.KindVoid, Name: "void"}}
	case "char", "u8", "bool", "int", "u32", "u64", "s64":
		return &isf.Type{Kind: isf.KindBase, Name: s}
	}
	return &isf.Type{Kind: isf.KindStruct, Name: s}
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	var n uint64
	if _, err := fmt.Sscanf(s, "%v", &n); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}

// kernelTypes are containers as 6.1 to 7.2 have them on x86-64, counted by hand from the
// headers.
const kernelTypes = `
list_head 16 next@0:* prev@8:*
hlist_head 8 first@0:*
hlist_node 16 next@0:* pprev@8:*
hlist_bl_head 8 first@0:*
hlist_bl_node 16 next@0:* pprev@8:*
hlist_nulls_head 8 first@0:*
hlist_nulls_node 16 next@0:* pprev@8:*
llist_head 8 first@0:*
llist_node 8 next@0:*
plist_head 16 node_list@0:list_head
plist_node 40 prio@0:int prio_list@8:list_head node_list@24:list_head
atomic_t 4 counter@0:int
atomic_long_t 8 counter@0:s64
rhash_head 8 next@0:*
rhlist_head 16 rhead@0:rhash_head next@8:*
rhashtable 136 tbl@0:* key_len@8:u32 max_elems@12:u32 rhlist@56:bool nelems@132:atomic_t
bucket_table 64 size@0:u32 nest@4:u32 hash_rnd@8:u32 walkers@16:list_head future_tbl@48:* buckets@64:*[0]
cpumask 16 bits@0:u64[2]
percpu_counter 40 lock@0:u32 count@8:s64 list@16:list_head counters@32:*
percpu_ref 16 percpu_count_ptr@0:u64 data@8:*
percpu_ref_data 56 count@0:atomic_long_t
thing 64 id@0:u32 link@16:list_head next@32:*
xarray 16 xa_lock@0:u32 xa_flags@4:u32 xa_head@8:*
idr 24 idr_rt@0:xarray idr_base@16:u32 idr_next@20:u32
xa_node 576 shift@0:u8 offset@1:u8 count@2:u8 nr_values@3:u8 parent@8:* array@16:* slots@40:*[64]
rb_node 24 __rb_parent_color@0:u64 rb_right@8:* rb_left@16:*
rb_root 8 rb_node@0:*
rb_root_cached 16 rb_root@0:rb_root rb_leftmost@8:*
maple_tree 16 ma_lock@0:u32 ma_flags@4:u32 ma_root@8:*
maple_node 256 parent@0:* slot@8:*[31]
maple_metadata 2 end@0:u8 gap@1:u8
maple_pad 128 pad@0:*[15] meta@120:maple_metadata
maple_range_64 256 parent@0:* pivot@8:u64[15] slot@128:*[16] ?u@128:maple_pad
maple_arange_64 248 parent@0:* pivot@8:u64[9] slot@80:*[10] gap@160:u64[10] meta@240:maple_metadata
`
