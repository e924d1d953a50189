package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of [Sockets].
type Options struct {
	// Tasks are the processes whose descriptors are joined with sockets. Nil: those that
	// [linux.Kernel.Processes] gives.
	Tasks []*linux.Task
	// Namespaces are the network namespaces whose sockets are told. Nil: all that
	// [network.Namespaces] finds.
	Namespaces []*network.Namespace
	// Modules are the modules of the kernel: vsock may be one. Nil: they are read where
	// they are needed.
	Modules *module.Set
	// Limit is how many sockets are told. 0 means 262,144. What goes over it is one Gap
	// that says how many there would be, with the reason too-many.
	Limit int
}

const defaultLimit = 1 << 18

// Sockets yields the sockets of the machine: those of the tables of TCP, UDP, raw, ping, unix,
// netlink, packet, XDP, vsock and SCTP, in that order, then those that only descriptors lead to.
//
// Each is verified: its family, its protocol and its namespace must be such. Errors are
// [vmem.Gap], come before the sockets, and do not end the walk, but for the context's own. No
// Socket comes with an error.
func Sockets(ctx context.Context, k *linux.Kernel, opts *Options) iter.Seq2[*Socket, error] {
	return func(yield func(*Socket, error) bool) {
		k.Physical().Refresh()
		f := newFinder(ctx, k, opts)
		f.find()
		for _, err := range f.gaps {
			if !yield(nil, err) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		for _, s := range f.all {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// A finder collects sockets.
type finder struct {
	ctx  context.Context //nolint:containedctx // a finder lives as long as one call
	k    *linux.Kernel
	mem  *vmem.AddressSpace
	v    *views
	opts Options

	nets      []*space // in their order
	netAt     map[vmem.VirtAddr]*space
	protos    map[vmem.VirtAddr]*proto
	cgroups   map[vmem.VirtAddr]string
	filters   map[vmem.VirtAddr]*Filter
	cas       map[vmem.VirtAddr]string
	clock     clock
	conns     []vmem.VirtAddr         // MPTCP connections that subflows are of
	sockets   map[vmem.VirtAddr]*held // by struct socket
	through   []*Socket               // whose file stands for another socket
	modules   *module.Set
	noModules bool
	hasVsock  bool                            // its types were looked for
	queued    map[vmem.VirtAddr]vmem.VirtAddr // what waits to be accepted, and where
	walked    map[Family]bool                 // the families whose table was read
	tables    struct{ tcp, udp, udplite, raw bool }
	files     map[vmem.VirtAddr]openFile
	open      map[vmem.VirtAddr]*held // by struct sock
	openList  []vmem.VirtAddr         // its keys, as they were found

	all     []*Socket
	byAddr  map[vmem.VirtAddr]*Socket
	singles int // chains of one node
	over    int // sockets that are not told, for there are too many
	gaps    []error
	lost    map[string]*losses
	lacks   map[string]bool // objects that types lack something for
	order   []string        // of lost

	slab   slab[Socket]
	helds  slab[held]
	memory slab[Memory]
	tcps   slab[TCP]
	common sockCommon
	rest   sockRest
	tcp    tcpSock
	unix   unixSock
	bytes  [1 << 14]byte
}

// A slab gives out values of one type that are allocated many at a time.
type slab[T any] struct{ free []T }

func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.free = make([]T, 64)
	}
	p := &s.free[0]
	s.free = s.free[1:]
	return p
}

func newFinder(ctx context.Context, k *linux.Kernel, opts *Options) *finder {
	f := &finder{
		ctx: ctx, k: k, mem: k.Space(), v: bind(k.Symbols()),
		netAt: map[vmem.VirtAddr]*space{}, protos: map[vmem.VirtAddr]*proto{}, cgroups: map[vmem.VirtAddr]string{},
		filters: map[vmem.VirtAddr]*Filter{}, cas: map[vmem.VirtAddr]string{}, files: map[vmem.VirtAddr]openFile{}, open: map[vmem.VirtAddr]*held{},
		byAddr: map[vmem.VirtAddr]*Socket{}, sockets: map[vmem.VirtAddr]*held{}, walked: map[Family]bool{}, queued: map[vmem.VirtAddr]vmem.VirtAddr{}, lost: map[string]*losses{}, lacks: map[string]bool{},
	}
	if opts != nil {
		f.opts = *opts
		f.modules = opts.Modules
	}
	f.opts.Limit = cmp.Or(f.opts.Limit, defaultLimit)
	return f
}

const object = "sockets"

func (f *finder) find() {
	if f.v.err != nil {
		f.gaps = append(f.gaps, gap(object, 0, f.v.err))
		return
	}
	f.findTasks()
	f.findSpaces()
	f.readClock()
	f.readDescriptors()
	for _, walk := range []func(){
		f.walkTCP, f.walkMPTCP, f.walkUDP, f.walkRaw, f.walkPing, f.walkUnix, f.walkNetlink, f.walkPacket, f.walkXDP, f.walkVsock, f.walkSCTP,
	} {
		if f.ctx.Err() != nil {
			return
		}
		walk()
	}
	f.addOpen()
	f.settle()
	f.tellRest()
}

// findTasks takes the processes of the kernel, unless they were given.
func (f *finder) findTasks() {
	if f.opts.Tasks != nil {
		return
	}
	for t, err := range f.k.Processes(f.ctx) {
		if err != nil {
			f.lose("processes", err)
			continue
		}
		f.opts.Tasks = append(f.opts.Tasks, t)
	}
}

// lose tells a loss, or counts it where many of the object were told. What the types lack is
// told once.
func (f *finder) lose(object string, err error) {
	if f.ctx.Err() != nil {
		return
	}
	if errors.Is(err, kstruct.ErrUnsupported) {
		if f.lacks[object] {
			return
		}
		f.lacks[object] = true
	}
	l := f.lost[object]
	if l == nil {
		l = &losses{limit: f.k.Limits().Gaps}
		f.lost[object] = l
		f.order = append(f.order, object)
	}
	if g := gap(object, 0, err); l.tell(g) {
		f.gaps = append(f.gaps, g)
	}
}

// loseAt is lose at an address.
func (f *finder) loseAt(object string, at vmem.VirtAddr, err error) {
	f.lose(object, gap(object, at, err))
}

// tellRest tells how much there is beyond what was told.
func (f *finder) tellRest() {
	for _, object := range f.order {
		if g, more := f.lost[object].rest(object); more {
			f.gaps = append(f.gaps, g)
		}
	}
	if f.over > 0 {
		f.gaps = append(f.gaps, gap(object, 0, fmt.Errorf("%w: %d sockets, of which %d are told", kstruct.ErrTooMany, f.over+len(f.all), len(f.all))))
	}
}

// walk returns a walk over a table.
func (f *finder) walk(object string) *kstruct.Walk {
	return f.k.Objects().Walk(f.ctx, &kstruct.WalkOptions{Object: object, Nodes: 4 * max(f.opts.Limit, defaultLimit), Gaps: f.k.Limits().Gaps})
}
