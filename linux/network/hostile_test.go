package network

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
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
	d := &damagedNode{node: n, now: &swapped{Memory: n.mem, pages: map[vmem.PhysAddr]bool{}}}
	d.k, err = linux.Open(context.Background(), d.now, &linux.Options{Symbols: n.k.Symbols()})
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
	testimages.Long(t)
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

// damage overwrites words of the pages that are read.
func (d *damagedNode) damage(edits []byte) *smeartest.Memory {
	m := smeartest.New(d.mem)
	m.Edit(edits, d.pages, d.direct)
	return m
}

// bounded reads the configurations of damaged memory, which must end soon and take no more
// than so much memory.
func (d *damagedNode) bounded(t *testing.T, m vmem.Memory) {
	t.Helper()
	smeartest.Bounded(t, func(ctx context.Context) { d.read(ctx, m) })
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
	smeartest.AddEdits(f)
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
