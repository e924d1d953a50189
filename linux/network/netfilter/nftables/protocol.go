package nftables

// A header is a protocol's header as nft names its fields.
type header struct {
	name   string
	fields []field
	// key is the field that says what follows, and next the headers by its value.
	key  string
	next map[uint64]*header
}

// A field is some bits of a header. Those of a header are in nft's order, and where two are the same bits,
// the first gives the name.
type field struct {
	name   string
	offset int // in bits
	length int // in bits
	typ    *dataType
}

var (
	headTCP = &header{name: "tcp", fields: []field{
		{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}, {"sequence", 32, 32, typeInteger}, {"ackseq", 64, 32, typeInteger},
		{"doff", 96, 4, typeInteger}, {"reserved", 100, 4, typeInteger}, {"flags", 104, 8, typeTCPFlag}, {"window", 112, 16, typeInteger},
		{"checksum", 128, 16, typeInteger}, {"urgptr", 144, 16, typeInteger},
	}}
	headUDP = &header{name: "udp", fields: []field{
		{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}, {"length", 32, 16, typeInteger}, {"checksum", 48, 16, typeInteger},
	}}
	headUDPLite = &header{name: "udplite", fields: []field{
		{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}, {"csumcov", 32, 16, typeInteger}, {"checksum", 48, 16, typeInteger},
	}}
	headSCTP = &header{name: "sctp", fields: []field{
		{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}, {"vtag", 32, 32, typeInteger}, {"checksum", 64, 32, typeInteger},
	}}
	headDCCP = &header{name: "dccp", fields: []field{
		{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}, {"type", 67, 4, typeDCCP},
	}}
	headICMP = &header{name: "icmp", fields: []field{
		{"type", 0, 8, typeICMP}, {"code", 8, 8, typeICMPCode}, {"checksum", 16, 16, typeInteger}, {"id", 32, 16, typeInteger},
		{"sequence", 48, 16, typeInteger}, {"gateway", 32, 32, typeInteger}, {"mtu", 48, 16, typeInteger},
	}}
	headICMP6 = &header{name: "icmpv6", fields: []field{
		{"type", 0, 8, typeICMP6}, {"code", 8, 8, typeICMP6Code}, {"checksum", 16, 16, typeInteger}, {"parameter-problem", 32, 32, typeInteger},
		{"mtu", 32, 32, typeInteger}, {"id", 32, 16, typeInteger}, {"sequence", 48, 16, typeInteger}, {"max-delay", 32, 16, typeInteger},
	}}
	headIGMP = &header{name: "igmp", fields: []field{
		{"type", 0, 8, typeIGMP}, {"checksum", 16, 16, typeInteger}, {"mrt", 8, 8, typeInteger}, {"group", 32, 32, typeIP},
	}}
	headESP = &header{name: "esp", fields: []field{{"spi", 0, 32, typeInteger}, {"sequence", 32, 32, typeInteger}}}
	headAH  = &header{name: "ah", fields: []field{
		{"nexthdr", 0, 8, typeProto}, {"hdrlength", 8, 8, typeInteger}, {"reserved", 16, 16, typeInteger}, {"spi", 32, 32, typeInteger},
		{"sequence", 64, 32, typeInteger},
	}}
	headComp = &header{name: "comp", fields: []field{{"nexthdr", 0, 8, typeProto}, {"flags", 8, 8, typeInteger}, {"cpi", 16, 16, typeInteger}}}
	// headTH stands for any header of ports.
	headTH = &header{name: "th", fields: []field{{"sport", 0, 16, typeService}, {"dport", 16, 16, typeService}}}

	transports = map[uint64]*header{
		1: headICMP, 2: headIGMP, 6: headTCP, 17: headUDP, 33: headDCCP, 50: headESP, 51: headAH, 58: headICMP6, 108: headComp, 132: headSCTP, 136: headUDPLite,
	}
	headIP = &header{name: "ip", key: "protocol", next: transports, fields: []field{
		{"version", 0, 4, typeInteger}, {"hdrlength", 4, 4, typeInteger}, {"dscp", 8, 6, typeDSCP}, {"ecn", 14, 2, typeECN}, {"length", 16, 16, typeInteger},
		{"id", 32, 16, typeInteger}, {"frag-off", 48, 16, typeInteger}, {"ttl", 64, 8, typeInteger}, {"protocol", 72, 8, typeProto},
		{"checksum", 80, 16, typeInteger}, {"saddr", 96, 32, typeIP}, {"daddr", 128, 32, typeIP},
	}}
	headIP6 = &header{name: "ip6", key: "nexthdr", next: transports, fields: []field{
		{"version", 0, 4, typeInteger}, {"dscp", 4, 6, typeDSCP}, {"ecn", 10, 2, typeECN}, {"flowlabel", 12, 20, typeInteger},
		{"length", 32, 16, typeInteger}, {"nexthdr", 48, 8, typeProto}, {"hoplimit", 56, 8, typeInteger}, {"saddr", 64, 128, typeIP6}, {"daddr", 192, 128, typeIP6},
	}}
	headARP = &header{name: "arp", fields: []field{
		{"htype", 0, 16, typeInteger}, {"ptype", 16, 16, typeEtherTyp}, {"hlen", 32, 8, typeInteger}, {"plen", 40, 8, typeInteger},
		{"operation", 48, 16, typeARPOp}, {"saddr ether", 64, 48, typeEther}, {"saddr ip", 112, 32, typeIP},
		{"daddr ether", 144, 48, typeEther}, {"daddr ip", 192, 32, typeIP},
	}}
	networks = map[uint64]*header{0x0800: headIP, 0x86dd: headIP6, 0x0806: headARP, 0x8100: headVLAN}
	headVLAN = &header{name: "vlan", key: "type", fields: []field{
		{"pcp", 0, 3, typeInteger}, {"dei", 3, 1, typeInteger}, {"cfi", 3, 1, typeInteger}, {"id", 4, 12, typeInteger}, {"type", 16, 16, typeEtherTyp},
	}}
	headEther = &header{name: "ether", key: "type", fields: []field{
		{"daddr", 0, 48, typeEther}, {"saddr", 48, 48, typeEther}, {"type", 96, 16, typeEtherTyp},
	}}
)

// find returns the field at some bits, nil where there is none.
func (h *header) find(offset, length int) *field {
	if h == nil {
		return nil
	}
	for i := range h.fields {
		if f := &h.fields[i]; f.offset == offset && f.length == length {
			return f
		}
	}
	return nil
}

// The bases of payload expressions (enum nft_payload_bases), which are also the layers of
// headers.
const (
	baseLink = iota
	baseNetwork
	baseTransport
	baseInner
	baseTunnel
	bases
)

var baseNames = [bases]string{"ll", "nh", "th", "ih", "th"}
