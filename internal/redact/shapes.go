package redact

import (
	"slices"
	"strings"
)

// A shape is how a secret of one kind looks: a sign, and behind it runs of bytes. What follows a run is none of its bytes, so that there is one way
// to read a text. And where a run ends too soon, it does so for any sign that is in it or in a run before it, too: no more of a text is
// read twice than a sign is long.
type shape struct {
	name   string
	sign   string
	before func(text string) bool // what has to be before the sign; nil: anything
	runs   []run
	secret int  // the run that the secret is; -1: all of it, with the sign
	alone  bool // it needs no more to be known for one
}

// A run is from least to most bytes of a set; most 0 is no bound.
type run struct {
	set         *set
	least, most int
}

// A set is one of bytes.
type set [256]bool

// in returns the bytes of a string, where "a-z" stands for those from a to z. A "-" that stands for itself is the last.
func in(chars string) *set {
	var s set
	for len(chars) > 0 {
		first, last, n := chars[0], chars[0], 1
		if len(chars) >= 3 && chars[1] == '-' {
			last, n = chars[2], 3
		}
		for c := int(first); c <= int(last); c++ {
			s[c] = true
		}
		chars = chars[n:]
	}
	return &s
}

// not returns the bytes that a string has not.
func not(chars string) *set {
	s := in(chars)
	for i := range s {
		s[i] = !s[i]
	}
	return s
}

var (
	word   = in("A-Za-z0-9_-") // base64url
	user   = not("\t\n\f\r /:@\"'")
	passwd = not("\t\n\f\r /@\"'")
)

// one is a byte that has to be there.
func one(chars string) run { return run{in(chars), 1, 1} }

var shapes = append(gitHub("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), []shape{
	{name: "JSON web token", sign: "eyJ", runs: []run{{word, 8, 0}, one("."), {word, 8, 0}, one("."), {word, 0, 0}}, secret: -1, alone: true},
	{name: "password of a URL", sign: "://", before: isScheme, runs: []run{{user, 0, 0}, one(":"), {passwd, 1, 0}, one("@")}, secret: 2},
	{name: "bearer token", sign: "earer ", before: endsIn("Bb"), runs: []run{{in(" "), 0, 0}, {in("A-Za-z0-9._~+/=-"), 8, 0}}, secret: 1},
	{name: "basic authorization", sign: "asic ", before: endsIn("Bb"), runs: []run{{in(" "), 0, 0}, {in("A-Za-z0-9+/=_-"), 8, 0}}, secret: 1},
	{name: "token of GitLab", sign: "glpat-", runs: []run{{word, 16, 0}}, secret: -1, alone: true},
	{name: "token of Slack", sign: "xox", runs: []run{one("abeoprs"), one("-"), {in("A-Za-z0-9-"), 10, 0}}, secret: -1, alone: true},
	{name: "key of Google", sign: "AIza", runs: []run{{word, 35, 35}}, secret: -1, alone: true},
	{name: "token of Google", sign: "ya29.", runs: []run{{word, 20, 0}}, secret: -1, alone: true},
}...)

func gitHub(signs ...string) (all []shape) {
	for _, sign := range signs {
		all = append(all, shape{name: "token of GitHub", sign: sign, runs: []run{{in("A-Za-z0-9"), 30, 0}}, secret: -1, alone: true})
	}
	return all
}

// isScheme reports whether a text ends in the scheme of a URL, of which no more than 64 bytes are looked at.
func isScheme(text string) bool {
	for i := len(text) - 1; i >= max(0, len(text)-64); i-- {
		switch c := text[i]; {
		case isLetter(c):
			return true
		case !isDigit(c) && c != '+' && c != '.' && c != '-':
			return false
		}
	}
	return false
}

// endsIn returns what reports whether a text ends in one of some bytes.
func endsIn(chars string) func(string) bool {
	return func(text string) bool { return text != "" && strings.IndexByte(chars, text[len(text)-1]) >= 0 }
}

// find returns the first text of a shape that begins at from or behind it, and what of it is the secret. end is where to look for the next, len(s) if there
// is none.
func (h *shape) find(s string, from int) (secret Span, end int, ok bool) {
	for from < len(s) {
		i := strings.Index(s[from:], h.sign)
		if i < 0 {
			break
		}
		i += from
		secret, end, ok := h.match(s, i)
		if ok && (h.before == nil || h.before(s[:i])) {
			return secret, end, true
		}
		from = max(i+1, end-len(h.sign)+1)
	}
	return Span{}, len(s), false
}

// match reads the runs behind the sign at i. end is behind the last of them that is there.
func (h *shape) match(s string, i int) (secret Span, end int, ok bool) {
	end = i + len(h.sign)
	for n, r := range h.runs {
		begin := end
		for end < len(s) && r.set[s[end]] && (r.most == 0 || end-begin < r.most) {
			end++
		}
		if end-begin < r.least {
			return Span{}, end, false
		}
		if n == h.secret {
			secret = Span{begin, end, h.name}
		}
	}
	if h.secret < 0 {
		secret = Span{i, end, h.name}
	}
	return secret, end, true
}

// Looks reports whether a text has something in it that is a private key or a token by its form alone.
func Looks(text string) bool {
	if _, _, ok := findPrivateKey(text, 0); ok {
		return true
	}
	return slices.ContainsFunc(shapes, func(h shape) bool {
		_, _, ok := h.find(text, 0)
		return h.alone && ok
	})
}

// shapeSpans returns what in a text is a secret by its looks.
func shapeSpans(s string) []Span {
	all := spansOf(s, findPrivateKey)
	for i := range shapes {
		all = append(all, spansOf(s, shapes[i].find)...)
	}
	return all
}

// spansOf returns what is found in a text, from its begin on.
func spansOf(s string, find func(s string, from int) (secret Span, end int, ok bool)) (all []Span) {
	for at := 0; len(all) <= maxSpans; {
		secret, end, ok := find(s, at)
		if !ok {
			break
		}
		all = append(all, secret)
		at = end
	}
	return bounded(all, maxSpans, len(s))
}

// findPrivateKey returns the first private key (RFC 7468) that begins at from or behind it, to the end of the text if it has none.
func findPrivateKey(s string, from int) (key Span, end int, ok bool) {
	begin, body := findLabel(s, from, "-----BEGIN ")
	if begin < 0 {
		return Span{}, len(s), false
	}
	end = len(s)
	if at, behind := findLabel(s, body, "-----END "); at >= 0 {
		end = behind
	}
	return Span{begin, end, "private key"}, end, true
}

// findLabel returns where the first line begins and ends that has a word and the label of a private key, of whatever kind; begin is negative if there is none.
func findLabel(s string, from int, word string) (begin, end int) {
	for {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return -1, len(s)
		}
		begin, end = from+i, from+i+len(word)
		label := end
		for end < len(s) && (isUpper(s[end]) || s[end] == ' ') {
			end++
		}
		if strings.HasSuffix(s[label:end], "PRIVATE KEY") && strings.HasPrefix(s[end:], "-----") {
			return begin, end + len("-----")
		}
		from = end
	}
}
