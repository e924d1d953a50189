package network

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of [Configurations]. A nil pointer means the zero value.
type Options struct {
	// Types gives the types of a module over those of the kernel: Types of a module.Set.
	// Nil: the kernel's own types are all there are, so that what modules know of the
	// devices they make is missing where they are not built in.
	Types func(module string) (*isf.File, error)
}

// A Configuration is what `ip` and `tc` would have shown in one network namespace. Each list
// is in the order in which they show it.
type Configuration struct {
	Namespace  *Namespace   `json:"-"`
	Devices    []*Device    `json:"devices"`
	Addresses  []*Address   `json:"addresses"`
	Routes     []*Route     `json:"routes"`
	Rules      []*Rule      `json:"rules"`
	Neighbours []*Neighbour `json:"neighbours"`
}

// How much is told of one machine, of all its namespaces together. Sound machines have a
// small part of it, but for routes: a full table of the Internet is a million.
const (
	maxDevices    = 1 << 17
	maxAddresses  = 1 << 18
	maxRoutes     = 1 << 21
	maxRules      = 1 << 16
	maxNeighbours = 1 << 18
)

// Configurations yields the configuration of each of the namespaces, in their order: those
// that [Namespaces] gave, all of them, for devices and neighbours of one lead to others.
//
// Errors are [vmem.Gap], come before the configurations and do not end the walk, but for the
// context's own. What the types do not describe is one error that wraps
// [kstruct.ErrUnsupported] for each artefact.
//
// All starts from struct net, and neighbours from arp_tbl and nd_tbl, which are exported to
// modules: it does without the symbols of the kernel's data.
func Configurations(ctx context.Context, k *linux.Kernel, namespaces []*Namespace, opts *Options) iter.Seq2[*Configuration, error] {
	return func(yield func(*Configuration, error) bool) {
		k.Physical().Refresh()
		r := newReader(ctx, k, opts)
		found := r.read(namespaces)
		for _, err := range r.losses.all() {
			if !yield(nil, err) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		for _, c := range found {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// A reader reads the configurations of all namespaces.
type reader struct {
	ctx    context.Context //nolint:containedctx // a reader lives as long as one call
	k      *linux.Kernel
	objs   *kstruct.Space
	space  *vmem.AddressSpace
	types  func(module string) (*isf.File, error)
	views  views
	losses *losses

	configs map[vmem.VirtAddr]*Configuration // by struct net
	devices map[vmem.VirtAddr]*device        // by struct net_device
	told    [kinds]int                       // how many objects of each kind there are
	ticks   func() ticks
	cpus    func() ([]int, error)
	bound   map[boundKey]any // views of what modules have
	once    map[string]bool  // what was told once
	lost    int              // how many losses there were
}

// Kinds of objects that are counted.
const (
	ofDevices = iota
	ofAddresses
	ofRoutes
	ofRules
	ofNeighbours
	kinds
)

var kindLimits = [kinds]int{maxDevices, maxAddresses, maxRoutes, maxRules, maxNeighbours}

var kindNames = [kinds]string{"devices", "addresses", "routes", "rules", "neighbours"}

func newReader(ctx context.Context, k *linux.Kernel, opts *Options) *reader {
	r := &reader{
		ctx: ctx, k: k, objs: k.Objects(), space: k.Space(), views: bind(k.Symbols()), losses: newLosses(k.Limits().Gaps),
		configs: map[vmem.VirtAddr]*Configuration{}, devices: map[vmem.VirtAddr]*device{},
	}
	r.bound, r.once = map[boundKey]any{}, map[string]bool{}
	r.cpus = sync.OnceValues(r.objs.CPUs)
	r.ticks = sync.OnceValue(r.readTicks)
	r.types = func(string) (*isf.File, error) { return k.Symbols(), nil }
	if opts != nil && opts.Types != nil {
		r.types = opts.Types
	}
	return r
}

// read reads it all. Devices come first, for all else names them.
func (r *reader) read(namespaces []*Namespace) (found []*Configuration) {
	for _, n := range namespaces {
		c := &Configuration{Namespace: n}
		r.configs[n.Addr] = c
		found = append(found, c)
	}
	for _, step := range []struct {
		object string
		err    error
		each   func(*Configuration)
	}{
		{"network devices", r.views.device.err, r.readDevices},
		{"links of network devices", r.views.device.err, r.readLinks},
		{"counters of network devices", cmp.Or(r.views.device.err, r.views.stats.err), r.readStats},
		{"programs of network devices", cmp.Or(r.views.device.err, r.views.bpf.err), r.readPrograms},
		{"qdiscs", cmp.Or(r.views.device.err, r.views.qdisc.err), r.readQdiscs},
		{"filters of qdiscs", r.views.qdisc.filter.err, func(*Configuration) {}},
		{"network addresses", r.views.v4.err, r.readAddresses4},
		{"network addresses of IPv6", r.views.v6.err, r.readAddresses6},
		{"routes", cmp.Or(r.views.route.err, r.views.route4.err), r.readRoutes4},
		{"routes of IPv6", cmp.Or(r.views.route.err, r.views.route6.err), r.readRoutes6},
		{"routing rules", r.views.rule.err, r.readRules},
	} {
		if step.err != nil {
			r.lose(step.object, 0, step.err)
			continue
		}
		for _, c := range found {
			if r.ctx.Err() != nil {
				return found
			}
			step.each(c)
		}
	}
	if err := r.views.neighbour.err; err != nil {
		r.lose("neighbours", 0, err)
	} else {
		r.readNeighbours()
	}
	for _, c := range found {
		c.sort()
	}
	return found
}

// sort puts the addresses of a device together, as `ip address` does.
func (c *Configuration) sort() {
	at := map[int32]int{}
	for i, d := range c.Devices {
		at[d.Index] = i
	}
	slices.SortStableFunc(c.Addresses, func(a, b *Address) int { return cmp.Compare(at[a.Index], at[b.Index]) })
}

// views are the views of all artefacts. Each is bound alone, and fails alone.
type views struct {
	device deviceViews
	stats  statsViews
	bpf    bpfViews
	qdisc  qdiscViews
	v4     address4Views
	v6     address6Views

	route     routeViews
	route4    route4Views
	route6    route6Views
	rule      ruleViews
	neighbour neighbourViews
}

func bind(types *isf.File) (v views) {
	v.device = bindDevice(types)
	v.stats = bindStats(types)
	v.bpf = bindBPF(types)
	v.qdisc = bindQdisc(types)
	v.v4 = bindAddress4(types)
	v.v6 = bindAddress6(types)
	v.route = bindRoute(types)
	v.route4 = bindRoute4(types)
	v.route6 = bindRoute6(types)
	v.rule = bindRule(types)
	v.neighbour = bindNeighbour(types)
	return v
}

// room reports whether another object of a kind may be told, and counts it. The first that
// may not is a loss.
func (r *reader) room(kind int, c *Configuration) bool {
	r.told[kind]++
	most := kindLimits[kind]
	if r.told[kind] == most+1 {
		r.lose("network "+kindNames[kind], c.Namespace.Addr, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, most))
	}
	return r.told[kind] <= most
}

// maxLosses is how many objects may be lost before the rest is left: then memory was
// overwritten, and leads through anything.
const maxLosses = 1 << 15

// done reports whether the context ended, or so much was lost that nothing more is read.
func (r *reader) done() bool {
	if r.lost == maxLosses {
		r.lost++
		r.losses.add(gap("configuration of the network", 0, fmt.Errorf("%w: more than %d losses, and what follows is not read", kstruct.ErrTooMany, maxLosses)))
	}
	return r.lost >= maxLosses || r.ctx.Err() != nil
}

// lose tells a loss, unless it is that the context ended.
func (r *reader) lose(object string, addr vmem.VirtAddr, err error) {
	if r.lost < maxLosses && r.ctx.Err() == nil {
		r.lost++
		r.losses.add(gap(object, addr, err))
	}
}

// walk returns a walk over containers of one kind of object of a namespace.
func (r *reader) walk(object string) *kstruct.Walk {
	return r.objs.Walk(r.ctx, &kstruct.WalkOptions{Object: object, Nodes: 1 << 21, Gaps: r.k.Limits().Gaps})
}

// hashed yields the nodes of the n hlist_heads at table, each with its head, and tells what is
// lost of them.
func (r *reader) hashed(what string, table vmem.VirtAddr, n int) iter.Seq2[vmem.VirtAddr, vmem.VirtAddr] {
	return func(yield func(node, head vmem.VirtAddr) bool) {
		heads, err := r.heads(table, n)
		if err != nil {
			r.lose(what, table, err)
		}
		w := r.walk(what)
		for _, head := range heads {
			for node, err := range w.HList(head) {
				if r.done() {
					return
				}
				if err != nil {
					r.lose(what, head, err)
					continue
				}
				if !yield(node, head) {
					return
				}
			}
		}
	}
}

// object names what is read of a namespace.
func object(what string, c *Configuration) string { return what + " of " + c.Namespace.String() }
