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
//	TCP                 net.ipv4.tcp_death_row.hashinfo of each namespace; tcp_hashinfo
//	UDP, UDP-Lite       net.ipv4.udp_table since 6.2, udp_table before; udplite_table until 7.1
//	raw, ping           raw_v4_hashinfo, raw_v6_hashinfo; ping_table
//	unix                net.unx.table since 5.19, unix_socket_table before
//	netlink             nl_table
//	packet, XDP         net.packet.sklist, net.xdp.list
//	vsock               vsock_bind_table, vsock_connected_table
//	MPTCP               the subflows in TCP's table; token_hash
//	SCTP                sctp_globals, with its associations
//
// Symbols among them are exported to modules, so that kernels without data in kallsyms have
// them too. Three are not: the table of ping sockets is found from one of its sockets where its
// symbol is not known; token_hash is done without, and sctp_globals, which is a gap. Other families come from
// descriptors, with what is common to all sockets; so does what an image has no types for.
//
// vsock and SCTP may be modules. Their types are then those that package module has of them.
//
// Strings are the bytes that were found. Errors and damage are as in package linux.
package socket
