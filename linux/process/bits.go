package process

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
)

// bitNames returns the names of the bits that are set, and the number of one without a name.
func bitNames(v uint64, names []string) []string {
	found := []string{}
	for ; v != 0; v &= v - 1 {
		n := bits.TrailingZeros64(v)
		if n < len(names) && names[n] != "" {
			found = append(found, names[n])
		} else {
			found = append(found, fmt.Sprintf("bit %d", n))
		}
	}
	return found
}

func marshalBits(v uint64, names []string) ([]byte, error) { return json.Marshal(bitNames(v, names)) }

func unmarshalBits(b []byte, names []string) (v uint64, err error) {
	var found []string
	if err := json.Unmarshal(b, &found); err != nil {
		return 0, err
	}
	for _, name := range found {
		n := slices.Index(names, name)
		if n < 0 {
			if _, err := fmt.Sscanf(name, "bit %d", &n); err != nil || n < 0 || n > 63 {
				return 0, fmt.Errorf("process: no name of a bit: %q", name)
			}
		}
		v |= 1 << n
	}
	return v, nil
}
