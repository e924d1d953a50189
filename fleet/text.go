package fleet

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text returns a string of any bytes as UTF-8 that loses nothing, as all text of a fleet's tables is: each byte that is not part of UTF-8 is \xNN, a backslash is
// \x5c, and NUL, which databases do not take, is \x00. Text of other systems is the same in it and outside.
func Text(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\\\x00") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == '\\' || r == 0 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
