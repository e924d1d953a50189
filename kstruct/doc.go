// Package kstruct gives typed views of the structures of a kernel, and walks over its
// containers.
//
// A structure is a Go struct whose tags name the members that are read:
//
//	// A sockCommon is struct sock_common (include/net/sock.h).
//	type sockCommon struct {
//		Family uint16        `kernel:"skc_family"`
//		Net    vmem.VirtAddr `kernel:"skc_net.net"`
//		Port   uint16        `kernel:"skc_dport,be"`
//		Cookie uint64        `kernel:"skc_cookie.counter,optional"`
//	}
//
// [Bind] resolves the tags against the types of a kernel, once. What the kernel does not
// have, or has otherwise than the Go type says, is an error then and never a wrong value
// later. [View.Read] reads a structure in one go and allocates nothing. [View] says what
// tags and types there are; [BindMember] gives the offset of a member alone.
//
// # Not supported
//
// Memory is read as x86-64 has it, little endian, but for members that the types or a tag
// say are big endian. Floating-point numbers are read as bytes only.
package kstruct
