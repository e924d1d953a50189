package socket

// expected returns the tables that should have a socket, one of which is enough, as far as they
// were read: none where no table has such sockets.
func (f *finder) expected(s *Socket) Sources {
	switch s.Family {
	case Inet, Inet6:
		return f.expectedInet(s)
	case Netlink:
		if s.Netlink == nil || !s.Netlink.bound {
			return 0
		}
	case Vsock: // one that was accepted is in the table of connections alone
		return f.when(f.walked[Vsock], &vsockTable, InTable|InBound)
	}
	return f.when(f.walked[s.Family], familyTables[s.Family], InTable)
}

// expectedInet: TCP has connections and listeners in its tables, and what is bound; UDP has
// what is bound; raw ones are in theirs from when they are made.
func (f *finder) expectedInet(s *Socket) Sources {
	switch {
	case s.Type == Raw:
		return f.when(f.tables.raw, &rawTable, InTable)
	case s.Number == protoTCP && s.Type == Stream && s.State != Unconn:
		return f.when(f.tables.tcp, &tcpTable, InTable)
	case s.LocalPort == 0:
		return 0
	case s.Number == protoTCP && s.Type == Stream:
		return f.when(f.tables.tcp, &tcpTable, InTable|InBound)
	case s.Number == protoUDP && s.Type == Dgram:
		return f.when(f.tables.udp, &udpTable, InTable)
	case s.Number == protoUDPLite && s.Type == Dgram:
		return f.when(f.tables.udplite, &udpLiteTable, InTable)
	}
	return 0
}

// familyTables are those of families that have one.
var familyTables = map[Family]*table{Unix: &unixTable, Netlink: &netlinkTable, Packet: &packetTable, XDP: &xdpTable, Vsock: &vsockTable}

// when returns s if a table was read, and nothing of it was lost: a socket may be where that was.
func (f *finder) when(read bool, t *table, s Sources) Sources {
	if read && t != nil && f.lost[t.object] == nil {
		return s
	}
	return 0
}
