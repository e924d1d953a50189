package socket

// belongs reports whether the table of a socket's protocol should have it, as far as that
// table was read.
func (f *finder) belongs(s *Socket) bool {
	switch s.Family {
	case Inet, Inet6:
		return f.inetBelongs(s)
	case Unix, Vsock:
		return f.walked[s.Family]
	case Netlink:
		return f.walked[Netlink] && s.Netlink != nil && s.Netlink.bound
	case Packet, XDP:
		return f.walked[s.Family]
	}
	return false
}

// inetBelongs: TCP has connections and listeners in its tables, and what is bound; UDP and
// ping sockets what is bound; raw ones are in theirs from when they are made.
func (f *finder) inetBelongs(s *Socket) bool {
	switch s.Number {
	case protoTCP:
		return f.tables.tcp && s.Type == Stream && (s.State != Unconn || s.LocalPort != 0)
	case protoUDP:
		if s.Type == Dgram {
			return f.tables.udp && s.LocalPort != 0
		}
	case protoUDPLite:
		if s.Type == Dgram {
			return f.tables.udplite && s.LocalPort != 0
		}
	}
	return s.Type == Raw && f.tables.raw
}
