package redact

import (
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

// replace puts a word in the place of spans.
func replace(text string, spans []Span) string {
	for _, s := range slices.Backward(spans) {
		text = text[:s.Start] + "[hidden]" + text[s.End:]
	}
	return text
}

// Spans are of their text, do not overlap, and what is left of a text has no secret by a name.
func FuzzArgs(f *testing.F) {
	f.Add("--password=a", "TOKEN=abcdefgh", `x: "y" 'z`)
	f.Add("https://a:b@c", "A_KEY=", "-----BEGIN PRIVATE KEY-----")
	f.Add("Cookie:", "=", "token token=")
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
		Text(a, true)
		Sounds(b)
	})
}
