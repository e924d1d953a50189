package network

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An enum is an integer of the kernel's that prints under a name.
type enum interface{ ~uint8 | ~uint16 | ~uint32 }

// nameOf returns the name of a value, or the value in digits where it has none.
func nameOf[T enum](names map[T]string, v T) string {
	if name, ok := names[v]; ok {
		return name
	}
	return strconv.FormatUint(uint64(v), 10)
}

// parseName sets v to the value that nameOf gives this text for.
func parseName[T enum](names map[T]string, text []byte, v *T) error {
	for value, name := range names {
		if name == string(text) {
			*v = value
			return nil
		}
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || uint64(T(n)) != n || names[T(n)] != "" {
		return fmt.Errorf("network: unknown name %q", text)
	}
	*v = T(n)
	return nil
}

// A bit is a flag and its name.
type bit struct {
	value uint32
	name  string
}

// bitNames returns the names of the flags in v in the order of bits. Those without a name
// are one hexadecimal number at the end.
func bitNames(bits []bit, v uint32) []string {
	names := []string{}
	for _, b := range bits {
		if v&b.value != 0 {
			names = append(names, b.name)
			v &^= b.value
		}
	}
	if v != 0 {
		names = append(names, fmt.Sprintf("%#x", v))
	}
	return names
}

// parseBits returns the flags of which bitNames gives the names.
func parseBits(bits []bit, names []string) (v uint32, err error) {
	for _, name := range names {
		i := slices.IndexFunc(bits, func(b bit) bool { return b.name == name })
		if i >= 0 {
			v |= bits[i].value
			continue
		}
		digits, ok := strings.CutPrefix(name, "0x")
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || !ok {
			return 0, fmt.Errorf("network: unknown flag %q", name)
		}
		v |= uint32(n)
	}
	return v, nil
}

// unmarshalBits is parseBits of a JSON array.
func unmarshalBits(bits []bit, b []byte) (uint32, error) {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return 0, err
	}
	return parseBits(bits, names)
}

// Family is an address family of the Internet protocols, as `ip` prints it.
type Family uint16

// The families (include/linux/socket.h).
const (
	Inet  Family = 2
	Inet6 Family = 10
)

var familyNames = map[Family]string{
	0: "unspec", Inet: "inet", Inet6: "inet6", 7: "bridge", 12: "decnet", 17: "packet", 28: "mpls", 128: "ipmr", 129: "ip6mr",
}

// String returns the name of the family, such as inet6.
func (f Family) String() string { return nameOf(familyNames, f) }

// MarshalText returns what String does.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (f *Family) UnmarshalText(b []byte) error { return parseName(familyNames, b, f) }

// Scope is how far an address or a route reaches (rt_scope_t).
type Scope uint8

var scopeNames = map[Scope]string{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

// String returns the name that `ip` has for the scope.
func (s Scope) String() string { return nameOf(scopeNames, s) }

// MarshalText returns what String does.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *Scope) UnmarshalText(b []byte) error { return parseName(scopeNames, b, s) }
