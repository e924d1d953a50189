package table

// Heading is the mark of headings.
const Heading Mark = -1

// style returns the parameters of SGR (ECMA-48) for a mark; none without color.
func style(m Mark, color bool) string {
	if !color {
		return ""
	}
	switch m {
	case Heading:
		return "1" // bold
	case Faint:
		return "2"
	case Notice:
		return "33" // yellow
	case Alert:
		return "1;31" // bold red
	}
	return ""
}

// paint returns a line in a style.
func paint(s, sgr string) string {
	if sgr == "" || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[m"
}

// Paint returns a line as its mark has it, where color is wanted.
func Paint(s string, m Mark, color bool) string { return paint(s, style(m, color)) }
