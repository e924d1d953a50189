// Package socket tells which sockets a machine had, of all families and in every network
// namespace: what ss would have said, and more than it.
//
// [Sockets] takes them from the tables of their protocols and not from the descriptors of
// processes alone, so that those are there that no process holds: connections in TIME-WAIT,
// half open and orphaned ones, those that wait to be accepted, those in flight over a unix
// socket. It joins both, and where they don't agree the socket says so: see [Anomaly].
// Volatility's linux.sockstat shows those that processes have open.
//
// Tables and where they are found:
//
//	TCP                 net.ipv4.tcp_death_row.hashinfo, of each namespace (tcp_hashinfo before 5.11 for all)
//	UDP, UDP-Lite       net.ipv4.udp_table since 6.2, udp_table before; udplite_table until it was removed
//	raw, ping           raw_v4_hashinfo, raw_v6_hashinfo; ping_table
//	unix                net.unx.table since 5.19, unix_socket_table before
//	netlink             nl_table
//	packet, XDP         net.packet.sklist, net.xdp.list
//	vsock               vsock_bind_table, vsock_connected_table
//	MPTCP               the subflows in TCP's table
//
// Symbols among them are exported to modules, so that kernels without data in kallsyms have
// them too. The table of ping sockets is not; without its symbol it is found from one of its
// sockets. What a kernel has no table of, or an image no types for, comes from descriptors.
//
// Strings are the bytes that were found. Errors and damage are as in package linux.
package socket
