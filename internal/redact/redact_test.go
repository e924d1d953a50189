package redact

import (
	stdcmp "cmp"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSounds(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "PGPASSWORD": true, "MYSQL_PWD": true, "dbPassword": true, "api-key": true, "apiKey": true, "X-Api-Key": true, "AWS_SECRET_ACCESS_KEY": true,
		"token": true, "GITHUB_TOKEN": true, "authorization": true, "Cookie": true, "client_secret": true, "private-key": true, "SENTRY_DSN": true, "passphrase": true,
		"": false, "PATH": false, "key": false, "keyboard": false, "author": false, "tls-private-key-file": false, "authorization-mode": false, "SECRET_PATH": false,
		"token-ttl": false, "compass": false, "passthrough": false, "monkey": false, "HOSTNAME": false, "authentication-token-webhook": false, "---": false,
	} {
		if got := Sounds(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// What is hidden in arguments, and what is left of them.
func TestArgs(t *testing.T) {
	t.Parallel()
	const long = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!abcd"
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"
	for _, tt := range []struct {
		env, args, want []string
		names           string
	}{
		{args: []string{"/bin/sh", "-c", "sleep 5; echo a=b: c"}, want: []string{"/bin/sh", "-c", "sleep 5; echo a=b: c"}},
		{args: []string{"x", "--password=a b", "--db.token", "t", "--v=1"}, want: []string{"x", "--password=[hidden]", "--db.token", "[hidden]", "--v=1"}, names: "password,db.token"},
		{args: []string{"x", "--password", "--force", "-token=", "--auth=false"}, want: []string{"x", "--password", "--force", "-token=", "--auth=false"}},
		{args: []string{"sh", "-c", `A_TOKEN=t1 B="x" PASSWORD='a b' exec d --api-key k;x`}, want: []string{"sh", "-c", `A_TOKEN=[hidden] B="x" PASSWORD='[hidden]' exec d --api-key [hidden];x`}, names: "A_TOKEN,PASSWORD,api-key"},
		{args: []string{"curl", "-H", "Authorization: Bearer abcdefgh", "-u", "me:pw", "https://u:p4ss@h/p?a=1"},
			want: []string{"curl", "-H", "Authorization: [hidden]", "-u", "[hidden]", "https://u:[hidden]@h/p?a=1"}, names: "Authorization,-u,password of a URL"},
		{args: []string{"/usr/bin/mysql", "-pabc", "-h", "db"}, want: []string{"/usr/bin/mysql", "-p[hidden]", "-h", "db"}, names: "-p"},
		{args: []string{"run", "-pabc", jwt + "!"}, want: []string{"run", "-pabc", "[hidden]!"}, names: "JSON web token"},
		{args: []string{"x", "a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb"}, want: []string{"x", "a\n[hidden]\nb"}, names: "private key"},
		{args: []string{"x", "-----BEGIN PRIVATE KEY-----\ncut off"}, want: []string{"x", "[hidden]"}, names: "private key"},
		{env: []string{"DB_PASSWORD=hunter22", "USER=hunter", "A_TOKEN=short"}, args: []string{"x", "postgres hunter22 as hunter, short", "hunter22hunter22"},
			want: []string{"x", "postgres [hidden] as hunter, short", "[hidden][hidden]"}, names: "DB_PASSWORD,DB_PASSWORD,DB_PASSWORD"},
		{env: []string{"P_SECRET=abcdefgh", "Q_SECRET=abcdef"}, args: []string{"x", "abcdefgh"}, want: []string{"x", "[hidden]"}, names: "P_SECRET"},
		{env: []string{"P_SECRET=abcdefgh", "Q_SECRET=efghij"}, args: []string{"x", "efghiabcdefghijab", "abcdefgefghijabcdefgh"},
			want: []string{"x", "efghi[hidden]ab", "abcdefg[hidden][hidden]"}, names: "P_SECRET,Q_SECRET,P_SECRET"},
		{env: []string{"A_SECRET=" + long + "1", "B_SECRET=" + long + "2"}, args: []string{"x", "-" + long + "2-"},
			want: []string{"x", "-[hidden]-"}, names: "A_SECRET"}, // known by how they begin
		{env: []string{strings.Repeat("x", 300) + "_TOKEN=abcdefgh"}, args: []string{"x", "abcdefgh"}, want: []string{"x", "[hidden]"}, names: strings.Repeat("x", 250) + "_TOKEN"},
		{args: []string{"TOKEN=x"}, want: []string{"TOKEN=[hidden]"}, names: "TOKEN"},
		{args: []string{"x", `{"token": "abc", "id": 7}`}, want: []string{"x", `{"token": "[hidden]", "id": 7}`}, names: "token"},
	} {
		var got, names []string
		for i, spans := range Args(tt.args, tt.env) {
			got = append(got, replace(tt.args[i], spans))
			for _, s := range spans {
				names = append(names, s.Name)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
		if strings.Join(names, ",") != tt.names {
			t.Errorf("%q: hidden are %q, want %s", tt.args, names, tt.names)
		}
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a\x00eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2ln": true, "-----BEGIN EC PRIVATE KEY-----\nx": true, "-----BEGIN CERTIFICATE-----": false,
		"password=abcdefgh https://a:b@c Bearer abcdefghij": false, "eyJ.": false, "": false,
	} {
		if got := Looks(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Texts that are all secrets cost no more than one is long: the last span that is told is the rest.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 100_000
	env := []string{"A_TOKEN=aaaaaab", "B_TOKEN=aaaaaab", "C_TOKEN=aaaaaac"}
	for _, part := range []string{"pw='", "aaaaaab", "a://b:c@ ", "eyJaaaaaaaa.aaaaaaaa. ", "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----"} {
		text := "a " + strings.Repeat(part, n)
		all := Args([]string{"x", text, "a", text}, env)
		if len(all[1]) != maxSpans || all[1][maxSpans-1].End != len(text) || all[2] != nil {
			t.Errorf("%s: %d spans, %+v", part, len(all[1]), all[1][len(all[1])-1])
		}
		if len(all[3]) != 1 || all[3][0].Start > 2*len(part) || all[3][0].End != len(text) {
			t.Errorf("%s: %d spans behind them", part, len(all[3]))
		}
		if got := Text(text, true); !strings.HasPrefix(part, "aaa") && len(got) != maxSpans {
			t.Errorf("%s: %d spans of a text", part, len(got))
		}
	}
}

// replace puts a word in the place of spans.
func replace(text string, spans []Span) string {
	for _, s := range slices.Backward(spans) {
		text = text[:s.Start] + "[hidden]" + text[s.End:]
	}
	return text
}

// expressions say the same of shapes as their runs do; those of one name may overlap.
var expressions = []struct {
	name string
	*regexp.Regexp
}{
	{"JSON web token", regexp.MustCompile(`(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)`)},
	{"private key", regexp.MustCompile(`(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))`)},
	{"password of a URL", regexp.MustCompile(`[A-Za-z][0-9+.-]{0,63}://[^\s/:@"']*:([^\s/@"']+)@`)},
	{"bearer token", regexp.MustCompile(`[Bb]earer +([A-Za-z0-9._~+/=-]{8,})`)},
	{"basic authorization", regexp.MustCompile(`[Bb]asic +([A-Za-z0-9+/=_-]{8,})`)},
	{"token of GitHub", regexp.MustCompile(`(ghp_[A-Za-z0-9]{30,})`)},
	{"token of GitHub", regexp.MustCompile(`(gho_[A-Za-z0-9]{30,})`)},
	{"token of GitHub", regexp.MustCompile(`(ghu_[A-Za-z0-9]{30,})`)},
	{"token of GitHub", regexp.MustCompile(`(ghs_[A-Za-z0-9]{30,})`)},
	{"token of GitHub", regexp.MustCompile(`(ghr_[A-Za-z0-9]{30,})`)},
	{"token of GitLab", regexp.MustCompile(`(glpat-[A-Za-z0-9_-]{16,})`)},
	{"token of Slack", regexp.MustCompile(`(xox[abeoprs]-[A-Za-z0-9-]{10,})`)},
	{"key of Google", regexp.MustCompile(`(AIza[A-Za-z0-9_-]{35})`)},
	{"token of Google", regexp.MustCompile(`(ya29\.[A-Za-z0-9_-]{20,})`)},
}

// lookLike returns what in a text is a secret by the expressions.
func lookLike(text string) (all []Span) {
	for _, e := range expressions {
		for _, m := range e.FindAllStringSubmatchIndex(text, maxSpans) {
			all = append(all, Span{m[2], m[3], e.name})
		}
	}
	return all
}

// Texts of pieces of secrets, put together by chance.
func TestShapes(t *testing.T) {
	t.Parallel()
	pieces := []string{"eyJ", ".", "aaaaaaaa", "b", "://", ":", "/", "@", " ", "Bearer ", "earer ", "basic ", "Basic", "=", "gh", "p_", "ghs_", "glpat-", "xox", "a-", "AIza", "ya29.",
		strings.Repeat("c", 16), strings.Repeat("D", 34), "\n", "-----", "BEGIN ", "END ", "RSA ", "PRIVATE KEY", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\xff"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var text strings.Builder
		for range 1 + r.IntN(24) {
			text.WriteString(pieces[r.IntN(len(pieces))])
		}
		sameShapes(t, text.String())
	}
}

func sameShapes(t *testing.T, text string) {
	t.Helper()
	want, got := lookLike(text), shapeSpans(text)
	slices.SortFunc(want, earlier)
	slices.SortFunc(got, earlier)
	if !slices.Equal(want, got) {
		t.Fatalf("%q: %+v, want %+v", text, got, want)
	}
}

func earlier(a, b Span) int {
	return stdcmp.Or(a.Start-b.Start, a.End-b.End, strings.Compare(a.Name, b.Name))
}

// Spans are of their text, do not overlap, and what is left of a text has no secret by a name.
func FuzzArgs(f *testing.F) {
	f.Add("--password=a", "TOKEN=abcdefgh", `x: "y" 'z`)
	f.Add("https://a:b@c", "A_KEY=", "-----BEGIN PRIVATE KEY-----")
	f.Add("Cookie:", "=", "token token=")
	f.Add("eyJaaaaaaaa.eyJbbbbbbb.cceyJ.dd", "A_KEY=aaaaaab", "xearer xxBearer abcdefgh basic  asic Basic =bcdefghij")
	f.Add("ghghp_"+strings.Repeat("a", 30)+"glpat-"+strings.Repeat("b", 16), "A_KEY=aaaaaaa", "xoxoxa-0123456789 AIza"+strings.Repeat("AIza", 9)+"ya29.ya29."+strings.Repeat("c", 20))
	f.Add("a1+://b:c://d:e@@://f:g@", "A_KEY=aabaabaab", "-----BEGIN -----BEGIN A PRIVATE KEY-----END PRIVATE KEY-----END B PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, a, env, b string) {
		args := []string{"curl", a, b}
		for i, spans := range Args(args, []string{env}) {
			at := 0
			for _, s := range spans {
				if s.Start < at || s.End <= s.Start || s.End > len(args[i]) {
					t.Fatalf("%q: %+v", args[i], spans)
				}
				at = s.End
			}
			if name, value, ok := strings.Cut(env, "="); ok && len(value) >= leastKnown && Sounds(name) && !isPlain(value) {
				covered := []byte(args[i])
				for _, s := range spans {
					clear(covered[s.Start:s.End])
				}
				if strings.Contains(string(covered), value) && !strings.Contains(value, "\x00") {
					t.Fatalf("%q is left of %q", value, args[i])
				}
			}
		}
		for _, text := range args {
			sameShapes(t, text)
		}
		Text(a, true)
		Sounds(b)
	})
}
