package bpf

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// Sources say by what an object was found, a bit for each.
type Sources uint16

// What leads to programs, maps and links.
const (
	InIDR         Sources = 1 << iota // the table of IDs, from which bpftool lists them
	InKallsyms                        // bpf_kallsyms, the list of all compiled code
	InTree                            // bpf_tree, by which the kernel finds the program of an address
	InDescriptors                     // a process has it open
	InPins                            // it is pinned in a file system of type bpf
	InLinks                           // a link has it
	InPrograms                        // another program has it, as a program its maps
	InMaps                            // a map has it, as one of programs to call
	InAttachments                     // it is attached
)

var sourceNames = []string{"idr", "kallsyms", "tree", "descriptors", "pins", "links", "programs", "maps", "attachments"}

// Names returns the names: idr, kallsyms, tree, descriptors, pins, links, programs, maps and
// attachments.
func (s Sources) Names() []string {
	names := []string{}
	for ; s != 0; s &= s - 1 {
		bit := bits.TrailingZeros16(uint16(s))
		if bit < len(sourceNames) {
			names = append(names, sourceNames[bit])
		} else {
			names = append(names, fmt.Sprintf("source %d", bit))
		}
	}
	return names
}

// String names the sources, joined by plus signs, or is none.
func (s Sources) String() string {
	if s == 0 {
		return "none"
	}
	return strings.Join(s.Names(), "+")
}

var _ = jsonx.Describe[Sources, []string]()

// MarshalJSON returns the names as an array.
func (s Sources) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (s *Sources) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = 0
	for _, name := range names {
		for bit, known := range sourceNames {
			if name == known {
				*s |= 1 << bit
			}
		}
	}
	return nil
}
