package text

import "strings"

// Message returns the text of an error as [Line] has it. Errors that were joined stand
// behind one another, set apart by semicolons.
func Message(err error) string { return Line(oneLine(err)) }

// oneLine returns the text of an error in which the line breaks of joined errors are gone.
// Line breaks that are part of a name stay: they are not the tool's.
func oneLine(err error) string {
	message := err.Error()
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return strings.Replace(message, inner.Error(), oneLine(inner), 1)
		}
	case interface{ Unwrap() []error }:
		var lines, parts []string
		for _, inner := range e.Unwrap() {
			lines = append(lines, inner.Error())
			parts = append(parts, oneLine(inner))
		}
		if message == strings.Join(lines, "\n") {
			return strings.Join(parts, "; ")
		}
		for i := range lines {
			message = strings.Replace(message, lines[i], parts[i], 1)
		}
	}
	return message
}
