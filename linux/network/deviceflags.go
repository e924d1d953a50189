package network

import (
	"encoding/json"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// DeviceFlags are the IFF_ flags of a device (include/uapi/linux/if.h), as the kernel tells
// them to programs: those of the state of its link are among them.
type DeviceFlags uint32

// Flags that others are told from.
const (
	flagUp       DeviceFlags = 0x1
	flagLoopback DeviceFlags = 0x8
	flagRunning  DeviceFlags = 0x40
	flagPromisc  DeviceFlags = 0x100
	flagAllMulti DeviceFlags = 0x200
	flagLowerUp  DeviceFlags = 0x10000
	flagDormant  DeviceFlags = 0x20000
)

// flagNoCarrier is none of the kernel's: `ip` prints it where a device is up and not running.
const flagNoCarrier = 1 << 31

// deviceBits are the names in the order in which `ip` prints them.
var deviceBits = []bit{
	{flagNoCarrier, "NO-CARRIER"}, {0x8, "LOOPBACK"}, {0x2, "BROADCAST"}, {0x10, "POINTOPOINT"}, {0x1000, "MULTICAST"}, {0x80, "NOARP"},
	{0x200, "ALLMULTI"}, {0x100, "PROMISC"}, {0x400, "MASTER"}, {0x800, "SLAVE"}, {0x4, "DEBUG"}, {0x8000, "DYNAMIC"}, {0x4000, "AUTOMEDIA"},
	{0x2000, "PORTSEL"}, {0x20, "NOTRAILERS"}, {0x1, "UP"}, {0x10000, "LOWER_UP"}, {0x20000, "DORMANT"}, {0x40000, "ECHO"},
}

// Names returns the flags as `ip link` shows them: that a device is running is not told, but
// NO-CARRIER where one that is up is not.
func (f DeviceFlags) Names() []string {
	shown := uint32(f &^ flagRunning)
	if f&flagUp != 0 && f&flagRunning == 0 {
		shown |= flagNoCarrier
	}
	return bitNames(deviceBits, shown)
}

// String returns the flags as `ip link` shows them, such as <BROADCAST,MULTICAST,UP,LOWER_UP>.
func (f DeviceFlags) String() string { return "<" + strings.Join(f.Names(), ",") + ">" }

var _ = jsonx.Describe[DeviceFlags, []string]()

// MarshalJSON returns an array of the names.
func (f DeviceFlags) MarshalJSON() ([]byte, error) { return json.Marshal(f.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (f *DeviceFlags) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(deviceBits, b)
	if err != nil {
		return err
	}
	switch flags := DeviceFlags(v &^ flagNoCarrier); {
	case v&flagNoCarrier == 0 && flags&flagUp != 0:
		*f = flags | flagRunning
	default:
		*f = flags
	}
	return nil
}

// OperState is the state of a device by RFC 2863 (IF_OPER_ of include/uapi/linux/if.h).
type OperState uint8

const (
	operUnknown OperState = 0
	operDown    OperState = 2
	operUp      OperState = 6
)

var operNames = map[OperState]string{
	operUnknown: "UNKNOWN", 1: "NOTPRESENT", operDown: "DOWN", 3: "LOWERLAYERDOWN", 4: "TESTING", 5: "DORMANT", operUp: "UP",
}

// String returns the name that `ip` has for the state.
func (s OperState) String() string { return nameOf(operNames, s) }

// MarshalText returns what String does.
func (s OperState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *OperState) UnmarshalText(b []byte) error { return parseName(operNames, b, s) }

// Bits of net_device.state (enum netdev_state_t of include/linux/netdevice.h).
const (
	linkStart     = 1 << 0
	linkNoCarrier = 1 << 2
	linkDormant   = 1 << 4
)

// shownFlags follows netif_get_flags of net/core/dev.c, dev_get_flags before 6.15.
func (s *netDevice) shownFlags() DeviceFlags {
	const ofState = flagPromisc | flagAllMulti | flagRunning | flagLowerUp | flagDormant
	flags := DeviceFlags(s.Flags)&^ofState | DeviceFlags(s.GFlags)&(flagPromisc|flagAllMulti)
	if s.State&linkStart == 0 {
		return flags
	}
	if oper := OperState(s.Oper); oper == operUp || oper == operUnknown {
		flags |= flagRunning
	}
	if s.State&linkNoCarrier == 0 {
		flags |= flagLowerUp
	}
	if s.State&linkDormant != 0 {
		flags |= flagDormant
	}
	return flags
}

// operState follows rtnl_fill_ifinfo of net/core/rtnetlink.c.
func (s *netDevice) operState() OperState {
	if s.State&linkStart == 0 {
		return operDown
	}
	return OperState(s.Oper)
}

// LinkType is the type of a device's link (ARPHRD_ of include/uapi/linux/if_arp.h).
type LinkType uint16

// Types whose addresses are those of the Internet protocols.
const (
	typeTunnel  LinkType = 768
	typeTunnel6 LinkType = 769
	typeSIT     LinkType = 776
	typeGRE     LinkType = 778
	typeGRE6    LinkType = 823
)

// linkTypeNames are those that `ip` prints. Devices of Fibre Channel fabrics have none here.
var linkTypeNames = map[LinkType]string{
	0: "generic", 1: "ether", 2: "eether", 3: "ax25", 4: "pronet", 5: "chaos", 6: "ieee802", 7: "arcnet", 8: "atalk", 15: "dlci", 19: "atm",
	23: "metricom", 24: "ieee1394", 32: "infiniband", 256: "slip", 257: "cslip", 258: "slip6", 259: "cslip6", 260: "rsrvd", 264: "adapt",
	270: "rose", 271: "x25", 272: "hwx25", 280: "can", 512: "ppp", 513: "hdlc", 516: "lapb", 517: "ddcmp", 518: "rawhdlc",
	typeTunnel: "ipip", typeTunnel6: "tunnel6", 770: "frad", 771: "skip", 772: "loopback", 773: "ltalk", 774: "fddi", 775: "bif",
	typeSIT: "sit", 777: "ip/ddp", typeGRE: "gre", 779: "pimreg", 780: "hippi", 781: "ash", 782: "econet", 783: "irda",
	784: "fcpp", 785: "fcal", 786: "fcpl", 800: "tr", 801: "ieee802.11", 802: "ieee802.11/prism", 803: "ieee802.11/radiotap",
	804: "ieee802.15.4", 805: "ieee802.15.4/monitor", 820: "phonet", 821: "phonet_pipe", 822: "caif", typeGRE6: "gre6", 824: "netlink",
	825: "6lowpan", 65534: "none", 65535: "void",
}

// String returns the name that `ip` has for the type, such as ether, or [N].
func (t LinkType) String() string {
	if name, ok := linkTypeNames[t]; ok {
		return name
	}
	return "[" + nameOf(nil, t) + "]"
}

// MarshalText returns what String does.
func (t LinkType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *LinkType) UnmarshalText(b []byte) error {
	if n := len(b); n > 2 && b[0] == '[' && b[n-1] == ']' {
		return parseName(nil, b[1:n-1], t)
	}
	return parseName(linkTypeNames, b, t)
}
