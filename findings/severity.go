package findings

import "fmt"

// A Severity is how bad a finding is if it is true.
type Severity uint8

// The severities.
const (
	Info     Severity = iota // worth knowing; nothing is wrong by itself
	Low                      // weakens the node, or is seldom wrong
	Medium                   // to be looked at
	High                     // wrong in all but known cases
	Critical                 // the node or a pod is not its owner's any more
)

// A Confidence is how sure a finding is.
type Confidence uint8

// The confidences.
const (
	Possible Confidence = iota // one sign, which other causes have as well
	Likely                     // other causes are known, and none was seen to apply
	Certain                    // the kernel's own account says it
)

var (
	severityNames   = []string{"info", "low", "medium", "high", "critical"}
	confidenceNames = []string{"possible", "likely", "certain"}
)

// String returns info, low, medium, high or critical.
func (s Severity) String() string { return nameOf(severityNames, s) }

// MarshalText returns what String does.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *Severity) UnmarshalText(b []byte) error { return fromName(severityNames, "severity", s, b) }

// String returns possible, likely or certain.
func (c Confidence) String() string { return nameOf(confidenceNames, c) }

// MarshalText returns what String does.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (c *Confidence) UnmarshalText(b []byte) error {
	return fromName(confidenceNames, "confidence", c, b)
}

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprint(uint8(v))
}

func fromName[T ~uint8](names []string, what string, v *T, b []byte) error {
	for i, name := range names {
		if name == string(b) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("findings: not a %s: %q", what, b)
}
