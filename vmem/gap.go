package vmem

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// A Gap is a loss: something that should be in an image and could not be read, or
// contradicts what surrounds it. It is an error, and wraps the reason. Gaps are values:
// errors.AsType[vmem.Gap] finds one in an error.
type Gap struct {
	Object string // what was lost, such as "image", "task list" or "args of task 812"
	Place  Place  // where reading broke off
	Err    error  // why
}

// NewGap returns the loss of object at place because of err. If err holds a Gap already,
// it returns that one. If err holds a [Fault], that says where reading broke off, and
// the address in place gives way to it.
func NewGap(object string, place Place, err error) Gap {
	if g, ok := errors.AsType[Gap](err); ok {
		return g
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		place = place.at(f)
	}
	return Gap{Object: object, Place: place, Err: err}
}

// Error returns the object, the place and the reason.
func (g Gap) Error() string {
	at := g.Place.String()
	if g.Object != "" && at != "" {
		at = " at " + at
	}
	return fmt.Sprintf("%s%s: %v", g.Object, at, g.Err)
}

// Unwrap returns Err.
func (g Gap) Unwrap() error { return g.Err }

// Reason returns the code of Err: see [ReasonOf].
func (g Gap) Reason() Reason { return ReasonOf(g.Err) }

// gapJSON is a Gap in JSON.
type gapJSON struct {
	Object string `json:"object"`
	placeJSON
	Reason Reason `json:"reason"`
	Error  string `json:"error"`
}

var _ = jsonx.Describe[Gap, gapJSON]()

// MarshalJSON returns an object with the members object, place (the kind), address, size,
// offset, pid, reason and error (the text). Of size, offset and pid those are left out
// that are zero; of none and image places the address is null. Where object or error is
// not UTF-8, objectBytes or errorBytes has it in base64.
func (g Gap) MarshalJSON() ([]byte, error) {
	j := gapJSON{Object: g.Object, placeJSON: g.Place.json(), Reason: g.Reason()}
	if g.Err != nil {
		j.Error = g.Err.Error()
	}
	return jsonx.Marshal(j)
}

// UnmarshalJSON takes what MarshalJSON gives. The Err that comes of it has the text and
// the reason of the one that was written, and [errors.Is] finds every sentinel with that
// reason in it.
func (g *Gap) UnmarshalJSON(b []byte) error {
	var j gapJSON
	if err := jsonx.Unmarshal(b, &j); err != nil {
		return err
	}
	*g = Gap{Object: j.Object, Place: j.place()}
	if j.Reason != "" || j.Error != "" {
		g.Err = RecordedError(j.Reason, j.Error)
	}
	return nil
}
