package socket

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Sources says what led to a socket, a bit for each.
type Sources uint8

// What leads to sockets.
const (
	InTable       Sources = 1 << iota // the table of its protocol, by which packets find it
	InBound                           // the table of ports that are taken
	InDescriptors                     // a descriptor of a process
	InFlight                          // a message of a unix socket
	InQueue                           // what waits at a listening socket to be accepted
	InSubflow                         // a subflow of an MPTCP connection
)

var sourceNames = []string{"table", "bound", "descriptors", "flight", "accept-queue", "subflow"}

// String names the sources, joined by plus signs, or is none.
func (s Sources) String() string { return joinBits(uint8(s), sourceNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Sources) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *Sources) UnmarshalText(b []byte) error {
	v, err := splitBits(b, sourceNames)
	*s = Sources(v)
	return err
}

// Anomaly says how views of a socket don't agree, a bit for each way.
type Anomaly uint8

// The anomalies. On a machine that stood still while it was captured there are none, unless
// somebody changed its tables; on one that ran, a socket may have been on its way.
const (
	// NotInTable: it is open, and its state is one in which the table of its protocol has
	// it, but that has not: packets may reach it all the same, and no tool shows it.
	NotInTable Anomaly = 1 << iota
	// TwiceInTable: the table has it in two places.
	TwiceInTable
	// WrongBucket: it is in a place of the table where its address does not belong.
	WrongBucket
	// ForeignFile: the file by which it is open is not the one that it belongs to.
	ForeignFile
	// NoOwner: it has a file, and no process that was found has it open, nor is it in flight.
	NoOwner
)

var anomalyNames = []string{"not-in-table", "twice-in-table", "wrong-bucket", "foreign-file", "no-owner"}

// String names the anomalies, joined by plus signs, or is none.
func (a Anomaly) String() string { return joinBits(uint8(a), anomalyNames) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (a Anomaly) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (a *Anomaly) UnmarshalText(b []byte) error {
	v, err := splitBits(b, anomalyNames)
	*a = Anomaly(v)
	return err
}

func joinBits(v uint8, of []string) string {
	if v == 0 {
		return "none"
	}
	var all []string
	for ; v != 0; v &= v - 1 {
		if bit := bits.TrailingZeros8(v); bit < len(of) {
			all = append(all, of[bit])
		} else {
			all = append(all, fmt.Sprintf("bit-%d", bit))
		}
	}
	return strings.Join(all, "+")
}

func splitBits(b []byte, of []string) (v uint8, err error) {
	if string(b) == "none" {
		return 0, nil
	}
	for name := range strings.SplitSeq(string(b), "+") {
		bit := slices.Index(of, name)
		if bit < 0 || v>>bit != 0 {
			return 0, fmt.Errorf("socket: unknown %q", b)
		}
		v |= 1 << bit
	}
	return v, nil
}
