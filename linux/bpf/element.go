package bpf

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An Element is one entry of a map, as `bpftool map dump` shows it.
type Element struct {
	Key    []byte   // nil for maps without keys
	Value  []byte   // what a process reads: of maps of programs or maps their ID, of maps of sockets a cookie
	PerCPU [][]byte // values of each CPU that there can be, in place of Value
	// Object is the address of what an element stands for: a program, a map, a socket, a device, a perf event, a cgroup, or the
	// task, inode, socket or cgroup that a value is stored for. 0 for none.
	Object vmem.VirtAddr
}

// A htabStruct is struct bpf_htab (kernel/bpf/hashtab.c).
type htabStruct struct {
	Buckets    vmem.VirtAddr `kernel:"buckets"`
	Elems      vmem.VirtAddr `kernel:"elems"`
	NumBuckets uint32        `kernel:"n_buckets"`
	ElemSize   uint32        `kernel:"elem_size"`
	Count      int32         `kernel:"count.counter"`
	Counter    vmem.VirtAddr `kernel:"&pcount,optional"` // since 6.1, as the next
	PerCPU     bool          `kernel:"use_percpu_counter,optional"`
}

// A trieStruct is struct lpm_trie (kernel/bpf/lpm_trie.c).
type trieStruct struct {
	Root     vmem.VirtAddr `kernel:"root"`
	Count    uint64        `kernel:"n_entries"`
	DataSize uint64        `kernel:"data_size"`
}

// A trieNode is struct lpm_trie_node.
type trieNode struct {
	Child  [2]vmem.VirtAddr `kernel:"child"`
	Prefix uint32           `kernel:"prefixlen"`
	Flags  uint32           `kernel:"flags"`
	Data   vmem.VirtAddr    `kernel:"&data"`
}

// A queueStruct is struct bpf_queue_stack (kernel/bpf/queue_stack_maps.c).
type queueStruct struct {
	Head  uint32        `kernel:"head"`
	Tail  uint32        `kernel:"tail"`
	Size  uint32        `kernel:"size"`
	Elems vmem.VirtAddr `kernel:"&elements"`
}

// A stackBucket is struct stack_map_bucket (kernel/bpf/stackmap.c).
type stackBucket struct {
	Count uint32        `kernel:"nr"`
	Data  vmem.VirtAddr `kernel:"&data"`
}

// A devElem is struct bpf_dtab_netdev (kernel/bpf/devmap.c).
type devElem struct {
	Dev     vmem.VirtAddr `kernel:"dev"`
	Program vmem.VirtAddr `kernel:"xdp_prog"`
	Index   uint32        `kernel:"idx"`
	Value   vmem.VirtAddr `kernel:"&val"`
}

// A cpuElem is struct bpf_cpu_map_entry (kernel/bpf/cpumap.c).
type cpuElem struct {
	Program vmem.VirtAddr `kernel:"prog"`
	Value   vmem.VirtAddr `kernel:"&value"`
}

// A sockElem is struct bpf_shtab_elem (net/core/sock_map.c).
type sockElem struct {
	Sock vmem.VirtAddr `kernel:"sk"`
	Key  vmem.VirtAddr `kernel:"&key"`
}

// A storageElem is struct bpf_local_storage_elem (include/linux/bpf_local_storage.h).
type storageElem struct {
	Storage vmem.VirtAddr `kernel:"local_storage"`
	Map     vmem.VirtAddr `kernel:"sdata.smap"`
	Data    vmem.VirtAddr `kernel:"&sdata.data"`
}

// A cgroupElem is struct bpf_cgroup_storage (include/linux/bpf-cgroup.h).
type cgroupElem struct {
	Buf vmem.VirtAddr `kernel:"buf"`
	Key vmem.VirtAddr `kernel:"&key"`
}

// contentViews are what is in maps. Each fails by itself.
type contentViews struct {
	array    kstruct.Member // value of bpf_array, which is also ptrs
	elemSize *kstruct.Field[uint32]
	htab     *kstruct.View[htabStruct]
	elem     kstruct.Member // key of htab_elem
	elemNode kstruct.Member // hash_node
	rounded  bool           // pointers to values of each CPU are aligned behind the key, since 6.1 with bpf_mem_alloc
	trie     *kstruct.View[trieStruct]
	trieNode *kstruct.View[trieNode]
	queue    *kstruct.View[queueStruct]
	stacks   kstruct.Member // buckets of bpf_stack_map
	numStack *kstruct.Field[uint32]
	stack    *kstruct.View[stackBucket]
	devs     *kstruct.Field[vmem.VirtAddr] // netdev_map of bpf_dtab
	devHash  *kstruct.Field[vmem.VirtAddr]
	devCount *kstruct.Field[uint32] // n_buckets
	dev      *kstruct.View[devElem]
	devNode  kstruct.Member
	cpus     *kstruct.Field[vmem.VirtAddr] // cpu_map of bpf_cpu_map
	cpu      *kstruct.View[cpuElem]
	xsks     kstruct.Member                // of xsk_map
	ports    kstruct.Member                // of reuseport_array
	socks    *kstruct.Field[vmem.VirtAddr] // sks of bpf_stab
	sockHash *kstruct.Field[vmem.VirtAddr] // buckets of bpf_shtab
	sockNum  *kstruct.Field[uint32]
	sock     *kstruct.View[sockElem]
	sockNode kstruct.Member
	cookie   *kstruct.Field[int64]         // of sock
	event    *kstruct.Field[vmem.VirtAddr] // of bpf_event_entry
	storages *kstruct.Field[vmem.VirtAddr] // buckets of bpf_local_storage_map
	storeLog *kstruct.Field[uint32]
	store    *kstruct.View[storageElem]
	storeAt  kstruct.Member                // map_node
	owner    *kstruct.Field[vmem.VirtAddr] // of bpf_local_storage
	cgroups  kstruct.Member                // list of bpf_cgroup_storage_map
	cgroup   *kstruct.View[cgroupElem]
	cgData   kstruct.Member                // data of bpf_storage_buffer
	uvalue   *kstruct.Field[vmem.VirtAddr] // of bpf_struct_ops_map
	kvalue   kstruct.Member
}

func bindContent(types *isf.File) (v contentViews) {
	v.array = boundMember(types, "bpf_array", "value")
	v.elemSize = boundField[uint32](types, "bpf_array", "elem_size")
	v.htab = bound[htabStruct](types, "bpf_htab")
	v.elem = boundMember(types, "htab_elem", "key")
	v.elemNode = boundMember(types, "htab_elem", "hash_node")
	v.rounded = types.HasField("htab_elem", "ptr_to_pptr")
	v.trie, v.trieNode = bound[trieStruct](types, "lpm_trie"), bound[trieNode](types, "lpm_trie_node")
	v.queue = bound[queueStruct](types, "bpf_queue_stack")
	v.stacks = boundMember(types, "bpf_stack_map", "buckets")
	v.numStack = boundField[uint32](types, "bpf_stack_map", "n_buckets")
	v.stack = bound[stackBucket](types, "stack_map_bucket")
	v.devs = boundField[vmem.VirtAddr](types, "bpf_dtab", "netdev_map")
	v.devHash = boundField[vmem.VirtAddr](types, "bpf_dtab", "dev_index_head")
	v.devCount = boundField[uint32](types, "bpf_dtab", "n_buckets")
	v.dev = bound[devElem](types, "bpf_dtab_netdev")
	v.devNode = boundMember(types, "bpf_dtab_netdev", "index_hlist")
	v.cpus = boundField[vmem.VirtAddr](types, "bpf_cpu_map", "cpu_map")
	v.cpu = bound[cpuElem](types, "bpf_cpu_map_entry")
	v.xsks = boundMember(types, "xsk_map", "xsk_map")
	v.ports = boundMember(types, "reuseport_array", "ptrs")
	v.socks = boundField[vmem.VirtAddr](types, "bpf_stab", "sks")
	v.sockHash = boundField[vmem.VirtAddr](types, "bpf_shtab", "buckets")
	v.sockNum = boundField[uint32](types, "bpf_shtab", "buckets_num")
	v.sock = bound[sockElem](types, "bpf_shtab_elem")
	v.sockNode = boundMember(types, "bpf_shtab_elem", "node")
	v.cookie = boundField[int64](types, "sock", "__sk_common.skc_cookie.counter")
	v.event = boundField[vmem.VirtAddr](types, "bpf_event_entry", "event")
	v.storages = boundField[vmem.VirtAddr](types, "bpf_local_storage_map", "buckets")
	v.storeLog = boundField[uint32](types, "bpf_local_storage_map", "bucket_log")
	v.store = bound[storageElem](types, "bpf_local_storage_elem")
	v.storeAt = boundMember(types, "bpf_local_storage_elem", "map_node")
	v.owner = boundField[vmem.VirtAddr](types, "bpf_local_storage", "owner")
	v.cgroups = boundMember(types, "bpf_cgroup_storage_map", "list")
	v.cgroup = bound[cgroupElem](types, "bpf_cgroup_storage")
	v.cgData = boundMember(types, "bpf_storage_buffer", "data")
	v.uvalue = boundField[vmem.VirtAddr](types, "bpf_struct_ops_map", "uvalue")
	v.kvalue = boundMember(types, "bpf_struct_ops_map", "kvalue")
	return v
}

// maxElement is the largest key or value that is read, in bytes: what KMALLOC_MAX_SIZE leaves.
const maxElement = 4 << 20

// Elements yields what is in a map. What is lost of it is a [vmem.Gap], and the context's own error ends
// it. Ring buffers, arenas and bloom filters have no elements.
func (s *Set) Elements(ctx context.Context, m *Map) iter.Seq2[Element, error] {
	return s.elements(ctx, m, false)
}

// Deleted yields elements that were taken out of a hash, and that memory still holds, as it does where elements were
// allocated with the map: of the types hash and lru_hash without BPF_F_NO_PREALLOC. Of one that is used again only the
// newest is left. What never was used is left out.
func (s *Set) Deleted(ctx context.Context, m *Map) iter.Seq2[Element, error] {
	return s.elements(ctx, m, true)
}

func (s *Set) elements(ctx context.Context, m *Map, dead bool) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		if dead && (m.Type != Hash && m.Type != LRUHash || m.Flags&noPrealloc != 0) {
			return
		}
		r := &elements{Set: s, m: m, ctx: ctx, object: "map " + m.String(), yield: yield, dead: dead}
		if m.KeySize > maxElement || m.ValueSize > maxElement {
			r.lose(m.Address, corrupt("keys of %d and values of %d bytes", m.KeySize, m.ValueSize))
			return
		}
		r.read()
	}
}

// elements is one walk over a map.
type elements struct {
	*Set
	m      *Map
	ctx    context.Context //nolint:containedctx // it lives as long as one walk
	object string
	yield  func(Element, error) bool
	over   bool
	n      int
	seen   map[vmem.VirtAddr]bool // elements of a hash that are in it
	dead   bool                   // the others are what is asked for
}

// give yields an element, and reports whether to go on.
func (r *elements) give(e Element) bool {
	if r.alive() && !r.yield(e, nil) {
		r.over = true
	}
	return !r.over
}

// alive reports whether to go on; where the context is done, it yields its error.
func (r *elements) alive() bool {
	if r.n++; r.n%1024 == 0 && !r.over && r.ctx.Err() != nil {
		r.over = true
		r.yield(Element{}, r.ctx.Err())
	}
	return !r.over
}

// lose yields what was lost, and reports whether to go on.
func (r *elements) lose(at vmem.VirtAddr, err error) bool {
	if _, ok := err.(vmem.Gap); !ok && r.ctx.Err() != nil { //nolint:errorlint // those of a walk are Gaps themselves
		r.over = true
	}
	if !r.over && !r.yield(Element{}, vmem.NewGap(r.object, vmem.KernelPlace(at), err)) {
		r.over = true
	}
	return !r.over
}

func (r *elements) walk() *kstruct.Walk {
	return r.objects.Walk(r.ctx, &kstruct.WalkOptions{Object: r.object, Gaps: 100})
}

// bytes reads n bytes.
func (r *elements) bytes(at vmem.VirtAddr, n uint32) ([]byte, error) {
	b := make([]byte, n)
	_, err := r.mem.ReadVirt(b, at)
	return b, err
}

// number returns an index or an ID as maps have it.
func number(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// read walks a map by its type.
func (r *elements) read() {
	switch r.m.Type {
	case Array:
		r.array()
	case PerCPUArray, ProgArray, PerfEventArray, CgroupArray, ArrayOfMaps:
		r.pointers()
	case Hash, LRUHash, PerCPUHash, LRUPerCPUHash, HashOfMaps:
		r.hash()
	case LPMTrie:
		r.trie()
	case Queue, Stack:
		r.queue()
	case StackTrace:
		r.stacks()
	case DevMap, DevMapHash:
		r.devices()
	case CPUMap:
		r.cpuMap()
	case XSKMap, ReuseportSockArray, SockMap:
		r.sockets()
	case SockHash:
		r.socketHash()
	case CgroupStorage, PerCPUCgroupStorage:
		r.cgroupStorage()
	case SkStorage, InodeStorage, TaskStorage, CgrpStorage:
		r.storage()
	case StructOpsMap:
		r.structOps()
	case RingBuf, UserRingBuf, Arena, BloomFilter:
	default:
		r.lose(r.m.Address, fmt.Errorf("%w: maps of the type %v", kstruct.ErrUnsupported, r.m.Type))
	}
}

// percpu reads the values of all CPUs that a pointer stands for.
func (r *elements) percpu(ptr vmem.VirtAddr) (values [][]byte, err error) {
	for _, cpu := range r.cpus {
		at, err := r.objects.PerCPUPtr(ptr, cpu)
		if err != nil {
			return values, err
		}
		v, err := r.bytes(at, r.m.ValueSize)
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}
