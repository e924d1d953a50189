package vmem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestGapText(t *testing.T) {
	lost := errors.New("lost")
	for want, g := range map[string]Gap{
		"image at file offset 0x9: lost":                                 {"image", ImagePlace(9), lost},
		"image at physical address 0x1000+0x2000, file offset 0x7: lost": {"image", PhysicalPlace(Range[PhysAddr]{0x1000, 0x2000}, 7), lost},
		"image at physical address 0x1000+0x20: lost":                    {"image", PhysicalPlace(Range[PhysAddr]{0x1000, 0x20}, 0), lost},
		"image at file offset 0x8: lost":                                 {"image", PhysicalPlace(Range[PhysAddr]{}, 8), lost},
		"task list at kernel address 0xffff888000000000: lost":           {"task list", KernelPlace(0xffff888000000000), lost},
		"args of task 8 at user address 0x7000 of PID 8: lost":           {"args of task 8", UserPlace(0x7000, 8), lost},
		"host name: lost": {"host name", Place{}, lost},
	} {
		if got := g.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNewGap(t *testing.T) {
	at := KernelPlace(0x1000)
	virtual, physical := &Fault{Virt: 0x1008, Err: ErrSwapped}, &Fault{Phys: 0x20, Err: ErrSwapped}
	inner := Gap{"list", KernelPlace(0x10), ErrNotPresent}
	for name, test := range map[string]struct {
		place Place
		err   error
		want  Gap
	}{
		"a gap stays":               {at, fmt.Errorf("node: %w", inner), inner},
		"no fault":                  {at, ErrBadEntry, Gap{"o", at, ErrBadEntry}},
		"a virtual fault":           {at, virtual, Gap{"o", KernelPlace(0x1008), virtual}},
		"of a process":              {UserPlace(0x10, 8), virtual, Gap{"o", UserPlace(0x1008, 8), virtual}},
		"a physical one":            {Place{}, physical, Gap{"o", Place{Kind: InPhysical, Addr: 0x20}, physical}},
		"a physical one on the way": {at, physical, Gap{"o", at, physical}},
	} {
		if diff := cmp.Diff(test.want, NewGap("o", test.place, test.err), cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReasonOf(t *testing.T) {
	truncated := NewReason("truncated", "ends early")
	_, missing := os.Open("missing")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want, all := range map[Reason][]error{
		"":              {nil},
		"not-present":   {ErrNotPresent, &Fault{Err: ErrNotPresent}, Gap{Err: ErrNotPresent}, fmt.Errorf("a: %w", Gap{Err: &Fault{Err: ErrNotPresent}})},
		"truncated":     {truncated, fmt.Errorf("%w: %w", ErrNotCaptured, truncated), fmt.Errorf("%w: %w", truncated, ErrNotPresent)},
		"not-captured":  {ErrNotCaptured, fmt.Errorf("%w: %w", ErrNotCaptured, errors.New("text"))},
		"input-output":  {io.ErrUnexpectedEOF, io.EOF, missing, fs.ErrNotExist, fmt.Errorf("%w: %w", ErrNotCaptured, io.ErrUnexpectedEOF)},
		"canceled":      {ended.Err(), context.DeadlineExceeded, fmt.Errorf("a: %w", ended.Err())},
		"other":         {errors.New("text"), fmt.Errorf("a: %w", errors.New("b"))},
		"special-entry": {RecordedError("special-entry", "text"), Gap{Err: RecordedError("special-entry", "text")}},
	} {
		for _, err := range all {
			if err == fs.ErrNotExist { //nolint:errorlint // itself, not what wraps it
				continue // no more than a word of the standard library
			}
			if got := ReasonOf(err); got != want {
				t.Errorf("%v: %q, want %q", err, got, want)
			}
		}
	}
}

func TestGapJSON(t *testing.T) {
	gaps := []Gap{
		{"image", PhysicalPlace(Range[PhysAddr]{0x1000, 0x2000}, 7), ErrNotCaptured},
		{"image", ImagePlace(9), io.ErrUnexpectedEOF},
		{"list", KernelPlace(0xffff888000000000), &Fault{Virt: 0xffff888000000000, Err: ErrSwapped}},
		{"args", UserPlace(0x7000, 8), errors.New("text")},
		{Object: "nothing"},
	}
	const want = `[` +
		`{"object":"image","place":"physical","address":"0x1000","size":8192,"offset":7,"reason":"not-captured","error":"not captured"},` +
		`{"object":"image","place":"image","address":null,"offset":9,"reason":"input-output","error":"unexpected EOF"},` +
		`{"object":"list","place":"kernel","address":"0xffff888000000000","reason":"swapped","error":"vmem: physical 0x0: swapped out"},` +
		`{"object":"args","place":"user","address":"0x7000","pid":8,"reason":"other","error":"text"},` +
		`{"object":"nothing","place":"none","address":null,"reason":"","error":""}]`
	text, err := json.Marshal(gaps)
	if err != nil || string(text) != want {
		t.Fatalf("%v, got:\n%s\nwant:\n%s", err, text, want)
	}
	var values []Gap
	var pointers []*Gap
	for _, into := range []any{&values, &pointers} {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(into); err != nil || string(again) != want {
			t.Errorf("%v, read and written again:\n%s", err, again)
		}
	}
	for i, g := range values {
		if g.Object != gaps[i].Object || g.Place != gaps[i].Place || g.Error() != gaps[i].Error() || g.Reason() != gaps[i].Reason() {
			t.Errorf("gap %v, want %v", g, gaps[i])
		}
		for _, reason := range []error{ErrNotCaptured, ErrSwapped, ErrNotPresent} {
			if errors.Is(g, reason) != errors.Is(gaps[i], reason) {
				t.Errorf("gap %v read back: is %v %v", gaps[i], reason, errors.Is(g, reason))
			}
		}
	}
}

func TestGapJSONRefuses(t *testing.T) {
	for _, text := range []string{`[]`, `{"place":"nowhere"}`, `{"place":"kernel","address":"x"}`, `{"offset":"x"}`} {
		if err := json.Unmarshal([]byte(text), new(Gap)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

func TestPlaceJSON(t *testing.T) {
	for _, p := range []Place{{}, ImagePlace(0), KernelPlace(0), UserPlace(1, 2), PhysicalPlace(Range[PhysAddr]{0, 1}, 3)} {
		var got Place
		b, err := json.Marshal(&p)
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil || got != p {
			t.Errorf("%s: %v, %v, want %v", b, got, err, p)
		}
	}
}
