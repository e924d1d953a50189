package isf

// malformed are files that are JSON, but not ISF in some places.
var malformed = []struct {
	name, sections string
	paths          []string // what is left out
	complaint      string   // of the first
}{}
