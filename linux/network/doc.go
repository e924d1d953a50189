// Package network tells what the network of a machine was: its network namespaces, and in
// each of them what ip and tc would have said.
//
// [Namespaces] finds the namespaces, from all that leads to one. Sockets and netfilter have
// packages of their own, below this one.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own. What the types of the kernel do not describe is lost
// to what needs it, with an error that wraps [kstruct.ErrUnsupported].
package network
