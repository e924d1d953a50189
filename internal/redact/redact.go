// Package redact finds what in arguments, environments and other texts is a secret: by the name that it has, by how it looks, or
// because it is the value of a variable that has such a name.
//
// Who writes such a text may want it to cost much. So each byte of it is looked at a bounded number of times, and of what has more secrets
// than anyone's own text has the rest is taken for one.
package redact

import (
	"cmp"
	"slices"
)

// A Span is a part of a text that is a secret, or may be one.
type Span struct {
	Start, End int    // in bytes; the end is not in it
	Name       string // what it is by its name or its looks, of a long name the last 256 bytes
}

// maxSpans is how many secrets of a kind a text may have, and all the arguments of one program together, that each are a span of their own. The last
// reaches to the end of the text.
const maxSpans = 1024

// Args returns the secrets in arguments of a program, of each argument by where they are. env is the environment that goes with
// them, for Kubernetes writes variables into arguments.
func Args(args, env []string) [][]Span {
	known, program := newFinder(secretsOf(env)), newCommand(args)
	all := make([][]Span, len(args))
	left := maxSpans
	for i, a := range args {
		spans := secretSpans(a, known, i > 0 && isShellOption(args[i-1]))
		all[i] = bounded(join(append(spans, program.spans(i)...)), max(left, 1), len(a))
		left -= len(all[i])
	}
	return all
}

// Text returns the secrets in a text, by where they are. shell says that it has words as a shell has them.
func Text(text string, shell bool) []Span {
	return bounded(join(secretSpans(text, nil, shell)), maxSpans, len(text))
}

// secretSpans returns what in a text is a secret: by the name before it, by how it looks, or because it is one of the known. shell says that it is
// a text of a shell.
func secretSpans(s string, known *finder, shell bool) []Span {
	return slices.Concat(namedSpans(s, shell), shapeSpans(s), known.spans(s))
}

// bounded returns the first spans of a text of so many bytes. Where there are more, the last of them reaches to its end.
func bounded(spans []Span, most, size int) []Span {
	if len(spans) <= most {
		return spans
	}
	spans[most-1].End = size
	return slices.Clip(spans[:most])
}

// join sorts spans, and makes one of those that overlap, with the name of the first.
func join(all []Span) (joined []Span) {
	slices.SortStableFunc(all, func(a, b Span) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End)) })
	for _, s := range all {
		if n := len(joined); n > 0 && s.Start < joined[n-1].End {
			joined[n-1].End = max(joined[n-1].End, s.End)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}
