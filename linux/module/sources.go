package module

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// Sources say which views of the set of modules hold a module, a bit for each.
type Sources uint16

// The views of the set of modules.
const (
	InList     Sources = 1 << iota // the list modules: lsmod and /proc/modules
	InTree                         // mod_tree, by which the kernel finds the module of an address
	InKobjects                     // module_kset: /sys/module
	InBugList                      // module_bug_list, by which the kernel finds what BUG in it means
	InBTF                          // btf_modules, by which BPF finds its types; those without types are not in it
	InUses                         // another module says that it uses it or is used by it
	InMemory                       // a struct module in the memory of modules

	// ExpectedSources are the views that hold every module that is loaded.
	ExpectedSources = InList | InTree | InKobjects | InBugList | InMemory
)

// sourceNames are the names of the views, by bit.
var sourceNames = []string{"list", "tree", "kobjects", "bugs", "btf", "uses", "memory"}

// Names returns the names of the views: list, tree, kobjects, bugs, btf, uses and memory.
func (s Sources) Names() []string {
	names := []string{}
	for ; s != 0; s &= s - 1 {
		bit := bits.TrailingZeros16(uint16(s))
		if bit < len(sourceNames) {
			names = append(names, sourceNames[bit])
		} else {
			names = append(names, fmt.Sprintf("view %d", bit))
		}
	}
	return names
}

// String names the views, joined by plus signs, or is none.
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
