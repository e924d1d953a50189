package socket

import (
	"errors"
	"net/netip"
	"strconv"
)

// An Address is one end of a socket: an IP address, or the context id of a vsock. The zero
// value is none: sockets of other families have no addresses but ports and paths.
type Address struct {
	ip     netip.Addr
	cid    uint32
	hasCID bool
}

// cidAny is VMADDR_CID_ANY of include/uapi/linux/vm_sockets.h.
const cidAny = 0xffffffff

func ip4(b [4]byte) Address { return Address{ip: netip.AddrFrom4(b)} }

func ip6(b [16]byte) Address { return Address{ip: netip.AddrFrom16(b)} }

func vsockCID(n uint32) Address { return Address{cid: n, hasCID: true} }

// IP returns the IP address; it is not valid where there is none. That of an IPv4 connection
// of an inet6 socket is an IPv4-mapped one.
func (a Address) IP() netip.Addr { return a.ip }

// CID returns the context id of a vsock, and whether there is one.
func (a Address) CID() (uint32, bool) { return a.cid, a.hasCID }

// String returns the address, such as 10.0.0.1 or ::1; a context id in decimal, or * for any
// of them; and nothing if there is none.
func (a Address) String() string {
	switch {
	case a.ip.IsValid():
		return a.ip.String()
	case a.hasCID && a.cid == cidAny:
		return "*"
	case a.hasCID:
		return strconv.FormatUint(uint64(a.cid), 10)
	}
	return ""
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (a *Address) UnmarshalText(b []byte) error {
	*a = Address{}
	switch s := string(b); s {
	case "":
		return nil
	case "*":
		*a = vsockCID(cidAny)
		return nil
	default:
		if n, err := strconv.ParseUint(s, 10, 32); err == nil {
			*a = vsockCID(uint32(n))
			return nil
		}
		ip, err := netip.ParseAddr(s)
		if err == nil && ip.Zone() != "" {
			err = errors.New("socket: address with a zone")
		}
		if err == nil {
			a.ip = ip
		}
		return err
	}
}
