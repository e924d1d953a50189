// Package redact finds what in arguments, environments and other texts is a secret: by the name that it has, by how it looks, or
// because it is the value of a variable that has such a name.
package redact

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Span is a part of a text that is a secret, or may be one.
type Span struct {
	Start, End int    // in bytes; the end is not in it
	Name       string // what it is by its name or its looks
}

// Args returns the secrets in arguments of a program, of each argument by where they are. env is the environment that goes with
// them, for Kubernetes writes variables into arguments.
func Args(args, env []string) [][]Span {
	known := secretsOf(env)
	all := make([][]Span, len(args))
	for i, a := range args {
		spans := secretSpans(a, known, i > 0 && isShellOption(args[i-1]))
		if i > 0 {
			spans = append(spans, optionSpans(args, i)...)
		}
		all[i] = join(spans)
	}
	return all
}

// Text returns the secrets in a text, by where they are. shell says that it has words as a shell has them.
func Text(text string, shell bool) []Span { return join(secretSpans(text, nil, shell)) }

// A variable is one of an environment.
type variable struct{ name, value string }

// secretStems and secretWords are what names of secrets have in them, anywhere or as a word of their own; plainWords are the last words of names whose values
// are none, such as those of files.
var (
	secretStems = []string{"passw", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey", "authkey"}
	secretWords = []string{"pass", "passcode", "pwd", "pw", "passin", "passout", "auth", "authorization", "cookie", "dsn", "jwt", "bearer", "creds", "dbpass", "pgpass"}
	plainWords  = []string{"file", "files", "path", "paths", "dir", "directory", "name", "names", "mode", "modes", "type", "types", "url", "uri", "issuer", "ttl", "id",
		"size", "length", "algorithm", "algorithms", "timeout", "duration", "expiration", "period", "interval", "enabled", "count", "class", "plugin", "provider",
		"method", "port", "host", "user", "username", "audience", "webhook", "version", "prefix", "namespace"}
)

// Sounds reports whether what has such a name is a secret by it: the name of a variable, an option, a header or a key.
func Sounds(name string) bool {
	words := wordsOf(name)
	if len(words) == 0 || slices.Contains(plainWords, words[len(words)-1]) {
		return false
	}
	for i, w := range words {
		if slices.Contains(secretWords, w) || w == "key" && i > 0 && i == len(words)-1 {
			return true
		}
	}
	whole := strings.Join(words, "")
	return slices.ContainsFunc(secretStems, func(stem string) bool { return strings.Contains(whole, stem) })
}

// maxName is the longest name that is looked at, in bytes.
const maxName = 256

// wordsOf returns the words of a name in lower case: they end at what is no letter or digit, and where a capital follows a small letter.
func wordsOf(name string) (words []string) {
	name = name[max(0, len(name)-maxName):]
	begin := 0
	end := func(at int) {
		if at > begin {
			words = append(words, strings.ToLower(name[begin:at]))
		}
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case !isLetter(c) && !isDigit(c):
			end(i)
			begin = i + 1
		case i > begin && isUpper(c) && isLower(name[i-1]):
			end(i)
			begin = i
		}
	}
	end(len(name))
	return words
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }

// isPlain reports whether a value is no secret whatever its name: what only says yes or no.
func isPlain(value string) bool {
	return value == "" || slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "none"}, strings.ToLower(value))
}

// A shape is how a secret of one kind looks. sign is in every text that has one; group is what of a match is the secret.
type shape struct {
	name, sign string
	expr       *regexp.Regexp
	group      int
	alone      bool // it needs no more to be known for one
}

var shapes = []shape{
	{"JSON web token", "eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), 0, true},
	{"private key", "PRIVATE KEY-----", regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), 0, true},
	{"password of a URL", "://", regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"']*:([^\s/@"']+)@`), 1, false},
	{"bearer token", "earer ", regexp.MustCompile(`[Bb]earer +([A-Za-z0-9._~+/=-]{8,})`), 1, false},
	{"basic authorization", "asic ", regexp.MustCompile(`[Bb]asic +([A-Za-z0-9+/=_-]{8,})`), 1, false},
	{"token of GitHub", "gh", regexp.MustCompile(`gh[pousr]_[A-Za-z0-9]{30,}`), 0, true},
	{"token of GitLab", "glpat-", regexp.MustCompile(`glpat-[A-Za-z0-9_-]{16,}`), 0, true},
	{"token of Slack", "xox", regexp.MustCompile(`xox[abeoprs]-[A-Za-z0-9-]{10,}`), 0, true},
	{"key of Google", "AIza", regexp.MustCompile(`AIza[A-Za-z0-9_-]{35}`), 0, true},
	{"token of Google", "ya29.", regexp.MustCompile(`ya29\.[A-Za-z0-9_-]{20,}`), 0, true},
}

// Looks reports whether a text has something in it that is a private key or a token by its form alone.
func Looks(text string) bool {
	return slices.ContainsFunc(shapes, func(h shape) bool { return h.alone && strings.Contains(text, h.sign) && h.expr.MatchString(text) })
}

// secretSpans returns what in a text is a secret: by the name before it, by how it looks, or because it is one of the known. shell says that it is
// a text of a shell.
func secretSpans(s string, known []variable, shell bool) []Span {
	all := namedSpans(s, shell)
	for _, h := range shapes {
		if !strings.Contains(s, h.sign) {
			continue
		}
		for _, m := range h.expr.FindAllStringSubmatchIndex(s, -1) {
			all = append(all, Span{m[2*h.group], m[2*h.group+1], h.name})
		}
	}
	for _, k := range known {
		for at := 0; ; {
			i := strings.Index(s[at:], k.value)
			if i < 0 {
				break
			}
			all = append(all, Span{at + i, at + i + len(k.value), k.name})
			at += i + len(k.value)
		}
	}
	return all
}

// namedSpans returns the values of NAME=VALUE, NAME: VALUE and --NAME VALUE whose name is that of a secret. Of an option or a variable
// that is the whole argument the value reaches to its end; in the midst of a text, such as a shell's, to its quote or the next blank.
func namedSpans(s string, shell bool) (all []Span) {
	for at := 0; at < len(s); {
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
	return all
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

// secretOptions are options of programs whose value is a secret although their name does not say so: written together with it, or before it.
var secretOptions = map[string][]string{
	"mysql": {"-p"}, "mysqldump": {"-p"}, "mysqladmin": {"-p"}, "mariadb": {"-p"}, "mariadb-dump": {"-p"}, "mariadb-admin": {"-p"}, "mongosh": {"-p"}, "mongo": {"-p"},
	"sshpass": {"-p"}, "redis-cli": {"-a"}, "curl": {"-u", "-U", "--user", "--proxy-user", "-b"}, "ldapsearch": {"-w"}, "ldapadd": {"-w"}, "ldapmodify": {"-w"}, "smbclient": {"-U"},
	"docker": {"-p"}, "podman": {"-p"}, "crictl": {"--creds", "--auth"}, "ctr": {"--user", "-u"}, "openssl": {"-K"},
}

// optionSpans returns what of argument i is a secret by the argument before it, or by the program.
func optionSpans(args []string, i int) []Span {
	a, before := args[i], args[i-1]
	if a == "" {
		return nil
	}
	if name := strings.TrimLeft(before, "-"); i > 1 && name != before && !strings.ContainsAny(name, "=: ") && a[0] != '-' && Sounds(name) && !isPlain(a) {
		return []Span{{0, len(a), name}}
	}
	for _, o := range secretOptions[path.Base(args[0])] {
		switch {
		case i > 1 && before == o && a[0] != '-':
			return []Span{{0, len(a), o}}
		case len(o) == 2 && len(a) > 2 && strings.HasPrefix(a, o) && a[1] != '-':
			return []Span{{2, len(a), o}}
		}
	}
	return nil
}

// Bounds of what is known of one environment: how many values, and how long the shortest is.
const (
	maxKnown   = 64
	leastKnown = 6
)

// secretsOf returns the variables of an environment whose names are those of secrets, the longest values first: others may be a part of them.
func secretsOf(env []string) (all []variable) {
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if ok && len(value) >= leastKnown && Sounds(name) && !isPlain(value) {
			all = append(all, variable{name, value})
		}
	}
	slices.SortStableFunc(all, func(a, b variable) int { return cmp.Compare(len(b.value), len(a.value)) })
	return all[:min(len(all), maxKnown)]
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

// isShellOption reports whether the argument behind an option is a text that a shell runs, as behind -c and -ec.
func isShellOption(a string) bool {
	return len(a) >= 2 && len(a) <= 8 && a[0] == '-' && a[1] != '-' && a[len(a)-1] == 'c'
}
