package process

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// Capabilities are a set of capabilities, a bit for each by its number (include/uapi/linux/capability.h).
// In JSON it is the array of their names, or the text "all" for all that a kernel has.
type Capabilities uint64

// capabilityNames are the names of capabilities by number, as capsh and container runtimes have them.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
	"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// AllCapabilities are those that kernels since 5.9 have.
const AllCapabilities Capabilities = 1<<len(capabilityNames) - 1

// capabilities decodes a kernel_cap_t.
func capabilities(b [8]byte) Capabilities { return Capabilities(binary.LittleEndian.Uint64(b[:])) }

// Has reports whether the set has the capability of a number.
func (c Capabilities) Has(n int) bool { return n >= 0 && n < 64 && c>>n&1 != 0 }

// Names returns the names by ascending number; one without a name is its number.
func (c Capabilities) Names() []string {
	names := []string{}
	for ; c != 0; c &= c - 1 {
		n := bits.TrailingZeros64(uint64(c))
		if n < len(capabilityNames) {
			names = append(names, capabilityNames[n])
		} else {
			names = append(names, fmt.Sprintf("%d", n))
		}
	}
	return names
}

// String returns the set as /proc/PID/status shows it: 16 hexadecimal digits.
func (c Capabilities) String() string { return fmt.Sprintf("%016x", uint64(c)) }

var _ = jsonx.Describe[Capabilities, jsonx.Either[[]string, string]]()

// MarshalJSON returns the names as an array, or "all".
func (c Capabilities) MarshalJSON() ([]byte, error) {
	if c == AllCapabilities {
		return []byte(`"all"`), nil
	}
	return json.Marshal(c.Names())
}

// UnmarshalJSON takes what MarshalJSON gives.
func (c *Capabilities) UnmarshalJSON(b []byte) error {
	if string(b) == `"all"` {
		*c = AllCapabilities
		return nil
	}
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*c = 0
	for _, name := range names {
		n, err := capabilityNumber(name)
		if err != nil {
			return err
		}
		*c |= 1 << n
	}
	return nil
}

// capabilityNumber returns the number of a capability by what Names calls it.
func capabilityNumber(name string) (n int, err error) {
	for n, known := range capabilityNames {
		if name == known {
			return n, nil
		}
	}
	if _, err = fmt.Sscanf(name, "%d", &n); err != nil || n < 0 || n > 63 {
		return 0, fmt.Errorf("process: no capability %q", name)
	}
	return n, nil
}
