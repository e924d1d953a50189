package socket

import "strconv"

// Numbers of protocols, IPPROTO_ of include/uapi/linux/in.h.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
	protoRaw     = 255
	protoMPTCP   = 262
)

// inetProtocols are the names of /etc/protocols, as ss shows them.
var inetProtocols = map[uint16]string{
	0: "ip", protoICMP: "icmp", 2: "igmp", 4: "ipencap", protoTCP: "tcp", protoUDP: "udp", 33: "dccp", 41: "ipv6", 46: "rsvp", 47: "gre",
	50: "esp", 51: "ah", protoICMPv6: "ipv6-icmp", 89: "ospf", 94: "ipip", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp",
	protoSCTP: "sctp", protoUDPLite: "udplite", 137: "mpls-in-ip", protoRaw: "raw", 256: "smc", protoMPTCP: "mptcp",
}

// netlinkProtocols are the names that ss has for NETLINK_ of include/uapi/linux/netlink.h.
var netlinkProtocols = []string{
	"rtnl", "unused", "usersock", "fw", "tcpdiag", "nflog", "xfrm", "selinux", "iscsi", "audit", "fiblookup", "connector", "nft",
	"ip6fw", "dec-rt", "uevent", "genl", "", "scsi-trans", "ecryptfs", "rdma", "crypto", "smc",
}

// etherTypes are the names that ip and tc have for the types of frames.
var etherTypes = map[uint16]string{
	0x0003: "all", 0x0800: "ip", 0x0806: "arp", 0x8035: "rarp", 0x8100: "802.1Q", 0x86dd: "ipv6", 0x8847: "mpls_uc", 0x8848: "mpls_mc",
	0x8863: "ppp_disc", 0x8864: "ppp_ses", 0x888e: "802.1X", 0x88a8: "802.1ad", 0x88cc: "lldp", 0x88e5: "macsec", 0x0004: "802_2",
}

// protocolName returns the name of a protocol of a family, or its number.
func protocolName(f Family, n uint16) string {
	var name string
	switch f {
	case Inet, Inet6:
		name = inetProtocols[n]
	case Netlink:
		if int(n) < len(netlinkProtocols) {
			name = netlinkProtocols[n]
		}
	case Packet:
		name = etherTypes[n]
	case Unix, Vsock, XDP:
		name = f.String()
	}
	if name == "" {
		return strconv.Itoa(int(n))
	}
	return name
}
