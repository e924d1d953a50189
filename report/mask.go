package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

// Options say how a report is written. Nil stands for the zero value.
type Options struct {
	// Secrets has values of arguments and environments shown that look like secrets. By default they are replaced by how
	// long they are: pages and exports are passed on.
	Secrets bool
	// Title of the page; empty: the node's name.
	Title string
}

// A masker replaces what looks like a secret.
type masker struct {
	show bool
	n    int // how many values were hidden
}

func newMasker(opts *Options) *masker { return &masker{show: opts != nil && opts.Secrets} }

// secretName matches names of variables and flags whose values are secrets.
var secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|credential|cookie|api[-_]?key|access[-_]?key|private[-_]?key|session[-_]?key|auth(orization)?|dsn|bearer)$|(?i)(password|passwd|secret|api[-_]?key|access[-_]?key|private[-_]?key|credential)`)

// secretShape matches values that are secrets whatever they are called: JSON Web Tokens, private keys, keys of clouds and
// forges, and users with passwords in URLs.
var secretShape = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?|\b(AKIA|ASIA|GOOG1)[A-Z0-9]{12,}|\bAIza[\w-]{30,}|\b(ghp|gho|ghs|glpat|xox[abp])[-_][\w-]{16,}`)

// userOfURL matches the password in a URL.
var userOfURL = regexp.MustCompile(`(://[^/?#:@\s]*:)([^/?#@\s]+)(@)`)

// hidden says that a value of so many bytes is left out.
func (m *masker) hidden(value string) string {
	m.n++
	return fmt.Sprintf("[hidden, %d bytes]", len(value))
}

// shapes hides parts of a text that are secrets by their form.
func (m *masker) shapes(s string) string {
	if m.show {
		return s
	}
	if strings.Contains(s, "://") {
		s = userOfURL.ReplaceAllStringFunc(s, func(found string) string {
			parts := userOfURL.FindStringSubmatch(found)
			return parts[1] + m.hidden(parts[2]) + parts[3]
		})
	}
	return secretShape.ReplaceAllStringFunc(s, m.hidden)
}

// secret returns a variable of an environment as it is shown: one that the report hides says how long its value is.
func (m *masker) secret(s *cos.Secret) string {
	switch {
	case s.Value == nil:
		m.n++
		return fmt.Sprintf("%s=[hidden, %d bytes]", s.Name, s.Length)
	case s.Name == "": // it is no variable
		return m.shapes(*s.Value)
	}
	return m.variable(s.Name + "=" + *s.Value)
}

// variable hides the value of a variable of an environment.
func (m *masker) variable(s string) string {
	name, value, ok := strings.Cut(s, "=")
	if !m.show && ok && value != "" && secretName.MatchString(name) {
		return name + "=" + m.hidden(value)
	}
	return m.shapes(s)
}

// arguments hides values of flags: those of --flag=VALUE, and the argument after --flag.
func (m *masker) arguments(args []string) []string {
	if m.show {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case ok && value != "" && secretName.MatchString(name):
			args[i] = name + "=" + m.hidden(value)
		case i > 0 && isSecretFlag(args[i-1]) && !strings.HasPrefix(a, "-"):
			args[i] = m.hidden(a)
		default:
			args[i] = m.shapes(a)
		}
	}
	return args
}

// isSecretFlag reports whether an argument is a flag whose value, a secret, is the next one.
func isSecretFlag(a string) bool {
	return strings.HasPrefix(a, "-") && !strings.Contains(a, "=") && secretName.MatchString(a)
}
