// Package netfilter tells what netfilter did with the packets of a machine: which connections
// it tracked, and which functions see a packet on its way, in each network namespace.
//
// What is configured has packages of its own below this one: nftables for what nft shows,
// xtables for iptables, ip6tables, arptables and ebtables, ipset for sets.
//
// Most of netfilter is in modules. Its types come from package module, and where the code is
// built in, from the kernel: the same calls serve both.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own. What the types do not describe is an error that wraps
// [kstruct.ErrUnsupported], and never an empty result.
package netfilter
