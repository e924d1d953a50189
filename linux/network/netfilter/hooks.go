package netfilter

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// A Hook is a function that netfilter calls for packets at some place of their way
// (struct nf_hook_entry, include/linux/netfilter.h).
type Hook struct {
	NetNS    uint32        `json:"netns"`
	Family   string        `json:"family"`            // ip, ip6, arp, bridge, netdev
	Hook     string        `json:"hook"`              // prerouting, input, forward, output, postrouting, ingress, egress
	Device   string        `json:"device,omitempty"`  // of ingress and egress hooks
	Index    int           `json:"index"`             // the place in the order in which they are called, from 0
	Priority int32         `json:"priority"`          // by which they are sorted, ascending
	Function vmem.VirtAddr `json:"function"`          // what is called
	Symbol   string        `json:"symbol,omitempty"`  // of the function, with the offset if it is not its start
	Owner    string        `json:"owner,omitempty"`   // the module that the function is in; empty for the kernel itself
	Type     string        `json:"type,omitempty"`    // what it was registered for: nf_tables, bpf, flowtable; empty for others
	Private  vmem.VirtAddr `json:"private"`           // what it is called with, such as a chain of nf_tables or a table
	Ops      vmem.VirtAddr `json:"ops"`               // the struct nf_hook_ops that it was registered by; 0 if it is not known
	Removed  bool          `json:"removed,omitempty"` // taken out, and kept until the array is made anew
	Unknown  bool          `json:"unknown,omitempty"` // the function is in no code that the kernel knows of
}

// A hookOps is struct nf_hook_ops.
type hookOps struct {
	Hook     vmem.VirtAddr `kernel:"hook"`
	Private  vmem.VirtAddr `kernel:"priv"`
	Family   uint8         `kernel:"pf"`
	Type     uint8         `kernel:"hook_ops_type,optional"` // since 5.14 (7b4b2fa37587)
	Number   uint32        `kernel:"hooknum"`
	Priority int32         `kernel:"priority"`
}

type hookEntry struct {
	Hook    vmem.VirtAddr `kernel:"hook"`
	Private vmem.VirtAddr `kernel:"priv"`
}

// maxHooks is how many functions a hook can have: MAX_HOOK_COUNT of net/netfilter/core.c.
const maxHooks = 1024

// hookTypes are the names of enum nf_hook_ops_type.
var hookTypes = [...]string{"", "nf_tables", "bpf", "flowtable"}

// A hookFamily is an array of hooks in struct net, with the names of the hooks as nft has them
// (enum nf_inet_hooks and nf_arp_hooks of include/uapi/linux).
type hookFamily struct {
	name  string
	path  string
	hooks []string
}

var (
	inetHooks    = []string{"prerouting", "input", "forward", "output", "postrouting"}
	hookFamilies = [...]hookFamily{
		{"ip", "nf.hooks_ipv4", inetHooks},
		{"ip6", "nf.hooks_ipv6", inetHooks},
		{"arp", "nf.hooks_arp", []string{"input", "output", "forward"}},
		{"bridge", "nf.hooks_bridge", inetHooks},
	}
)

type hookViews struct {
	arrays  [len(hookFamilies)]kstruct.Member
	entry   *kstruct.View[hookEntry]
	ops     *kstruct.View[hookOps]
	count   *kstruct.Field[uint16] // of nf_hook_entries
	entries kstruct.Member
	devices kstruct.Member                // of net
	device  kstruct.Member                // net_device.dev_list
	name    kstruct.Member                // net_device.name
	ingress *kstruct.Field[vmem.VirtAddr] // of net_device
	egress  *kstruct.Field[vmem.VirtAddr] // since 5.17
	err     error
}

func bindHooks(types *isf.File) (v hookViews) {
	b := kstruct.NewBinder(types)
	for i, f := range hookFamilies {
		v.arrays[i] = kstruct.BindOptionalMember(b, "net", f.path)
	}
	v.entry = kstruct.Bind[hookEntry](b, "nf_hook_entry")
	v.ops = kstruct.Bind[hookOps](b, "nf_hook_ops")
	v.count = kstruct.BindField[uint16](b, "nf_hook_entries", "num_hook_entries")
	v.entries = kstruct.BindMember(b, "nf_hook_entries", "hooks")
	v.devices = kstruct.BindMember(b, "net", "dev_base_head")
	v.device = kstruct.BindMember(b, "net_device", "dev_list")
	v.name = kstruct.BindMember(b, "net_device", "name")
	v.ingress = kstruct.BindOptionalField[vmem.VirtAddr](b, "net_device", "nf_hooks_ingress")
	v.egress = kstruct.BindOptionalField[vmem.VirtAddr](b, "net_device", "nf_hooks_egress")
	v.err = b.Err()
	return v
}

// Options are the settings of Hooks. A nil pointer means the zero value.
type Options struct {
	// Symbols names functions. Nil: it is made of the kernel and its modules, which takes longer
	// than all the rest and so is worth doing once for all namespaces.
	Symbols *module.Symbolizer
}

// Hooks yields the functions that netfilter calls in a network namespace, in the order in
// which they are called: those of ip, ip6, arp and bridge, and of each device those of ingress
// and egress. Its anchor is struct net, and no symbol is needed.
//
// The arrays that packets go by are compared with the descriptors that functions were
// registered by: where they differ, that is a gap beside the Hook, for the array alone
// counts. What nf_hook_entries says that it holds is bounded as the kernel bounds it.
func Hooks(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace, opts *Options) iter.Seq2[Hook, error] {
	return func(yield func(Hook, error) bool) {
		k.Physical().Refresh()
		h := &hookReader{ctx: ctx, k: k, ns: ns, views: bindHooks(k.Symbols()), yield: yield}
		if err := h.views.err; err != nil {
			yield(Hook{}, nfkit.Gap(h.object(), ns.Addr, err))
			return
		}
		if opts != nil {
			h.symbols = opts.Symbols
		}
		if h.symbols == nil {
			var err error
			if h.symbols, err = module.NewSymbolizer(ctx, mods, nil); err != nil {
				yield(Hook{}, err)
				return
			}
		}
		h.read()
	}
}

type hookReader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	k       *linux.Kernel
	ns      *network.Namespace
	symbols *module.Symbolizer
	views   hookViews
	yield   func(Hook, error) bool
	ended   bool
}

func (h *hookReader) object() string { return "netfilter hooks of " + h.ns.String() }

func (h *hookReader) tell(hook Hook, err error) {
	h.ended = h.ended || !h.yield(hook, err)
}

func (h *hookReader) lose(addr vmem.VirtAddr, err error) {
	if !h.ended {
		h.tell(Hook{}, nfkit.Gap(h.object(), addr, err))
	}
}

func (h *hookReader) read() {
	for i, f := range hookFamilies {
		m := h.views.arrays[i]
		if !m.Ok() {
			continue
		}
		for n := range min(int(m.Count()), len(f.hooks)) {
			at, err := h.k.Space().Uint64(m.Of(h.ns.Addr) + vmem.VirtAddr(8*n))
			if err != nil {
				h.lose(m.Of(h.ns.Addr), err)
				continue
			}
			h.entries(Hook{NetNS: h.ns.Inum, Family: f.name, Hook: f.hooks[n]}, vmem.VirtAddr(at))
			if h.ended {
				return
			}
		}
	}
	h.deviceHooks()
}

// deviceHooks reads the hooks of devices.
func (h *hookReader) deviceHooks() {
	v := &h.views
	w := h.k.Objects().Walk(h.ctx, &kstruct.WalkOptions{Object: h.object(), Gaps: h.k.Limits().Gaps})
	for node, err := range w.List(v.devices.Of(h.ns.Addr)) {
		if h.ended {
			return
		}
		if err != nil {
			h.tell(Hook{}, err)
			continue
		}
		dev := v.device.Container(node)
		name, err := h.k.Space().CString(v.name.Of(dev), 16)
		if err != nil {
			h.lose(dev, err)
			continue
		}
		h.deviceHook(dev, name, "ingress", v.ingress)
		h.deviceHook(dev, name, "egress", v.egress)
	}
}

func (h *hookReader) deviceHook(dev vmem.VirtAddr, name, hook string, f *kstruct.Field[vmem.VirtAddr]) {
	if !f.Ok() || h.ended {
		return
	}
	at, err := f.Load(h.k.Space(), dev)
	if err != nil {
		h.lose(dev, err)
		return
	}
	h.entries(Hook{NetNS: h.ns.Inum, Family: "netdev", Hook: hook, Device: name}, at)
}

// entries yields the functions of the struct nf_hook_entries at addr, behind which is an array
// of what they were registered by (nf_hook_entries_get_hook_ops).
func (h *hookReader) entries(place Hook, at vmem.VirtAddr) {
	v := &h.views
	if at == 0 {
		return
	}
	where := strings.TrimSpace(place.Family + " " + place.Hook + " " + place.Device)
	if !nfkit.Plausible(at) {
		h.lose(at, fmt.Errorf("%s: %w", where, nfkit.Pointer("nf_hook_entries", at)))
		return
	}
	n, err := v.count.Load(h.k.Space(), at)
	if err == nil && n > maxHooks {
		err = nfkit.Corrupt("nf_hook_entries of %d functions", n)
	}
	if err != nil {
		h.lose(at, fmt.Errorf("%s: %w", where, err))
		return
	}
	last := int32(-1 << 31)
	ops := v.entries.Of(at) + vmem.VirtAddr(uint64(n)*v.entry.Size())
	for i := range int(n) {
		if err := h.ctx.Err(); err != nil {
			h.tell(Hook{}, err)
			h.ended = true
		}
		if h.ended {
			return
		}
		hook := place
		hook.Index = i
		err := h.entry(&hook, v.entries.Of(at)+vmem.VirtAddr(uint64(i)*v.entry.Size()), ops+vmem.VirtAddr(8*i))
		if err == nil && !hook.Removed && hook.Ops != 0 {
			if hook.Priority < last {
				err = nfkit.Corrupt("priority %d behind %d", hook.Priority, last)
			}
			last = max(last, hook.Priority)
		}
		if err != nil {
			h.lose(at, fmt.Errorf("%s, function %d: %w", where, i, err))
		}
		if hook.Function != 0 && !h.ended {
			h.tell(hook, nil)
		}
	}
}

// entry reads the function at addr, and what it was registered by, a pointer to which is at
// ops.
func (h *hookReader) entry(hook *Hook, addr, ops vmem.VirtAddr) error {
	v, mem := &h.views, h.k.Space()
	e, err := v.entry.Load(mem, addr)
	if err != nil {
		return err
	}
	hook.Function, hook.Private = e.Hook, e.Private
	h.name(hook)
	at, err := mem.Uint64(ops)
	if err != nil {
		return err
	}
	if !nfkit.Plausible(vmem.VirtAddr(at)) {
		return nfkit.Pointer("nf_hook_ops", vmem.VirtAddr(at))
	}
	var o hookOps
	if err := v.ops.Read(mem, vmem.VirtAddr(at), &o); err != nil {
		return err
	}
	hook.Ops, hook.Priority = vmem.VirtAddr(at), o.Priority
	if int(o.Type) < len(hookTypes) {
		hook.Type = hookTypes[o.Type]
	} else {
		hook.Type = fmt.Sprint("type ", o.Type)
	}
	// What was removed has a function that accepts in its place, and no longer its own
	// descriptor (nf_hook_entries_grow and dummy_ops of net/netfilter/core.c).
	if hook.Symbol == "accept_all" {
		hook.Removed = true
		return nil
	}
	if o.Hook != e.Hook || o.Private != e.Private {
		return nfkit.Corrupt("function %v, registered as %v", e.Hook, o.Hook)
	}
	return nil
}

// name sets what the function of a hook belongs to.
func (h *hookReader) name(hook *Hook) {
	l, ok := h.symbols.Resolve(hook.Function)
	hook.Unknown, hook.Owner = !ok, l.Owner
	l.Owner = ""
	if l.Symbol != "" {
		hook.Symbol = l.String()
	}
}
