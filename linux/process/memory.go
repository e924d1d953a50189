package process

import (
	"cmp"
	"encoding/binary"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Memory counts what a process has of memory (mm_struct), in bytes: what /proc/PID/status shows in
// kilobytes. Sums are exact where kernels since 6.2 count in parts for each CPU; /proc of kernels before 6.18 showed
// such sums only roughly.
type Memory struct {
	Peak       uint64 `json:"peak"` // of Size
	Size       uint64 `json:"size"`
	Locked     uint64 `json:"locked"`
	Pinned     uint64 `json:"pinned"`
	PeakRSS    uint64 `json:"peakRSS"`
	RSS        uint64 `json:"rss"`
	RSSAnon    uint64 `json:"rssAnon"`
	RSSFile    uint64 `json:"rssFile"`
	RSSShmem   uint64 `json:"rssShmem"`
	Data       uint64 `json:"data"`
	Stack      uint64 `json:"stack"`
	Code       uint64 `json:"code"`      // of the program
	Libraries  uint64 `json:"libraries"` // other executable mappings
	PageTables uint64 `json:"pageTables"`
	Swap       uint64 `json:"swap"`
	Hugetlb    uint64 `json:"hugetlb"`

	StartCode  vmem.VirtAddr `json:"startCode"`
	EndCode    vmem.VirtAddr `json:"endCode"`
	StartData  vmem.VirtAddr `json:"startData"`
	EndData    vmem.VirtAddr `json:"endData"`
	StartBrk   vmem.VirtAddr `json:"startBrk"`
	Brk        vmem.VirtAddr `json:"brk"`
	StartStack vmem.VirtAddr `json:"startStack"`
	ArgStart   vmem.VirtAddr `json:"argStart"`
	ArgEnd     vmem.VirtAddr `json:"argEnd"`
	EnvStart   vmem.VirtAddr `json:"envStart"`
	EnvEnd     vmem.VirtAddr `json:"envEnd"`

	untagMask uint64 // of addresses: all ones where the kernel does not mask any
	flags     uint64 // MMF_ bits
	dumping   bool   // its core is being dumped
}

// disableTHP is MMF_DISABLE_THP, since 6.18 MMF_DISABLE_THP_COMPLETELY (include/linux/mm_types.h).
const disableTHP = 1 << 24

// The kinds of pages that an mm counts (include/linux/mm_types_task.h).
const (
	filePages = iota
	anonPages
	swapPages
	shmemPages
)

// Memory reads what the task's process has of memory. The error is [linux.ErrNone] for a task without
// memory of its own, and a [vmem.Gap] otherwise; with it comes what could be read.
func (r *Reader) Memory(t *linux.Task) (Memory, error) {
	r.k.Physical().Refresh()
	at, err := r.views.of.Load(r.mem, t.Addr)
	switch {
	case err != nil:
		return Memory{}, lost(t, "memory", t.Addr, cause(err, r.views.err))
	case at == 0 || t.KernelThread:
		return Memory{}, linux.ErrNone
	case !plausible(at):
		return Memory{}, lost(t, "memory", at, corrupt("mm_struct pointer %v", at))
	}
	var s mmStruct
	if err := r.views.mm.Read(r.mem, at, &s); err != nil {
		return Memory{}, lost(t, "memory", at, cause(err, r.views.err))
	}
	counts, countErr := r.counts(s.RSS)
	m := memoryOf(&s, counts)
	if !r.views.mm.Has("UntagMask") {
		m.untagMask = 1<<64 - 1
	}
	if m.flags, err = r.mem.Uint64(s.Flags); err == nil {
		m.dumping, err = r.dumping(t, &s)
	}
	return m, lost(t, "memory", at, cmp.Or(countErr, err))
}

// dumping reports whether the core of a task is being dumped (core_state, of mm_struct until 5.15, then of signal_struct).
func (r *Reader) dumping(t *linux.Task, s *mmStruct) (bool, error) {
	if r.views.mm.Has("CoreState") {
		return s.CoreState != 0, nil
	}
	_, sig, err := r.signal(t)
	return err == nil && sig.CoreState != 0, err
}

// memoryOf follows task_mem of fs/proc/task_mmu.c.
func memoryOf(s *mmStruct, counts [counters]int64) Memory {
	const page = vmem.PageSize
	size := func(kind int) uint64 { return uint64(max(counts[kind], 0)) * page }
	m := Memory{
		Peak: max(s.HiwaterVM, s.TotalVM) * page, Size: s.TotalVM * page, Locked: s.LockedVM * page, Pinned: uint64(max(s.PinnedVM, 0)) * page,
		RSSAnon: size(anonPages), RSSFile: size(filePages), RSSShmem: size(shmemPages), Swap: size(swapPages),
		Data: s.DataVM * page, Stack: s.StackVM * page, PageTables: uint64(max(s.PageTables, 0)), Hugetlb: uint64(max(s.Hugetlb, 0)) * page,
		StartCode: s.StartCode, EndCode: s.EndCode, StartData: s.StartData, EndData: s.EndData, StartBrk: s.StartBrk, Brk: s.Brk,
		StartStack: s.StartStack, ArgStart: s.ArgStart, ArgEnd: s.ArgEnd, EnvStart: s.EnvStart, EnvEnd: s.EnvEnd, untagMask: s.UntagMask,
	}
	m.RSS = m.RSSAnon + m.RSSFile + m.RSSShmem
	m.PeakRSS = max(s.HiwaterRSS*page, m.RSS)
	text := uint64(s.EndCode+page-1)&^(page-1) - uint64(s.StartCode)&^(page-1)
	m.Code = min(text, s.ExecVM*page)
	m.Libraries = s.ExecVM*page - m.Code
	return m
}

// counts reads mm_struct.rss_stat: an array of numbers until 6.1, and of struct percpu_counter since 6.2 (f1a7941243c1).
func (r *Reader) counts(at vmem.VirtAddr) (counts [counters]int64, err error) {
	if r.views.perCPU.Ok() {
		size := vmem.VirtAddr(r.views.perCPU.Size())
		for i := range counts {
			n, cErr := r.objects.Counter(at + vmem.VirtAddr(i)*size)
			if counts[i] = n; err == nil {
				err = cErr
			}
		}
		return counts, err
	}
	var b [counters * 8]byte
	if _, err := r.mem.ReadVirt(b[:], at); err != nil {
		return counts, err
	}
	for i := range counts {
		counts[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return counts, nil
}
