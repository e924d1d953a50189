package smeartest

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/vmem"
)

// A Recorder is memory that knows which of its pages were read. It is safe for concurrent use.
type Recorder struct {
	vmem.Memory
	mu    sync.Mutex // guards pages
	pages map[vmem.PhysAddr]bool
}

// NewRecorder returns m, of which nothing was read as yet.
func NewRecorder(m vmem.Memory) *Recorder {
	return &Recorder{Memory: m, pages: map[vmem.PhysAddr]bool{}}
}

// ReadAt implements [vmem.Memory].
func (m *Recorder) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	for at := off &^ (vmem.PageSize - 1); at < off+int64(len(p)); at += vmem.PageSize {
		m.pages[vmem.PhysAddr(at)] = true
	}
	m.mu.Unlock()
	return m.Memory.ReadAt(p, off)
}

// Pages returns the addresses of the pages that were read, ascending.
func (m *Recorder) Pages() []vmem.PhysAddr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.pages))
}

// editSize is how many bytes say of one edit what is done: the page's number, the word's, how,
// nothing, and a value.
const editSize = 14

// AddEdits gives a fuzz target the first edits to go on from: none, pages whose words lead on,
// a word that leads elsewhere.
func AddEdits(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{7, 0, 9, 0, 1, 0, 3, 1, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{20, 0, 0, 1, 3, 0, 255, 255, 255, 255, 255, 255, 255, 255})
}

// Edit overwrites words of pages as a fuzzer says: with anything, with addresses of other such
// pages, with those of neighbours. Memory is mapped linearly, 0 at direct.
func (m *Memory) Edit(edits []byte, pages []vmem.PhysAddr, direct uint64) {
	for ; len(edits) >= editSize; edits = edits[editSize:] {
		page := pages[int(binary.LittleEndian.Uint16(edits))%len(pages)]
		at := page + vmem.PhysAddr(binary.LittleEndian.Uint16(edits[2:])%512*8)
		value := binary.LittleEndian.Uint64(edits[6:])
		switch edits[4] % 4 {
		case 1: // anywhere in another page
			value = direct + uint64(pages[value>>12%uint64(len(pages))]) + value%vmem.PageSize&^7
		case 2: // nearby
			value = direct + uint64(at) + value%1024&^7
		case 3:
			m.leadOn(page, direct, 8*(value%64+1))
			continue
		}
		m.PutUint64(at, value)
	}
}

// leadOn makes all words of a page lead to those some bytes after them.
func (m *Memory) leadOn(page vmem.PhysAddr, direct, step uint64) {
	b := make([]byte, 0, vmem.PageSize)
	for i := range uint64(vmem.PageSize / 8) {
		b = binary.LittleEndian.AppendUint64(b, direct+uint64(page)+8*i+step)
	}
	m.Write(page, b)
}

// What one walk may take, whatever memory holds.
const (
	mostTime   = 2 * time.Minute // of a machine that has much else to do
	mostMemory = 500 << 20
)

// Bounded fails t unless walk ends soon, and allocates no more than so much memory.
func Bounded(t *testing.T, walk func(ctx context.Context)) {
	t.Helper()
	soon(t, func(ctx context.Context) { alloctest.AtMost(t, mostMemory, "", func() { walk(ctx) }) })
}

// BoundedPeak is Bounded for walks over so much that their garbage is more than that: it fails t
// unless walk ends soon, and has no more than so much memory at a time.
func BoundedPeak(t *testing.T, walk func(ctx context.Context)) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // as programs have it: tests may let garbage lie longer
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	soon(t, walk)
	runtime.ReadMemStats(&after)
	if used := after.Sys - before.Sys; after.Sys > before.Sys && used > mostMemory {
		t.Fatalf("%d MiB at a time", used>>20)
	}
}

func soon(t *testing.T, walk func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mostTime)
	defer cancel()
	walk(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // and not the end of the fuzzing
		t.Fatalf("it takes more than %v", mostTime)
	}
}
