package cos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A networkDamage is a node that was read from a sound image, whose network is read again from
// damaged ones: its memory can be exchanged, and says that it lives so that nothing is kept.
type networkDamage struct {
	a      *analysis
	mem    vmem.Memory
	now    *exchanged
	whole  map[string]string // what the sound image has: see things
	gaps   map[string]bool   // and lacks
	pages  []vmem.PhysAddr   // that it is read from
	direct uint64            // virtual address of physical address 0
}

// exchanged is a memory instead of which there can be another one.
type exchanged struct{ vmem.Memory }

func (exchanged) Live() bool { return true }

// openedDamage are the nodes that were opened, by path, each for all tests: to read a network for the
// first time takes long.
var openedDamage = map[string]*networkDamage{}

func openNetworkDamage(t *testing.T, img testimages.Image) *networkDamage {
	t.Helper()
	d := openedDamage[img.Path]
	if d == nil {
		d = newNetworkDamage(t, img)
		openedDamage[img.Path] = d
	}
	return d
}

func newNetworkDamage(t *testing.T, img testimages.Image) *networkDamage {
	t.Helper()
	f, err := image.Open(context.WithoutCancel(t.Context()), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	opts := new(linux.Options)
	if img.ISF != "" {
		opts.Symbols = symbolsOf(t, img)
	}
	d := &networkDamage{mem: f.Memory, now: &exchanged{f.Memory}, gaps: map[string]bool{}}
	k, err := linux.Open(context.WithoutCancel(t.Context()), d.now, opts)
	if err != nil {
		t.Fatal(err)
	}
	if d.a, err = readNode(t.Context(), k, secrecy{}); err != nil {
		t.Fatal(err)
	}
	recorder := smeartest.NewRecorder(f.Memory)
	network, gaps := d.read(t, recorder)
	d.whole, d.pages = things(t, network), recorder.Pages()
	for _, g := range gaps {
		d.gaps[g.Error()] = true
	}
	task := d.a.tasks[0].Addr
	at, err := k.Space().Translate(task)
	if err != nil {
		t.Fatal(err)
	}
	d.direct = uint64(task) - uint64(at.At(task))
	return d
}

// read reads the network over another memory, within bounds.
func (d *networkDamage) read(t *testing.T, mem vmem.Memory) (network *Network, gaps []vmem.Gap) {
	t.Helper()
	d.now.Memory = mem
	smeartest.Bounded(t, func(ctx context.Context) {
		var err error
		if network, gaps, err = readNetwork(ctx, d.a); err != nil && ctx.Err() == nil {
			t.Errorf("no network: %v", err)
		}
	})
	return network, gaps
}

// more returns the gaps that the sound image has not.
func (d *networkDamage) more(gaps []vmem.Gap) []vmem.Gap {
	return slices.DeleteFunc(slices.Clone(gaps), func(g vmem.Gap) bool { return d.gaps[g.Error()] })
}

// nameless begins what is said of tables whose names were lost: which a gap tells.
const nameless = "table without a name, "

// things returns all that a network has, by what it is and where: what else is said of it is the
// value.
func things(t *testing.T, n *Network) map[string]string {
	t.Helper()
	all := map[string]string{}
	add := func(v any, format string, args ...any) {
		text, err := jsonx.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf(format, args...)] += string(text)
	}
	for i := range n.Namespaces {
		ns := &n.Namespaces[i]
		add(&ns.Namespace, "namespace %d", ns.Inum)
		for _, d := range ns.Devices {
			add(d, "device %d of %d", d.Index, ns.Inum)
		}
		for _, a := range ns.Addresses {
			add(a, "address %v of %d", a.Local, ns.Inum)
		}
		for _, r := range ns.Routes {
			add(r, "route to %v of %d", r.Dst, ns.Inum)
		}
		for _, r := range ns.Rules {
			add(r, "rule %d of %d", r.Priority, ns.Inum)
		}
		for _, r := range ns.Neighbours {
			add(r, "neighbour %v of %d", r.Dst, ns.Inum)
		}
		for j := range ns.NFTables {
			if ns.NFTables[j].Name == "" {
				add(&ns.NFTables[j], nameless+"%s of %d", ns.NFTables[j].Family, ns.Inum)
				continue
			}
			add(&ns.NFTables[j], "table %s %s of %d", ns.NFTables[j].Family, ns.NFTables[j].Name, ns.Inum)
		}
		for j := range ns.IPTables {
			add(&ns.IPTables[j], "iptables %s %s of %d", ns.IPTables[j].Family, ns.IPTables[j].Name, ns.Inum)
		}
		for j := range ns.IPSets {
			add(&ns.IPSets[j], "set %s of %d", ns.IPSets[j].Name, ns.Inum)
		}
	}
	for i := range n.Sockets {
		add(&n.Sockets[i], "socket at %v", n.Sockets[i].Addr)
	}
	for i := range n.Conntrack {
		add(&n.Conntrack[i], "connection at %v", n.Conntrack[i].Addr)
	}
	return all
}

// eachNetworkDamage runs a test on the bundled node, and where there is time on nodes with all
// cases of the network.
func eachNetworkDamage(t *testing.T, test func(t *testing.T, d *networkDamage)) {
	t.Run("bundled", func(t *testing.T) { test(t, openNetworkDamage(t, bundled(t))) })
	t.Run("images", func(t *testing.T) {
		if !testimages.Thorough() {
			t.Skip("it takes minutes")
		}
		for _, img := range testimages.Network(t) {
			t.Run(img.Name, func(t *testing.T) { test(t, openNetworkDamage(t, img)) })
		}
	})
}

// Whatever page of those is lost that the network is read from, all that is there is so as it is
// without the loss, but for what a gap tells.
func TestNetworkLostPages(t *testing.T) {
	eachNetworkDamage(t, func(t *testing.T, d *networkDamage) {
		rng := rand.New(rand.NewPCG(11, 1))
		for range networkTrials() {
			lost := map[int64]bool{}
			for range 1 + rng.IntN(8) {
				lost[int64(d.pages[rng.IntN(len(d.pages))]/pageSize)] = true
			}
			network, gaps := d.read(t, &damaged{Memory: d.mem, lost: lost, end: 1 << 52})
			got := things(t, network)
			for thing := range got {
				if strings.HasPrefix(thing, nameless) && len(d.more(gaps)) > 0 {
					continue
				}
				if _, ok := d.whole[thing]; !ok {
					t.Errorf("without the pages %v there is %s, which was not there before", slices.Sorted(maps.Keys(lost)), thing)
				}
			}
			if len(d.more(gaps)) > 0 {
				continue
			}
			if diff := cmp.Diff(d.whole, got); diff != "" {
				t.Errorf("lost without a gap, by the pages %v (-whole +damaged):\n%s", slices.Sorted(maps.Keys(lost)), diff)
			}
		}
	})
}

// Words and pages that are overwritten make no socket and no connection where there was none, and
// cost no more than bounded time and memory.
func TestNetworkOverwritten(t *testing.T) {
	eachNetworkDamage(t, func(t *testing.T, d *networkDamage) {
		rng := rand.New(rand.NewPCG(11, 2))
		for i := range 2 * networkTrials() {
			m := smeartest.New(d.mem)
			if i%2 == 0 {
				edits := make([]byte, 14*(1+rng.IntN(30)))
				for i := range edits {
					edits[i] = byte(rng.Uint32())
				}
				m.Edit(edits, d.pages, d.direct)
			} else {
				for range 1 + rng.IntN(12) {
					page := make([]byte, pageSize)
					overwrite(page, rng.Uint64())
					m.Write(d.pages[rng.IntN(len(d.pages))], page)
				}
			}
			network, _ := d.read(t, m)
			for i := range network.Sockets {
				if name := fmt.Sprintf("socket at %v", network.Sockets[i].Addr); d.whole[name] == "" {
					t.Errorf("%s was not there before: %v", name, &network.Sockets[i].Socket)
				}
			}
			for i := range network.Conntrack {
				if name := fmt.Sprintf("connection at %v", network.Conntrack[i].Addr); d.whole[name] == "" {
					t.Errorf("%s was not there before", name)
				}
			}
		}
	})
}

// A node of which all is lost that its network is read from has none, and gaps for it.
func TestNetworkAllLost(t *testing.T) {
	d := openNetworkDamage(t, bundled(t))
	lost := map[int64]bool{}
	for _, page := range d.pages {
		lost[int64(page/pageSize)] = true
	}
	network, gaps := d.read(t, &damaged{Memory: d.mem, lost: lost, end: 1 << 52})
	if got := things(t, network); len(got) > 0 || len(gaps) == 0 {
		t.Errorf("%v; %d gaps", slices.Sorted(maps.Keys(got)), len(gaps))
	}
}

// networkTrials is how often each node is damaged in each way.
func networkTrials() int {
	if testimages.Thorough() && !testing.Short() {
		return 40
	}
	return 2
}
