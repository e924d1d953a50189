package network

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A damagedNode is the bundled node, with a kernel that is open over memory which can be
// damaged anew: it says that it lives, so that nothing of it is kept.
type damagedNode struct {
	*node
	now        *swapped
	k          *linux.Kernel
	namespaces []*Namespace
	pages      []vmem.PhysAddr // that are read for the configurations
	direct     uint64          // of physical address 0
}

// swapped is a memory that can be exchanged, and knows which of its pages were read.
type swapped struct {
	vmem.Memory
	mu    sync.Mutex // guards pages
	pages map[vmem.PhysAddr]bool
}

func (m *swapped) Live() bool { return true }

func (m *swapped) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	for at := off &^ (vmem.PageSize - 1); at < off+int64(len(p)); at += vmem.PageSize {
		m.pages[vmem.PhysAddr(at)] = true
	}
	m.mu.Unlock()
	return m.Memory.ReadAt(p, off)
}

var damaged = sync.OnceValues(func() (*damagedNode, error) {
	n, err := bundled()
	if err != nil {
		return nil, err
	}
	symbols, err := isf.Open(n.img.ISF)
	if err != nil {
		return nil, err
	}
	d := &damagedNode{node: n, now: &swapped{Memory: n.mem, pages: map[vmem.PhysAddr]bool{}}}
	d.k, err = linux.Open(context.Background(), d.now, &linux.Options{Symbols: symbols})
	if err != nil {
		return nil, err
	}
	for ns, err := range Namespaces(context.Background(), n.k, n.tasks) {
		if err != nil {
			return nil, err
		}
		d.namespaces = append(d.namespaces, ns)
	}
	clear(d.now.pages)
	d.read(context.Background(), n.mem)
	d.pages = slices.Sorted(maps.Keys(d.now.pages))
	m, err := n.k.Space().Translate(n.tasks[0].Addr)
	if err != nil {
		return nil, err
	}
	d.direct = uint64(n.tasks[0].Addr) - uint64(m.At(n.tasks[0].Addr))
	return d, nil
})

// read reads all configurations over another memory.
func (d *damagedNode) read(ctx context.Context, mem vmem.Memory) (found []*Configuration, gaps []error) {
	d.now.Memory = mem
	for c, err := range Configurations(ctx, d.k, d.namespaces, &Options{Types: d.set.Types}) {
		if err != nil {
			gaps = append(gaps, err)
			continue
		}
		found = append(found, c)
	}
	return found, gaps
}

func openDamaged(t testing.TB) *damagedNode {
	t.Helper()
	d, err := damaged()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put overwrites a word of the kernel's.
func (d *damagedNode) put(t testing.TB, m *smeartest.Memory, a vmem.VirtAddr, v uint64) {
	t.Helper()
	at, err := d.node.k.Space().Translate(a)
	if err != nil {
		t.Fatal(err)
	}
	m.PutUint64(at.At(a), v)
}

func (d *damagedNode) word(t testing.TB, a vmem.VirtAddr) uint64 {
	t.Helper()
	v, err := d.node.k.Space().Uint64(a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// whole is what the undamaged node has.
func (d *damagedNode) whole(t testing.TB) []*Configuration {
	t.Helper()
	whole, gaps := d.read(t.Context(), d.mem)
	if len(gaps) > 0 {
		t.Fatal(gaps)
	}
	return whole
}

// Addresses are compared as they are, and namespaces by which they are.
var (
	plain  = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	places = cmp.Comparer(func(a, b *Namespace) bool { return a == b })
)

// A device that was unlinked from the list of its namespace, as rootkits do, is still found,
// and that the list lacks it is told.
func TestHiddenDevice(t *testing.T) {
	d := openDamaged(t)
	whole := d.whole(t)
	victim := whole[0].Devices[2]
	list := bindDevice(d.k.Symbols()).node.Of(victim.Addr)
	next, prev := d.word(t, list), d.word(t, list+8)
	m := smeartest.New(d.mem)
	d.put(t, m, vmem.VirtAddr(prev), next)
	d.put(t, m, vmem.VirtAddr(next)+8, prev)
	got, gaps := d.read(t.Context(), m)
	want := *victim
	want.Sources &^= InDeviceList
	if diff := cmp.Diff(&want, got[0].Devices[2], plain); diff != "" {
		t.Errorf("the hidden device (-whole +damaged):\n%s", diff)
	}
	if len(gaps) != 1 || !errors.Is(gaps[0], linux.ErrDisagree) {
		t.Errorf("gaps: %v", gaps)
	}
	if diff := cmp.Diff(whole[1:], got[1:], plain, places); diff != "" {
		t.Errorf("other namespaces (-whole +damaged):\n%s", diff)
	}
}

// A list of routes that leads back to itself ends, is told, and costs no other route.
func TestRoutesInCircles(t *testing.T) {
	d := openDamaged(t)
	whole := d.whole(t)
	routes := whole[0].Routes
	for i, victim := range routes {
		offset := bindRoute4(d.k.Symbols()).link
		if victim.Family == Inet6 {
			offset = bindRoute6(d.k.Symbols()).next
		}
		at := offset.Of(victim.Addr)
		m := smeartest.New(d.mem)
		to := uint64(victim.Addr)
		if victim.Family == Inet {
			to = uint64(at)
		}
		d.put(t, m, at, to)
		got, gaps := d.read(t.Context(), m)
		if len(gaps) == 0 {
			t.Errorf("route %d in a circle: no gap", i)
		}
		// Only those behind it in its own list can be lost.
		if n := len(got[0].Routes); n < len(routes)-3 || n > len(routes) {
			t.Errorf("route %d in a circle: %d of %d routes", i, n, len(routes))
		}
		if diff := cmp.Diff(whole[1:], got[1:], plain, places); diff != "" {
			t.Fatalf("other namespaces (-whole +damaged):\n%s", diff)
		}
	}
}

// Wherever a page is lost, what is missing is told.
func TestLostPages(t *testing.T) {
	d := openDamaged(t)
	whole := asJSON(t, d.whole(t))
	lost := 0
	for _, page := range d.pages {
		m := smeartest.New(d.mem)
		m.Write(page, make([]byte, vmem.PageSize))
		got, gaps := d.read(t.Context(), m)
		if len(gaps) > 0 {
			lost++
			continue
		}
		// Zeros are sound where they are an empty list, an address or a counter; what they empty
		// is a table, and not what holds it.
		if n := len(got); n != len(d.namespaces) {
			t.Errorf("without the page at %v there are %d namespaces, and no gap", page, n)
		}
	}
	if lost < len(d.pages)/3 {
		t.Errorf("of %d lost pages %d are told", len(d.pages), lost)
	}
	if diff := cmp.Diff(whole, asJSON(t, d.whole(t))); diff != "" {
		t.Errorf("the whole image afterwards:\n%s", diff)
	}
}

// What one reading may take, whatever memory holds.
const (
	mostTime   = 30 * time.Second // of a machine that has much else to do
	mostMemory = 500 << 20
)

// damage overwrites words of the pages that are read: with anything, with the addresses of
// other such pages, with those of neighbours.
func (d *damagedNode) damage(edits []byte) *smeartest.Memory {
	m := smeartest.New(d.mem)
	for ; len(edits) >= 14; edits = edits[14:] {
		page := d.pages[int(binary.LittleEndian.Uint16(edits))%len(d.pages)]
		at := page + vmem.PhysAddr(binary.LittleEndian.Uint16(edits[2:])%512*8)
		value := binary.LittleEndian.Uint64(edits[6:])
		switch edits[4] % 4 {
		case 1: // anywhere in another page
			value = d.direct + uint64(d.pages[value>>12%uint64(len(d.pages))]) + value%vmem.PageSize&^7
		case 2: // nearby
			value = d.direct + uint64(at) + value%1024&^7
		case 3: // a page all of whose words lead on
			b := make([]byte, 0, vmem.PageSize)
			step := 8 * (value%64 + 1)
			for i := range uint64(vmem.PageSize / 8) {
				b = binary.LittleEndian.AppendUint64(b, d.direct+uint64(page)+8*i+step)
			}
			m.Write(page, b)
			continue
		}
		m.PutUint64(at, value)
	}
	return m
}

// bounded reads the configurations of damaged memory, which must end soon and take no more
// than so much memory.
func (d *damagedNode) bounded(t *testing.T, m vmem.Memory) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mostTime)
	defer cancel()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d.read(ctx, m)
	runtime.ReadMemStats(&after)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // and not the end of the fuzzing
		t.Fatalf("it takes more than %v", mostTime)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > mostMemory {
		t.Fatalf("%d MiB allocated", used>>20)
	}
}

func TestDamage(t *testing.T) {
	d := openDamaged(t)
	r := rand.New(rand.NewPCG(11, 2))
	for range 40 {
		edits := make([]byte, 14*(1+r.IntN(20)))
		for i := range edits {
			edits[i] = byte(r.Uint32())
		}
		d.bounded(t, d.damage(edits))
	}
}

func FuzzConfigurations(f *testing.F) {
	d := openDamaged(f)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{7, 0, 9, 0, 1, 0, 3, 1, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{20, 0, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Add([]byte{3, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, edits []byte) { d.bounded(t, d.damage(edits)) })
}

// A configuration is the same when it was written as JSON and read again.
func TestConfigurationJSON(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		for _, want := range n.configs(t) {
			b, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got := &Configuration{Namespace: want.Namespace}
			if err := json.Unmarshal(b, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, plain, places); diff != "" {
				t.Errorf("%v (-image +JSON):\n%s", want.Namespace, diff)
			}
		}
	})
}

// A context that ended is all that is yielded.
func TestEndedContext(t *testing.T) {
	n := openBundled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var got []error
	for _, err := range Namespaces(ctx, n.k, n.tasks) {
		got = append(got, err)
	}
	for _, err := range Configurations(ctx, n.k, nil, nil) {
		got = append(got, err)
	}
	if len(got) != 2 || !errors.Is(got[0], context.Canceled) || !errors.Is(got[1], context.Canceled) {
		t.Errorf("%v", got)
	}
}
