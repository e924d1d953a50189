package socket

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// names are the names of an enumeration's values, by value; those without one have their
// number behind a prefix.
type names struct {
	what   string
	prefix string
	of     []string
}

func (n *names) text(v int) string {
	if v >= 0 && v < len(n.of) && n.of[v] != "" {
		return n.of[v]
	}
	return n.prefix + strconv.Itoa(v)
}

func (n *names) parse(b []byte, most int) (int, error) {
	s := string(b)
	if i := slices.Index(n.of, s); i >= 0 && s != "" {
		return i, nil
	}
	if digits, ok := strings.CutPrefix(s, n.prefix); ok {
		if v, err := strconv.Atoi(digits); err == nil && v >= 0 && v <= most && n.text(v) == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("socket: unknown %s %q", n.what, b)
}

// A Family is a family of protocols, AF_ of include/linux/socket.h.
type Family uint16

// The families that have a table which is read. Others have their names, too.
const (
	Unspec  Family = 0
	Unix    Family = 1
	Inet    Family = 2
	Inet6   Family = 10
	Netlink Family = 16
	Packet  Family = 17
	Vsock   Family = 40
	XDP     Family = 44
)

var familyNames = names{"family", "family-", []string{
	"unspec", "unix", "inet", "ax25", "ipx", "appletalk", "netrom", "bridge", "atmpvc", "x25", "inet6", "rose", "decnet", "netbeui",
	"security", "key", "netlink", "packet", "ash", "econet", "atmsvc", "rds", "sna", "irda", "pppox", "wanpipe", "llc", "ib", "mpls",
	"can", "tipc", "bluetooth", "iucv", "rxrpc", "isdn", "phonet", "ieee802154", "caif", "alg", "nfc", "vsock", "kcm", "qipcrtr", "smc",
	"xdp", "mctp",
}}

// String returns the name of the family, such as inet6.
func (f Family) String() string { return familyNames.text(int(f)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (f *Family) UnmarshalText(b []byte) error {
	v, err := familyNames.parse(b, 0xffff)
	*f = Family(v)
	return err
}

// A Type is how a socket passes data, SOCK_ of include/linux/net.h.
type Type uint16

// The types of sockets.
const (
	Stream    Type = 1
	Dgram     Type = 2
	Raw       Type = 3
	RDM       Type = 4
	SeqPacket Type = 5
)

var typeNames = names{"type", "type-", []string{"none", "stream", "dgram", "raw", "rdm", "seqpacket", "dccp", "", "", "", "packet"}}

// String returns the name of the type, such as stream.
func (t Type) String() string { return typeNames.text(int(t)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (t *Type) UnmarshalText(b []byte) error {
	v, err := typeNames.parse(b, 0xffff)
	*t = Type(v)
	return err
}

// A State is what a socket is doing, under the name that ss has for it. The numbers are those
// of include/net/tcp_states.h, which other families use as well.
type State uint8

// The states.
const (
	Established   State = 1
	SynSent       State = 2
	SynRecv       State = 3
	FinWait1      State = 4
	FinWait2      State = 5
	TimeWait      State = 6
	Unconn        State = 7 // closed, or never connected
	CloseWait     State = 8
	LastAck       State = 9
	Listen        State = 10
	Closing       State = 11
	newSynRecv    State = 12 // of a request, which ss shows as SYN-RECV
	boundInactive State = 13
)

var stateNames = names{"state", "STATE-", []string{
	"UNKNOWN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
}}

// String returns the name of the state, such as ESTAB.
func (s State) String() string { return stateNames.text(int(s)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *State) UnmarshalText(b []byte) error {
	v, err := stateNames.parse(b, 0xff)
	*s = State(v)
	return err
}

// A TimerKind says what a timer of a socket is for, under the name of ss -o.
type TimerKind uint8

// The kinds of timers.
const (
	TimerOff       TimerKind = iota
	TimerOn                  // to retransmit, or to probe for losses
	TimerKeepalive           // to see whether the peer lives; of FIN-WAIT-2, to give up
	TimerTimeWait            // to forget the connection
	TimerPersist             // to probe a window of zero
	TimerDelayedAck
)

var timerNames = names{"timer", "timer-", []string{"off", "on", "keepalive", "timewait", "persist", "delack"}}

// String returns the name of the kind, such as keepalive.
func (k TimerKind) String() string { return timerNames.text(int(k)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (k TimerKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (k *TimerKind) UnmarshalText(b []byte) error {
	v, err := timerNames.parse(b, 0xff)
	*k = TimerKind(v)
	return err
}

// A Holder says what keeps a socket.
type Holder uint8

// What keeps sockets.
const (
	HeldByNone        Holder = iota // nothing but the protocol: an orphan, TIME-WAIT, half open
	HeldByDescriptors               // processes that have it open
	HeldInFlight                    // a message of a unix socket, and no process
	HeldByQueue                     // a listening socket, whose process has not accepted it
	HeldByKernel                    // the kernel, for itself
	HeldUnknown                     // a file that no process that was found has open
)

var holderNames = names{"holder", "holder-", []string{"none", "descriptors", "flight", "accept-queue", "kernel", "unknown"}}

// String returns the name of what holds the socket, such as descriptors.
func (h Holder) String() string { return holderNames.text(int(h)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (h Holder) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (h *Holder) UnmarshalText(b []byte) error {
	v, err := holderNames.parse(b, 0xff)
	*h = Holder(v)
	return err
}

// A Shutdown says which directions of a socket were shut.
type Shutdown uint8

// The directions, as sk_shutdown has them.
const (
	ShutReceive Shutdown = 1
	ShutSend    Shutdown = 2
)

var shutdownNames = names{"shutdown", "shutdown-", []string{"<->", "-->", "<--", "---"}}

// String returns the arrow that ss -e shows of the directions that are open.
func (s Shutdown) String() string { return shutdownNames.text(int(s)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Shutdown) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *Shutdown) UnmarshalText(b []byte) error {
	v, err := shutdownNames.parse(b, 0xff)
	*s = Shutdown(v)
	return err
}
