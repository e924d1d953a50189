// Package network tells what the network of a machine was: its network namespaces, and in
// each of them what `ip` and `tc` would have said at that moment.
//
//	for ns, err := range network.Namespaces(ctx, k, tasks) {
//	for c, err := range network.Configurations(ctx, k, namespaces, &network.Options{Types: modules.Types}) {
//
// [Namespaces] finds the namespaces by all that leads to one: tasks, mounts, open files and
// sockets, and the kernel's own list. A [Configuration] has the devices of one, with counters,
// programs of eBPF and queueing disciplines, and its addresses, routes, rules and neighbours.
// Sockets and netfilter have packages of their own, below this one. Values print under the
// names that `ip` and `tc` have for them.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own. What the types of the kernel do not describe is lost
// to what needs it, with an error that wraps [kstruct.ErrUnsupported]. Devices are held
// against three views of them, and the two ends of a pair against each other; what only some
// views have is told, with [linux.ErrDisagree].
//
// All starts from what is exported to modules (init_net, net_namespace_list, arp_tbl, nd_tbl,
// jiffies), so that kernels whose kallsyms has no data are read alike.
//
// # Not supported
//
// What filters other than those of eBPF match; the parameters of queueing disciplines beyond
// common ones; forwarding tables of bridges and vxlan; policies and states of IPsec; the
// counters of drivers of hardware but virtio_net, of which Device.Stats is nil.
package network
