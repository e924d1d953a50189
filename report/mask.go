package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/redact"
)

// Options say how a report is written. Nil stands for the zero value.
type Options struct {
	// Secrets has values shown that may be secrets, where the report has them: [cos.Options].Secrets. By default what is written says
	// how long they are, and no more: pages and exports are passed on.
	Secrets bool
	// Title of the page; empty: the node's name.
	Title string
}

// A masker leaves out what may be a secret.
type masker struct {
	show bool
	n    int // how many values are hidden
}

func newMasker(opts *Options) *masker { return &masker{show: opts != nil && opts.Secrets} }

// hidden says that a value of so many bytes is left out.
func (m *masker) hidden(length int) string {
	m.n++
	return fmt.Sprintf("[hidden, %d bytes]", length)
}

// shapes hides parts of a text that are secrets by their form.
func (m *masker) shapes(s string) string {
	if m.show {
		return s
	}
	return m.without(s, redact.Text(s, false))
}

func (m *masker) without(s string, spans []redact.Span) string {
	if len(spans) == 0 {
		return s
	}
	var out strings.Builder
	at := 0
	for _, p := range spans {
		out.WriteString(s[at:p.Start])
		out.WriteString(m.hidden(p.End - p.Start))
		at = p.End
	}
	out.WriteString(s[at:])
	return out.String()
}

// secret returns a variable of an environment as a page has it.
func (m *masker) secret(s *cos.Secret) string {
	var value string
	if s = m.seal(s); s.Value == nil {
		value = m.hidden(s.Length)
	} else {
		value = *s.Value
	}
	if s.Name == "" { // it is no variable
		return value
	}
	return s.Name + "=" + value
}

// seal returns a value without what may be a secret.
func (m *masker) seal(s *cos.Secret) *cos.Secret {
	if m.show || s.Value == nil || s.Length == 0 || s.Name != "" && !redact.Sounds(s.Name) && len(redact.Text(*s.Value, false)) == 0 {
		return s
	}
	out := *s
	out.Value = nil
	return &out
}

// arguments returns those of a program likewise. What the report hides is hidden in them already.
func (m *masker) arguments(args []string) []string {
	if m.show {
		return args
	}
	all := redact.Args(args, nil)
	if !slices.ContainsFunc(all, func(s []redact.Span) bool { return len(s) > 0 }) {
		return args
	}
	args = slices.Clone(args)
	for i, spans := range all {
		args[i] = m.without(args[i], spans)
	}
	return args
}

// argSecrets returns what arguments hide, without the values.
func (m *masker) argSecrets(all []cos.ArgSecret) []cos.ArgSecret {
	all = slices.Clone(all)
	for i := range all {
		all[i].Value = nil
	}
	return all
}
