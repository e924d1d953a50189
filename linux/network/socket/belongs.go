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
		return when(f.walked[Vsock], InTable|InBound)
	}
	return when(f.walked[s.Family], InTable)
}

// expectedInet: TCP has connections and listeners in its tables, and what is bound; UDP has
// what is bound; raw ones are in theirs from when they are made.
func (f *finder) expectedInet(s *Socket) Sources {
	switch {
	case s.Type == Raw:
		return when(f.tables.raw, InTable)
	case s.Number == protoTCP && s.Type == Stream && s.State != Unconn:
		return when(f.tables.tcp, InTable)
	case s.LocalPort == 0:
		return 0
	case s.Number == protoTCP && s.Type == Stream:
		return when(f.tables.tcp, InTable|InBound)
	case s.Number == protoUDP && s.Type == Dgram:
		return when(f.tables.udp, InTable)
	case s.Number == protoUDPLite && s.Type == Dgram:
		return when(f.tables.udplite, InTable)
	}
	return 0
}

func when(read bool, s Sources) Sources {
	if read {
		return s
	}
	return 0
}
