package socket

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A patch is the bundled node with words of its memory changed.
type patch struct {
	tb testing.TB
	n  *node
	m  *smeartest.Memory
}

func newPatch(tb testing.TB) *patch {
	tb.Helper()
	n := openBundled(tb)
	return &patch{tb, n, smeartest.New(n.mem)}
}

func (p *patch) put(at vmem.VirtAddr, value uint64) {
	p.tb.Helper()
	where, err := p.n.k.Space().Translate(at)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.m.PutUint64(where.At(at), value)
}

func (p *patch) get(at vmem.VirtAddr) uint64 {
	p.tb.Helper()
	v, err := p.n.k.Space().Uint64(at)
	if err != nil {
		p.tb.Fatal(err)
	}
	return v
}

// node returns where the links of a socket are by which its table has it.
func (p *patch) node(s *Socket) vmem.VirtAddr {
	v := bind(p.n.symbols)
	return v.node.Of(s.Addr)
}

func (p *patch) sockets() ([]*Socket, []error) {
	p.tb.Helper()
	k, err := linux.Open(p.tb.Context(), p.m, &linux.Options{Symbols: p.n.symbols})
	if err != nil {
		p.tb.Fatal(err)
	}
	return collect(p.tb, k, nil)
}

// sound is what the bundled node has.
var sound = sync.OnceValues(func() ([]*Socket, error) {
	n, err := bundled()
	if err != nil {
		return nil, err
	}
	var all []*Socket
	for s, err := range Sockets(context.Background(), n.k, nil) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
})

func soundSockets(tb testing.TB) []*Socket {
	tb.Helper()
	all, err := sound()
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// one returns the first sound socket that is as wanted.
func one(tb testing.TB, wanted func(*Socket) bool) *Socket {
	tb.Helper()
	all := soundSockets(tb)
	i := slices.IndexFunc(all, wanted)
	if i < 0 {
		tb.Fatal("no such socket")
	}
	return all[i]
}

func byAddr(all []*Socket, addr vmem.VirtAddr) *Socket {
	i := slices.IndexFunc(all, func(s *Socket) bool { return s.Addr == addr })
	if i < 0 {
		return nil
	}
	return all[i]
}

// Who takes a socket out of its table hides it from all tools. It is found by its
// descriptor, and told to be missing.
func TestUnlinked(t *testing.T) {
	t.Parallel()
	p := newPatch(t)
	hidden := map[string]*Socket{
		"TCP listener":   one(t, func(s *Socket) bool { return s.State == Listen && s.LocalPort == 31337 }),
		"TCP connection": one(t, func(s *Socket) bool { return s.State == Established && s.LocalPort == 31337 }),
		"UDP":            one(t, func(s *Socket) bool { return s.Protocol == "udp" }),
		"raw":            one(t, func(s *Socket) bool { return s.Type == Raw && s.Family == Inet }),
		"unix":           one(t, func(s *Socket) bool { return s.Path == "/run/containerd/containerd.sock" }),
		"packet":         one(t, func(s *Socket) bool { return s.Family == Packet }),
	}
	for _, s := range hidden {
		next, prev := p.get(p.node(s)), vmem.VirtAddr(p.get(p.node(s)+8))
		p.put(prev, next)
		if next != 0 && next&1 == 0 {
			p.put(vmem.VirtAddr(next)+8, uint64(prev))
		}
	}
	all, errs := p.sockets()
	if len(errs) > 0 {
		t.Error(errs)
	}
	for name, want := range hidden {
		got := byAddr(all, want.Addr)
		switch {
		case got == nil:
			t.Errorf("%s is lost", name)
		case got.Anomalies != NotInTable || got.Sources != want.Sources&^InTable: // TCP still has its port
			t.Errorf("%v: %v %v", got, got.Sources, got.Anomalies)
		case got.Held != want.Held || !slices.Equal(got.Owners, want.Owners) || got.String() != want.String():
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for _, s := range all {
		if s.Anomalies != 0 && !slices.ContainsFunc(slices.Collect(maps.Values(hidden)), func(h *Socket) bool { return h.Addr == s.Addr }) {
			t.Errorf("%v: %v", s, s.Anomalies)
		}
	}
}

// A chain that leads back into itself ends, with a gap; the sockets before are told.
func TestCycle(t *testing.T) {
	t.Parallel()
	s := one(t, func(s *Socket) bool { return s.State == Established && s.LocalPort == 31337 })
	p := newPatch(t)
	p.put(p.node(s), uint64(p.node(s)))
	all, errs := p.sockets()
	if byAddr(all, s.Addr) == nil || len(errs) == 0 || !errors.Is(errs[0], kstruct.ErrCorrupt) {
		t.Errorf("%d sockets, %v", len(all), errs)
	}
}

// A socket that two chains lead to is told once, and that it is so.
func TestTwice(t *testing.T) {
	t.Parallel()
	s := one(t, func(s *Socket) bool { return s.Protocol == "udp" })
	p := newPatch(t)
	// The head that leads to it is one of an array of slots of 16 bytes; the next one is empty.
	head := vmem.VirtAddr(p.get(p.node(s) + 8))
	if p.get(head+16) != 0 {
		t.Fatal("the chain behind it is not empty")
	}
	p.put(head+16, uint64(p.node(s)))
	all, errs := p.sockets()
	n := 0
	for _, got := range all {
		if got.Addr != s.Addr {
			continue
		}
		if n++; got.Anomalies != TwiceInTable|WrongBucket {
			t.Errorf("%v", got.Anomalies)
		}
	}
	if n != 1 || len(errs) != 1 {
		t.Errorf("it is there %d times, %v", n, errs)
	}
}

// What is no socket of its table is a loss, and what is behind it is told.
func TestForeign(t *testing.T) {
	t.Parallel()
	p := newPatch(t)
	sound := soundSockets(t)
	var changed []*Socket
	for i, change := range []struct {
		member string
		value  uint64
	}{
		{"skc_prot", 0xffff888000001000}, {"skc_net", 0xffff888000002000}, {"skc_family", 0},
	} {
		f, err := p.n.symbols.Field("sock_common", change.member)
		if err != nil {
			t.Fatal(err)
		}
		s := one(t, func(s *Socket) bool {
			return s.Family == Unix && s.Type == Stream && !slices.Contains(changed, s) && len(s.Owners) > i
		})
		changed = append(changed, s)
		p.put(s.Addr+vmem.VirtAddr(f.Offset), change.value)
	}
	all, errs := p.sockets()
	for _, s := range changed {
		if byAddr(all, s.Addr) != nil {
			t.Errorf("%v is there", s)
		}
	}
	if len(all) != len(sound)-len(changed) || len(errs) < len(changed) {
		t.Errorf("%d of %d sockets, %v", len(all), len(sound), errs)
	}
	for _, err := range errs { // a socket's namespace is looked at by who looks for those, too
		if !errors.Is(err, kstruct.ErrCorrupt) && !strings.HasPrefix(err.Error(), "network namespaces") {
			t.Error(err)
		}
	}
}

// Beyond the limit sockets are counted.
func TestLimit(t *testing.T) {
	t.Parallel()
	k := openBundled(t).k
	all := soundSockets(t)
	some, errs := collect(t, k, &Options{Limit: 10})
	if len(some) != 10 || len(errs) != 1 || !errors.Is(errs[0], kstruct.ErrTooMany) || !strings.Contains(errs[0].Error(), "of which 10 are told") {
		t.Errorf("%d of %d sockets, %v", len(some), len(all), errs)
	}
}

// A context that has ended ends the walk.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for _, err := range Sockets(ctx, openBundled(t).k, nil) {
		if n++; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}

// FuzzSockets overwrites words of the pages that the sockets of the bundled node are in, as
// the fuzz tests of package linux do: with anything, with addresses of other such pages,
// with those of neighbours.
func FuzzSockets(f *testing.F) {
	n := openBundled(f)
	r := smeartest.NewRecorder(n.mem)
	k, err := linux.Open(f.Context(), r, &linux.Options{Symbols: n.symbols})
	if err != nil {
		f.Fatal(err)
	}
	opts := processes(f, k)
	before := r.Pages() // of tasks
	if all, _ := collect(f, k, opts); len(all) == 0 {
		f.Fatal("no sockets")
	}
	pages := slices.DeleteFunc(r.Pages(), func(p vmem.PhysAddr) bool { return slices.Contains(before, p) })
	first := opts.Tasks[0].Addr
	where, err := k.Space().Translate(first)
	if err != nil {
		f.Fatal(err)
	}
	direct := uint64(first) - uint64(where.At(first))
	smeartest.AddEdits(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.mem)
		m.Edit(edits, pages, direct)
		k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: n.symbols, TaskScan: linux.ScanNever})
		if err != nil {
			return
		}
		smeartest.Bounded(t, func(ctx context.Context) {
			for s, err := range Sockets(ctx, k, nil) {
				if (s == nil) == (err == nil) {
					t.Fatalf("%v, %v", s, err)
				}
			}
		})
	})
}
