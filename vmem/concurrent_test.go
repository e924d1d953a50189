package vmem_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

func TestConcurrentReads(t *testing.T) {
	t.Run("one TLB slot", func(t *testing.T) { testConcurrentReads(t, 2, 100_000) })
	t.Run("one set of frames", func(t *testing.T) { testConcurrentReads(t, 48, 20_000) })
}

// testConcurrentReads lets goroutines fight for one slot of the TLB and one set of
// the frame cache. Each word holds its own physical address, so that a translation
// or a frame mixed up between two of them shows.
func testConcurrentReads(t *testing.T, pages, reads int) {
	const stride = 1024 * vmem.PageSize // one set of frames
	m := new(pt.Memory)
	tables := pt.NewTables(m, 5, 0x1000)
	va := func(i int) vmem.VirtAddr { return user + vmem.VirtAddr(i)<<20 } // one TLB slot
	for i := range pages {
		pa := vmem.PhysAddr(i+1) * stride
		tables.Map(va(i), pa, 1, pt.Present)
		page := make([]byte, 0, vmem.PageSize)
		for off := range vmem.PhysAddr(vmem.PageSize / 8) {
			page = binary.LittleEndian.AppendUint64(page, uint64(pa+8*off))
		}
		m.Write(pa, page)
	}
	as := openSpace(t, m, tables.Root(), &x86.Options{Levels: 5})
	var wg sync.WaitGroup
	for worker := range uint64(4) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(worker, 15))
			for range reads {
				i, off := rng.IntN(pages), rng.IntN(512)*8
				want := uint64(i+1)*stride + uint64(off)
				if got, err := as.Uint64(va(i) + vmem.VirtAddr(off)); got != want || err != nil {
					t.Errorf("Uint64(%v) = %#x, %v, want %#x", va(i)+vmem.VirtAddr(off), got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}
