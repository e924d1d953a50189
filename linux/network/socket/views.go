package socket

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A sockCommon is struct sock_common (include/net/sock.h), which also a connection in
// TIME-WAIT and a request begin with.
type sockCommon struct {
	Daddr    [4]byte       `kernel:"skc_daddr"`
	Saddr    [4]byte       `kernel:"skc_rcv_saddr"`
	Hash     uint32        `kernel:"skc_hash"`
	Dport    uint16        `kernel:"skc_dport,be"`
	Num      uint16        `kernel:"skc_num"`
	Family   uint16        `kernel:"skc_family"`
	State    uint8         `kernel:"skc_state"`
	Only6    bool          `kernel:"skc_ipv6only,optional"`
	Index    int32         `kernel:"skc_bound_dev_if"`
	Proto    vmem.VirtAddr `kernel:"skc_prot"`
	Net      vmem.VirtAddr `kernel:"skc_net.net,optional"`
	Daddr6   [16]byte      `kernel:"skc_v6_daddr,optional"`
	Saddr6   [16]byte      `kernel:"skc_v6_rcv_saddr,optional"`
	Cookie   int64         `kernel:"skc_cookie.counter"`
	Listener vmem.VirtAddr `kernel:"skc_listener"` // of a request; otherwise it is flags
	Refs     int32         `kernel:"skc_refcnt.refs.counter"`
}

// A sockRest is what is read of struct sock behind that.
type sockRest struct {
	Received   vmem.VirtAddr `kernel:"sk_receive_queue.next"`
	Queued     uint32        `kernel:"sk_receive_queue.qlen"`
	Rmem       int32         `kernel:"sk_backlog.rmem_alloc.counter"`
	BacklogLen int32         `kernel:"sk_backlog.len"`
	Wmem       int32         `kernel:"sk_wmem_alloc.refs.counter"` // one more than there is
	WmemQueued int32         `kernel:"sk_wmem_queued"`
	Forward    int32         `kernel:"sk_forward_alloc"`
	Omem       int32         `kernel:"sk_omem_alloc.counter"`
	Sndbuf     int32         `kernel:"sk_sndbuf"`
	Rcvbuf     int32         `kernel:"sk_rcvbuf"`
	Drops      int32         `kernel:"sk_drops.counter"`
	NodeDrops  vmem.VirtAddr `kernel:"sk_drop_counters,optional"` // since 6.18: by NUMA node
	Filter     vmem.VirtAddr `kernel:"sk_filter"`
	Mark       uint32        `kernel:"sk_mark"`
	Backlog    uint32        `kernel:"sk_ack_backlog"`
	MaxBacklog uint32        `kernel:"sk_max_ack_backlog"`
	UID        uint32        `kernel:"sk_uid.val"`
	Ino        uint64        `kernel:"sk_ino,optional"` // since 6.17
	Type       uint16        `kernel:"sk_type"`
	Protocol   uint16        `kernel:"sk_protocol"`
	Shutdown   uint8         `kernel:"sk_shutdown"`
	Kern       bool          `kernel:"sk_kern_sock"`
	Socket     vmem.VirtAddr `kernel:"sk_socket"`
	UserData   vmem.VirtAddr `kernel:"sk_user_data"`
	Reuseport  vmem.VirtAddr `kernel:"sk_reuseport_cb"`
	Stamp      int64         `kernel:"sk_stamp"`
	// A pointer since 5.16; before, one with marks in its lowest bits.
	Cgroup    vmem.VirtAddr `kernel:"sk_cgrp_data.cgroup,optional"`
	CgroupVal uint64        `kernel:"sk_cgrp_data.val,optional"`
}

// A socketStruct is struct socket (include/linux/net.h), which a file stands for.
type socketStruct struct {
	File vmem.VirtAddr `kernel:"file"`
	Sock vmem.VirtAddr `kernel:"sk"`
}

// A socketAlloc is struct socket_alloc: a socket and its inode.
type socketAlloc struct {
	File vmem.VirtAddr `kernel:"socket.file"`
	Sock vmem.VirtAddr `kernel:"socket.sk"`
	Ino  uint64        `kernel:"vfs_inode.i_ino"`
	UID  uint32        `kernel:"vfs_inode.i_uid.val"`
}

// A fileStruct is what is read of struct file to see whether it is of a socket.
type fileStruct struct {
	Inode   vmem.VirtAddr `kernel:"f_inode"`
	Private vmem.VirtAddr `kernel:"private_data"`
}

// A protoStruct is struct proto.
type protoStruct struct {
	Size uint32   `kernel:"obj_size"`
	Name [32]byte `kernel:"name"`
}

// A netStruct is what is read of struct net. Tables that a kernel keeps for all namespaces
// are elsewhere.
type netStruct struct {
	Inum     uint32        `kernel:"ns.inum"`
	Mix      uint32        `kernel:"hash_mix,optional"`
	TCP      vmem.VirtAddr `kernel:"ipv4.tcp_death_row.hashinfo,optional"`
	UDP      vmem.VirtAddr `kernel:"ipv4.udp_table,optional"`    // since 6.2
	Unix     vmem.VirtAddr `kernel:"unx.table.buckets,optional"` // since 5.19
	Packets  vmem.VirtAddr `kernel:"&packet.sklist,optional"`
	XDP      vmem.VirtAddr `kernel:"&xdp.list,optional"`
	Fin      int32         `kernel:"ipv4.sysctl_tcp_fin_timeout,optional"` // in jiffies, as what follows
	Alive    int32         `kernel:"ipv4.sysctl_tcp_keepalive_time,optional"`
	Interval int32         `kernel:"ipv4.sysctl_tcp_keepalive_intvl,optional"`
}

// views are what all sockets are read with.
type views struct {
	common *kstruct.View[sockCommon]
	sock   *kstruct.View[sockRest]
	socket *kstruct.View[socketStruct]
	alloc  *kstruct.View[socketAlloc]
	file   *kstruct.View[fileStruct]
	proto  *kstruct.View[protoStruct]
	net    *kstruct.View[netStruct]
	netOps *kstruct.Field[vmem.VirtAddr]
	files  *kstruct.Field[vmem.VirtAddr] // of task_struct

	node     kstruct.Member // skc_node in sock_common, which is also skc_nulls_node
	bindNode kstruct.Member // skc_bind_node
	inode    kstruct.Member // vfs_inode in socket_alloc
	inSocket kstruct.Member // socket in it
	drops    *kstruct.Field[int32]
	drops1   *kstruct.Field[int32]
	err      error

	tcp     tcpViews
	request requestViews
	udp     udpViews
	raw     rawViews
	unix    unixViews
	netlink netlinkViews
	packet  packetViews
	xdp     xdpViews
	filter  filterViews
	flight  flightViews
	mptcp   mptcpViews
	vsock   vsockViews
	sctp    sctpViews
}

func bind(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.common = kstruct.Bind[sockCommon](b, "sock_common")
	v.sock = kstruct.Bind[sockRest](b, "sock")
	v.socket = kstruct.Bind[socketStruct](b, "socket")
	v.alloc = kstruct.Bind[socketAlloc](b, "socket_alloc")
	v.file = kstruct.Bind[fileStruct](b, "file")
	v.proto = kstruct.Bind[protoStruct](b, "proto")
	v.net = kstruct.Bind[netStruct](b, "net")
	v.netOps = kstruct.BindField[vmem.VirtAddr](b, "net", "ns.ops")
	v.files = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "files")
	v.node = kstruct.BindMember(b, "sock_common", "skc_node")
	v.bindNode = kstruct.BindMember(b, "sock_common", "skc_bind_node")
	v.inode = kstruct.BindMember(b, "socket_alloc", "vfs_inode")
	v.inSocket = kstruct.BindMember(b, "socket_alloc", "socket")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.drops = kstruct.BindOptionalField[int32](b, "numa_drop_counters", "drops0.counter")
	v.drops1 = kstruct.BindOptionalField[int32](b, "numa_drop_counters", "drops1.counter")
	v.tcp = bindTCP(types)
	v.request = bindRequest(types)
	v.udp = bindUDP(types)
	v.raw = bindRaw(types)
	v.unix = bindUnix(types)
	v.netlink = bindNetlink(types)
	v.packet = bindPacket(types)
	v.xdp = bindXDP(types)
	v.filter = bindFilter(types)
	v.flight = bindFlight(types)
	v.mptcp = bindMPTCP(types)
	v.vsock = bindVsock(types)
	return v
}
