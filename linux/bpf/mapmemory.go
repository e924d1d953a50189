package bpf

import (
	"github.com/nodelens/nodelens/vmem"
)

// mmapable is BPF_F_MMAPABLE of include/uapi/linux/bpf.h.
const mmapable = 1 << 10

// roundUp rounds n up to a multiple of a power of two.
func roundUp[T uint32 | uint64](n, to T) T { return (n + to - 1) &^ (to - 1) }

// perCPU reports whether a map has a value for each CPU.
func (t MapType) perCPU() bool {
	switch t {
	case PerCPUHash, PerCPUArray, LRUPerCPUHash, PerCPUCgroupStorage:
		return true
	}
	return false
}

// holdsObjects reports whether what a process reads of a map are IDs of objects that it has.
func (t MapType) holdsObjects() bool {
	switch t {
	case ProgArray, PerfEventArray, CgroupArray, ArrayOfMaps, HashOfMaps:
		return true
	}
	return false
}

// memoryOf returns what the kernel says that a map has of memory: bpf_map_memory_usage of
// kernel/bpf/syscall.c.
func (s *Set) memoryOf(m *Map) uint64 {
	if s.views.maps.bpf.Has("Pages") { // until 5.10
		return uint64(m.raw.Pages) * vmem.PageSize
	}
	types := s.k.Symbols()
	if !types.HasField("bpf_map_ops", "map_mem_usage") { // since 6.4 (90a5527d7686)
		return s.footprint(m)
	}
	var lost error                    // of any part: a sum without it would be wrong
	size := func(typ string) uint64 { // of a structure
		t, err := types.UserType(typ)
		if err != nil {
			lost = err
			return 0
		}
		return t.Size
	}
	number := func(typ, member string) uint64 {
		n, err := s.objects.Struct(typ, m.Address).At(member).Uint()
		if err != nil {
			lost = err
		}
		return n
	}
	n := s.usage(m, size, number)
	if lost != nil {
		s.lose("memory of map "+m.String(), m.Address, lost)
		return 0
	}
	return n
}

// usage is map_mem_usage of the operations of each kind of map. size returns the size of a structure, number a
// member of the map's own.
func (s *Set) usage(m *Map, size func(typ string) uint64, number func(typ, member string) uint64) uint64 {
	entries, value := uint64(m.MaxEntries), uint64(m.ValueSize)
	switch m.Type {
	case Array, PerCPUArray, ProgArray, PerfEventArray, CgroupArray, ArrayOfMaps:
		elem := number("bpf_array", "elem_size")
		head := size("bpf_array")
		switch {
		case m.Type == PerCPUArray:
			return head + entries*8 + entries*elem*uint64(len(s.cpus))
		case m.Flags&mmapable != 0:
			return roundUp(head, vmem.PageSize) + roundUp(entries*elem, vmem.PageSize)
		}
		return head + entries*elem
	case Hash, PerCPUHash, LRUHash, LRUPerCPUHash, HashOfMaps:
		return s.hashMemory(m, size("bpf_htab")+size("bucket")*number("bpf_htab", "n_buckets"))
	case LPMTrie:
		return (size("lpm_trie_node") + number("lpm_trie", "data_size") + value) * number("lpm_trie", "n_entries")
	case Queue, Stack:
		return size("bpf_queue_stack") + (entries+1)*value
	case StackTrace:
		return size("bpf_stack_map") + number("bpf_stack_map", "n_buckets")*8 + entries*(size("stack_map_bucket")+value)
	case DevMap:
		return size("bpf_dtab") + entries*8 + number("bpf_dtab", "items")*size("bpf_dtab_netdev")
	case DevMapHash:
		return size("bpf_dtab") + number("bpf_dtab", "n_buckets")*8 + number("bpf_dtab", "items")*size("bpf_dtab_netdev")
	case CPUMap:
		return size("bpf_cpu_map") + entries*8
	case SockMap:
		return size("bpf_stab") + entries*8
	case SockHash:
		return size("bpf_shtab") + number("bpf_shtab", "buckets_num")*size("bpf_shtab_bucket") +
			number("bpf_shtab", "count.counter")*number("bpf_shtab", "elem_size")
	case XSKMap:
		return size("xsk_map") + entries*8 + number("xsk_map", "count.counter")*size("xsk_map_node")
	case ReuseportSockArray:
		return size("reuseport_array") + entries*8
	case CgroupStorage, PerCPUCgroupStorage:
		return size("bpf_cgroup_storage_map")
	case SkStorage, InodeStorage, TaskStorage, CgrpStorage:
		return size("bpf_local_storage_map") + size("bpf_local_storage_map_bucket")<<number("bpf_local_storage_map", "bucket_log")
	case BloomFilter:
		return size("bpf_bloom_filter") + roundUp((number("bpf_bloom_filter", "bitset_mask")+1+7)/8, 8)
	case RingBuf, UserRingBuf:
		rb, err := s.objects.Struct("bpf_ringbuf_map", m.Address).At("rb->nr_pages").Uint()
		if err != nil {
			return 0
		}
		const meta = 3 // RINGBUF_NR_META_PAGES
		return size("bpf_ringbuf_map") + rb*vmem.PageSize + (meta+2*(entries/vmem.PageSize))*8
	}
	return 0
}

// footprint is bpf_map_memory_footprint of kernels from 5.11 to 6.3.
func (s *Set) footprint(m *Map) uint64 {
	value := uint64(m.ValueSize)
	switch {
	case m.Type.perCPU():
		value = roundUp(value, 8) * uint64(len(s.cpus))
	case m.Type.holdsObjects():
		value = 4
	}
	return roundUp(uint64(m.MaxEntries)*roundUp(uint64(m.KeySize)+value, 8), vmem.PageSize)
}

// hashLocks is how many locks a hash has on each CPU: HASHTAB_MAP_LOCK_COUNT, from 5.11 to 6.16.
const hashLocks = 8

// hashMemory is htab_map_mem_usage of kernel/bpf/hashtab.c, from the size of a hash without its elements.
func (s *Set) hashMemory(m *Map, usage uint64) uint64 {
	cpus := uint64(len(s.cpus))
	h, err := s.views.maps.content.htab.Load(s.mem, m.Address)
	if err != nil {
		return 0
	}
	if s.k.Symbols().HasField("bpf_htab", "map_locked") {
		usage += 4 * cpus * hashLocks
	}
	percpu, lru := m.Type.perCPU(), m.Type == LRUHash || m.Type == LRUPerCPUHash
	extra, err := s.objects.Struct("bpf_htab", m.Address).At("extra_elems").Pointer() // hashes of maps have none since 6.15
	if err != nil {
		return 0
	}
	value := roundUp(uint64(m.ValueSize), 8)
	if m.Flags&noPrealloc == 0 {
		n := uint64(m.MaxEntries)
		if extra != 0 {
			n += cpus
		}
		usage += uint64(h.ElemSize) * n
		switch {
		case percpu:
			usage += value * cpus * n
		case !lru:
			usage += 8 * cpus
		}
		return usage
	}
	n := uint64(max(s.hashCount(&h), 0))
	usage += (uint64(h.ElemSize) + 8) * n
	if percpu {
		usage += 16*n + value*cpus*n
	}
	return usage
}

// hashCount returns how many elements the kernel says that a hash has.
func (s *Set) hashCount(h *htabStruct) int64 {
	if h.PerCPU {
		n, err := s.objects.Counter(h.Counter)
		if err != nil {
			return -1
		}
		return n
	}
	return int64(h.Count)
}

// noPrealloc is BPF_F_NO_PREALLOC of include/uapi/linux/bpf.h.
const noPrealloc = 1
