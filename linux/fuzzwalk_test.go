package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// recorded is memory that knows which of its pages were read.
type recorded struct {
	vmem.Memory
	mu    sync.Mutex // guards pages
	pages map[vmem.PhysAddr]bool
}

func (m *recorded) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	for at := off &^ (vmem.PageSize - 1); at < off+int64(len(p)); at += vmem.PageSize {
		m.pages[vmem.PhysAddr(at)] = true
	}
	m.mu.Unlock()
	return m.Memory.ReadAt(p, off)
}

// What one walk may take, whatever memory holds.
const (
	mostTime   = 10 * time.Second
	mostMemory = 500 << 20
)

// fuzzPages overwrites words of the pages that a walk over the bundled node reads: with
// anything, with the addresses of other such pages, with those of neighbours. The walk must
// end soon, and take no more than so much memory.
func fuzzPages(f *testing.F, walk func(ctx context.Context, k *Kernel)) {
	n := openBundled(f)
	r := &recorded{Memory: n.mem, pages: map[vmem.PhysAddr]bool{}}
	walk(context.Background(), n.over(f, r))
	pages := slices.Sorted(maps.Keys(r.pages))
	direct := uint64(n.k.initPIDNS) // of the kernel's image, where there is no direct map
	for p, err := range n.k.Processes(context.Background()) {
		if err == nil {
			direct = uint64(p.Addr) - uint64(n.phys(f, p.Addr))
			break
		}
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{7, 0, 9, 0, 1, 0, 3, 1, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{20, 0, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.mem)
		for ; len(edits) >= 14; edits = edits[14:] {
			page := pages[int(binary.LittleEndian.Uint16(edits))%len(pages)]
			at := page + vmem.PhysAddr(binary.LittleEndian.Uint16(edits[2:])%512*8)
			value := binary.LittleEndian.Uint64(edits[6:])
			switch edits[4] % 4 {
			case 1: // anywhere in another page
				value = direct + uint64(pages[value>>12%uint64(len(pages))]) + value%vmem.PageSize&^7
			case 2: // nearby
				value = direct + uint64(at) + value%1024&^7
			case 3: // a page all of whose words lead on
				b := make([]byte, 0, vmem.PageSize)
				step := 8 * (value%64 + 1)
				for i := range uint64(vmem.PageSize / 8) {
					b = binary.LittleEndian.AppendUint64(b, direct+uint64(page)+8*i+step)
				}
				m.Write(page, b)
				continue
			}
			m.PutUint64(at, value)
		}
		k := n.tryOver(m)
		if k == nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), mostTime)
		defer cancel()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		walk(ctx, k)
		runtime.ReadMemStats(&after)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // and not the end of the fuzzing
			t.Fatalf("it takes more than %v", mostTime)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > mostMemory {
			t.Fatalf("%d MiB allocated", used>>20)
		}
	})
}

// tryOver returns the kernel of the node over damaged memory, nil where it can't be opened.
func (n *node) tryOver(m vmem.Memory) *Kernel {
	phys := vmem.NewPhysical(m)
	space, err := newSpace(phys, n.k.info.Root, n.k.info.PageTableLevels, n.k.mask)
	if err != nil {
		return nil
	}
	k := newKernel(phys, space, n.symbols, n.k.info.KASLRShift)
	k.views, k.mask, k.swap, k.info = n.k.views, n.k.mask, n.k.swap, n.k.info
	if k.anchor() != nil {
		return nil
	}
	return k
}

// eachProcess calls do for every process.
func eachProcess(ctx context.Context, k *Kernel, do func(*Task)) {
	for t, err := range k.Processes(ctx) {
		if err == nil {
			do(t)
		}
	}
}

func FuzzWalkTasks(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.Threads(ctx))
			_, _ = t.NamespacedPIDs()
			_, _ = t.Cred()
		})
	})
}

func FuzzWalkMM(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			mm, err := t.MM()
			if err != nil {
				return
			}
			collect(mm.Args(ctx))
			collect(mm.Env(ctx))
			collect(mm.VMAs(ctx))
			_, _ = t.Exe()
		})
	})
}

func FuzzWalkFiles(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.Files(ctx))
			_, _ = t.Cwd()
			if t.PID%16 == 1 { // of some: most have the same
				collect(t.Mounts(ctx))
			}
		})
	})
}

func FuzzWalkCgroups(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.CgroupPaths(ctx))
			_, _ = t.Namespaces()
			_, _ = t.UTSName()
		})
	})
}

func FuzzWalkResources(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) { collect(k.IOMem(ctx)) })
}
