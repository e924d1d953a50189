package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/nodetest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// A subject is a report, its JSON, and what rules find in it.
type subject struct {
	node   *cos.NodeReport
	text   []byte
	result *findings.Result
}

// bundled is of the bundled node with all sections.
var bundled = sync.OnceValues(func() (s subject, err error) {
	img, err := testimages.Bundled()
	if err != nil {
		return s, err
	}
	if s.node, err = cos.AnalyzeNode(context.Background(), cos.File(img.Path), &cos.Options{Sections: cos.AllSections}); err != nil {
		return s, err
	}
	if s.text, err = json.Marshal(s.node); err != nil {
		return s, err
	}
	s.result, err = findings.Run(context.Background(), findings.NewNode(s.node, nil), nil)
	return s, err
})

// hostile is of the same node, with a canary in every text.
var hostile = sync.OnceValues(func() (subject, error) {
	clean, err := bundled()
	if err != nil {
		return subject{}, err
	}
	s := subject{node: new(cos.NodeReport)}
	if err := json.Unmarshal(clean.text, s.node); err != nil {
		return s, err
	}
	if s.result, err = findings.Run(context.Background(), findings.NewNode(s.node, nil), nil); err != nil {
		return s, err
	}
	if n := nodetest.Poison(s.node) + nodetest.Poison(s.result); n < 20_000 {
		return s, fmt.Errorf("only %d texts were poisoned", n)
	}
	return s, nil
})

// get returns a subject, which all tests share: none may change it.
func get(t testing.TB, of func() (subject, error)) (*cos.NodeReport, *findings.Result) {
	t.Helper()
	s, err := of()
	if err != nil {
		t.Fatal(err)
	}
	return s.node, s.result
}

func judged(t testing.TB, node *cos.NodeReport) *findings.Result {
	t.Helper()
	result, err := findings.Run(context.Background(), findings.NewNode(node, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func written(t testing.TB, node *cos.NodeReport, result *findings.Result, opts *Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, node, result, opts); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	policyOf = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`)
	scripts  = regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`)
	styles   = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	dataOf   = regexp.MustCompile(`(?s)<script type="application/json" id="data([-a-z]*)">(.*?)</script>`)
)

// TestPolicy holds the page's policy against the scripts and styles in it: a browser runs what it names, and nothing else.
func TestPolicy(t *testing.T) {
	node := nodetest.Big(3, 60)
	page := written(t, node, judged(t, node), nil)
	policy := policyOf.FindStringSubmatch(page)
	if policy == nil {
		t.Fatal("no policy")
	}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var want strings.Builder
	want.WriteString("default-src 'none'; script-src ")
	var data int
	for _, m := range scripts.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], "application/json") {
			data++
			continue
		}
		want.WriteString(hash(m[2]))
	}
	style := styles.FindAllStringSubmatch(page, -1)
	if len(style) != 1 || data != 1+len(new(pageRest).parts()) {
		t.Fatalf("%d styles and %d elements of data", len(style), data)
	}
	want.WriteString("; style-src " + hash(style[0][1]) + "; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	if got := html.UnescapeString(policy[1]); got != want.String() {
		t.Errorf("policy\n%s, want\n%s", got, want.String())
	}
	if strings.Index(page, policy[0]) > strings.Index(page, "<style>") {
		t.Error("the policy stands behind what it is for")
	}
}

// TestHostile puts a canary into every text of a node with all sections: none gets out of where it stands.
func TestHostile(t *testing.T) {
	node, result := get(t, hostile)
	clean := nodetest.Big(1, 30)
	tags := regexp.MustCompile(`<[!/]?[a-zA-Z][a-zA-Z0-9]*`)
	known := map[string]bool{}
	for _, tag := range tags.FindAllString(written(t, clean, judged(t, clean), nil), -1) {
		known[tag] = true
	}
	page := written(t, node, result, &Options{Title: nodetest.Canaries[0]})
	for tag := range strings.FieldsSeq("<li </li <ul </ul <td </td <tr </tr <br <table </table <caption </caption <thead </thead <tbody </tbody <th </th") {
		known[tag] = true // the clean one may have none of these
	}
	for _, tag := range tags.FindAllString(page, -1) {
		if !known[tag] {
			t.Errorf("a tag that a page does not have: %s", tag)
		}
	}
	for _, r := range page {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfffd {
			t.Fatalf("the page has %U in it", r)
		}
	}
	var processes []pageProcess
	data := dataOf.FindAllStringSubmatch(page, -1)
	for _, m := range data {
		var members map[string]json.RawMessage
		err := json.Unmarshal([]byte(m[2]), &members)
		if err == nil && m[1] == "-processes" {
			err = json.Unmarshal(members["processes"], &processes)
		}
		if err != nil {
			t.Errorf("data%s: %v", m[1], err)
		}
	}
	if len(processes) != len(node.Processes) || !strings.Contains(processes[0].Comm, "systemd") {
		t.Errorf("%d processes, the first %q, in %d parts", len(processes), processes[0].Comm, len(data))
	}
}

// TestFirst: what stands before the script of a big page is a small part of it, and what the script makes of processes is in no part.
func TestFirst(t *testing.T) {
	node := nodetest.Big(500, 20_000)
	page := written(t, node, judged(t, node), nil)
	first := strings.Index(page, `id="data-pods"`)
	if first < 0 || first > len(page)/5 {
		t.Errorf("%d of %d bytes come first", first, len(page))
	}
	if strings.Contains(page, string(ProcessStarted)+`"`) && strings.Contains(page[first:], `"k":"process:start"`) {
		t.Error("starts of processes are in the page twice")
	}
}

// TestSecrets: what looks like a secret is in no page that was not asked for it.
func TestSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	node := nodetest.Big(2, 60)
	for i := range node.Processes {
		if node.Processes[i].Comm == "worker" {
			node.Processes[i].Args = append(node.Processes[i].Args, "--token", secret+"-1", "--api-key="+secret+"-2", "postgres://app:"+secret+"-3@db/app", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0."+secret)
		}
	}
	if page := written(t, node, nil, nil); strings.Contains(page, secret) {
		t.Error("a secret is in the page")
	} else if !strings.Contains(page, "[hidden, 23 bytes]") || !strings.Contains(page, "values that may be secrets are hidden") {
		t.Error("the page does not say that it hides something")
	}
	page := written(t, node, nil, &Options{Secrets: true})
	for _, want := range []string{"DB_PASSWORD=" + secret, secret + "-1", secret + "-2", secret + "-3"} {
		if !strings.Contains(page, want) && !strings.Contains(page, strings.ReplaceAll(want, "=", `\u003d`)) {
			t.Errorf("%s is not in the page that was asked for secrets", want)
		}
	}
}

// TestSame: the same report gives the same page.
func TestSame(t *testing.T) {
	node := nodetest.Big(20, 400)
	result := judged(t, node)
	if first, second := written(t, node, result, nil), written(t, node, result, nil); first != second {
		t.Error("two pages of one report differ")
	}
}

func BenchmarkHTML(b *testing.B) {
	node := nodetest.Big(500, 20_000)
	result := judged(b, node)
	for b.Loop() {
		if err := HTML(io.Discard, node, result, nil); err != nil {
			b.Fatal(err)
		}
	}
}
