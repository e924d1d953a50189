package integrity

import (
	"fmt"

	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/netfilter"
)

// readNetfilter yields what netfilter calls for packets, in all network namespaces. It starts from struct
// net, and needs no symbol. A function may be of the kernel or of any module: most are.
func readNetfilter(r *reader) {
	opts := &netfilter.Options{Symbols: r.symbols}
	for ns, err := range network.Namespaces(r.ctx, r.k, r.tasks) {
		if err != nil {
			r.lost("network namespaces", 0, err)
			continue
		}
		for n, err := range netfilter.Hooks(r.ctx, r.k, r.modules, ns, opts) {
			if r.over {
				return
			}
			if err != nil {
				r.lost("netfilter hooks of "+ns.String(), ns.Addr, err)
				continue
			}
			entry := fmt.Sprintf("%d %s %s", n.NetNS, n.Family, n.Hook)
			if n.Device != "" {
				entry += " " + n.Device
			}
			h := r.Hook("netfilter", fmt.Sprintf("%s %d", entry, n.Index), 0, n.Function)
			h.Address = n.Ops
			h.add("priority %d", n.Priority)
			if n.Type != "" {
				h.add("registered for %s", n.Type)
			}
			r.found(h)
		}
	}
}
