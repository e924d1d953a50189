package findings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"go.yaml.in/yaml/v3"
)

// ErrAllow says that a text is no allow list.
var ErrAllow = errors.New("not an allow list")

// maxAllow bounds the text of an allow list, in bytes.
const maxAllow = 1 << 20

// An AllowList accepts findings: they stay, as accepted, with who says so.
type AllowList struct {
	entries []allowEntry
}

// An Acceptance is why a finding is accepted.
type Acceptance struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"` // zero: for ever
}

// An allowEntry is an entry of an allow list. Patterns are those of path.Match, but that * goes over slashes; an empty one
// takes everything.
type allowEntry struct {
	Rule      string `yaml:"rule"`
	Image     string `yaml:"image"`
	Namespace string `yaml:"namespace"`
	Pod       string `yaml:"pod"`
	Object    string `yaml:"object"`
	Expires   string `yaml:"expires"` // a day, as 2026-12-31: the last on which it counts, in UTC
	Reason    string `yaml:"reason"`

	until time.Time
}

// ParseAllowList reads an allow list in YAML:
//
//	accept:
//	- rule: pod-host-path-writable
//	  namespace: logging
//	  image: registry.example/agent:*
//	  expires: 2027-03-31
//	  reason: the log agent writes its position; reviewed by platform team
//
// Each entry needs a rule and a reason, and says more by at least one of image, namespace, pod and object. Patterns have *
// for any text and ? for any character. The error wraps ErrAllow.
func ParseAllowList(b []byte) (*AllowList, error) {
	if len(b) > maxAllow {
		return nil, fmt.Errorf("findings: %w: %d bytes", ErrAllow, len(b))
	}
	var file struct {
		Accept []allowEntry `yaml:"accept"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("findings: %w: %w", ErrAllow, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("findings: %w: more than one document", ErrAllow)
	}
	for i := range file.Accept {
		if err := file.Accept[i].complete(); err != nil {
			return nil, fmt.Errorf("findings: %w: entry %d: %w", ErrAllow, i+1, err)
		}
	}
	return &AllowList{file.Accept}, nil
}

// complete checks an entry.
func (e *allowEntry) complete() error {
	switch {
	case e.Rule == "":
		return errors.New("it names no rule")
	case e.Reason == "":
		return errors.New("it gives no reason")
	case e.Image == "" && e.Namespace == "" && e.Pod == "" && e.Object == "":
		return errors.New("it accepts everything: it needs an image, a namespace, a pod or an object")
	}
	for _, pattern := range []string{e.Rule, e.Image, e.Namespace, e.Pod, e.Object} {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%q: %w", pattern, err)
		}
	}
	if e.Expires == "" {
		return nil
	}
	day, err := time.Parse(time.DateOnly, e.Expires)
	if err != nil {
		return fmt.Errorf("expires: %w", err)
	}
	e.until = day.AddDate(0, 0, 1)
	return nil
}

// accept marks the findings that the list accepts.
func (l *AllowList) accept(all []Finding, now time.Time) {
	if l == nil {
		return
	}
	for i := range all {
		for k := range l.entries {
			if e := &l.entries[k]; e.takes(&all[i]) && (e.until.IsZero() || now.Before(e.until)) {
				all[i].Accepted = &Acceptance{e.Reason, e.until}
				break
			}
		}
	}
}

// takes reports whether a finding is of the entry. A finding without an image, a namespace or a pod is of none that names one.
func (e *allowEntry) takes(f *Finding) bool {
	return matches(e.Rule, f.Rule) && matches(e.Image, f.Subject.Image) && matches(e.Namespace, f.Subject.Namespace) &&
		matches(e.Pod, f.Subject.Pod) && matches(e.Object, f.Object)
}

// matches is path.Match for text that may have slashes.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	if s == "" {
		return false
	}
	flat := func(s string) string { return string(bytes.ReplaceAll([]byte(s), []byte("/"), []byte{0})) }
	ok, err := path.Match(flat(pattern), flat(s))
	return ok && err == nil
}
