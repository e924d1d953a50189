package network

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Sources says what leads to a network namespace, a bit for each.
type Sources uint8

// What leads to namespaces. All are in the list of the kernel, from when they are set up
// until they are destroyed; the others are why they live.
const (
	InList    Sources = 1 << iota // linked in net_namespace_list
	InTasks                       // the namespace of a task (nsproxy.net_ns)
	InMounts                      // mounted, as `ip netns add` does
	InFiles                       // an open file of a task
	InKernel                      // init_net, the kernel's own
	InSockets                     // the namespace of an open socket of a task
)

var sourceNames = []string{"namespace list", "tasks", "mounts", "files", "init_net", "sockets"}

// String names the sources, joined by plus signs, or is none.
func (s Sources) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for ; s != 0; s &= s - 1 {
		bit := bits.TrailingZeros8(uint8(s))
		if bit < len(sourceNames) {
			names = append(names, sourceNames[bit])
		} else {
			names = append(names, fmt.Sprintf("source %d", bit))
		}
	}
	return strings.Join(names, "+")
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s Sources) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *Sources) UnmarshalText(b []byte) error {
	var v Sources
	if string(b) != v.String() {
		for name := range strings.SplitSeq(string(b), "+") {
			bit := slices.Index(sourceNames, name)
			if bit < 0 || v>>bit != 0 { // MarshalText names them in their order
				return fmt.Errorf("network: unknown sources of namespaces: %q", b)
			}
			v |= 1 << bit
		}
	}
	*s = v
	return nil
}
