package text

import (
	"errors"
	"fmt"
	"testing"
)

func TestMessage(t *testing.T) {
	one, two, name := errors.New("one"), errors.New("two"), errors.New("open a\nb\x1b: no")
	for want, err := range map[string]error{
		`struct "a\x1b": \u202e\`:     errors.New("struct \"a\\x1b\": \u202e\\"),
		"one":                         one,
		"one; two":                    errors.Join(one, two),
		`open a\nb\x1b: no`:           name,
		`cos: open a\nb\x1b: no; one`: fmt.Errorf("cos: %w", errors.Join(name, one)),
		"x: one; two; one (more)":     fmt.Errorf("x: %w (more)", errors.Join(errors.Join(one, two), one)),
		"one; two, and one":           fmt.Errorf("%w, and %w", errors.Join(one, two), one),
		"one only":                    fmt.Errorf("%w only", errors.Join(one)),
	} {
		if got := Message(err); got != want {
			t.Errorf("%q: %s, want %s", err, got, want)
		}
	}
}
