package redact

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// secretStems and secretWords are what names of secrets have in them, anywhere or as a word of their own; plainWords are the last words of names whose values
// are none, such as those of files.
var (
	secretStems = [][]byte{[]byte("passw"), []byte("passphrase"), []byte("secret"), []byte("token"), []byte("credential"), []byte("apikey"), []byte("accesskey"),
		[]byte("privatekey"), []byte("authkey")}
	secretWords = setOf("pass", "passcode", "pwd", "pw", "passin", "passout", "auth", "authorization", "cookie", "dsn", "jwt", "bearer", "creds", "dbpass", "pgpass")
	plainWords  = setOf("file", "files", "path", "paths", "dir", "directory", "name", "names", "mode", "modes", "type", "types", "url", "uri", "issuer", "ttl", "id",
		"size", "length", "algorithm", "algorithms", "timeout", "duration", "expiration", "period", "interval", "enabled", "count", "class", "plugin", "provider",
		"method", "port", "host", "user", "username", "audience", "webhook", "version", "prefix", "namespace")
)

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// Sounds reports whether what has such a name is a secret by it: the name of a variable, an option, a header or a key. Of a long name the last 256
// bytes count.
func Sounds(name string) bool {
	var buf [maxName]byte
	whole, last, secret := buf[:0], 0, false // the words in small letters, and where the last begins
	for word := range wordsOf(shortName(name)) {
		last = len(whole)
		for i := range len(word) {
			whole = append(whole, lower(word[i]))
		}
		secret = secret || secretWords[string(whole[last:])]
	}
	switch {
	case plainWords[string(whole[last:])]:
		return false
	case secret || last > 0 && string(whole[last:]) == "key":
		return true
	}
	return slices.ContainsFunc(secretStems, func(stem []byte) bool { return bytes.Contains(whole, stem) })
}

// maxName is the longest name that is looked at and told, in bytes.
const maxName = 256

// shortName returns the end of a name that is too long.
func shortName(name string) string { return name[max(0, len(name)-maxName):] }

// wordsOf yields the words of a name: they end at what is no letter or digit, and where a capital follows a small letter.
func wordsOf(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin := 0
		for i := 0; i <= len(name); i++ {
			next := i // where a word begins that this one ends before
			switch {
			case i == len(name):
			case !isLetter(name[i]) && !isDigit(name[i]):
				next = i + 1
			case i == begin || !isUpper(name[i]) || !isLower(name[i-1]):
				continue
			}
			if i > begin && !yield(name[begin:i]) {
				return
			}
			begin = next
		}
	}
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }

func lower(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}

// isPlain reports whether a value is no secret whatever its name: what only says yes or no.
func isPlain(value string) bool {
	return value == "" || slices.ContainsFunc([]string{"true", "false", "yes", "no", "on", "off", "none"}, func(w string) bool { return strings.EqualFold(w, value) })
}

// namedSpans returns the values of NAME=VALUE, NAME: VALUE and --NAME VALUE whose name is that of a secret. Of an option or a variable
// that is the whole argument the value reaches to its end; in the midst of a text, such as a shell's, to its quote or the next blank.
func namedSpans(s string, shell bool) (all []Span) {
	for at := 0; at < len(s) && len(all) <= maxSpans; {
		i := strings.IndexAny(s[at:], "=: ")
		if i < 0 {
			break
		}
		i += at
		at = i + 1
		begin := i
		for begin > 0 && i-begin < maxName && isNameChar(s[begin-1]) {
			begin--
		}
		name := strings.Trim(s[begin:i], `"'-`)
		if name == "" || s[i] == ' ' && !strings.HasPrefix(s[begin:], "-") || !Sounds(name) {
			continue
		}
		from, end := valueOf(s, i, begin == 0 && !shell)
		if from < end && !isPlain(s[from:end]) && (s[i] != ' ' || s[from] != '-') {
			all = append(all, Span{from, end, name})
			at = max(at, end)
		}
	}
	return bounded(all, maxSpans, len(s))
}

func isNameChar(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '"' || c == '\''
}

// valueOf returns where the value is that follows the separator at i. whole says that the text is nothing but the name, the separator and the
// value.
func valueOf(s string, i int, whole bool) (from, end int) {
	from = i + 1
	for s[i] != '=' && from < len(s) && s[from] == ' ' {
		from++
	}
	if from == len(s) {
		return from, from
	}
	if q := s[from]; q == '"' || q == '\'' {
		if n := strings.IndexByte(s[from+1:], q); n >= 0 {
			return from + 1, from + 1 + n
		}
		return from + 1, len(s)
	}
	stops := " \t\n;|&\"'"
	switch {
	case whole && s[i] == '=':
		return from, len(s)
	case s[i] == ':': // a header or a line of YAML
		stops = "\r\n\"'"
	}
	if n := strings.IndexAny(s[from:], stops); n >= 0 {
		return from, from + n
	}
	return from, len(s)
}
