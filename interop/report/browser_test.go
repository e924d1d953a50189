package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/nodetest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/report"
)

// TestMain runs the tests where those of the library run, which look for the bundled node there.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// bundled is the report of the bundled node with all sections.
var bundled = sync.OnceValues(func() (*cos.NodeReport, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	return cos.AnalyzeNode(context.Background(), cos.File(img.Path), &cos.Options{Sections: cos.AllSections})
})

func bundledNode(t *testing.T) *cos.NodeReport {
	t.Helper()
	node, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func judged(t *testing.T, node *cos.NodeReport) *findings.Result {
	t.Helper()
	result, err := findings.Run(t.Context(), findings.NewNode(node, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A tab is a page that is open in a browser, and what went wrong there.
type tab struct {
	*testing.T
	ctx context.Context //nolint:containedctx // it lives as long as the test

	mu       sync.Mutex
	requests []string
	errors   []string
}

// browser returns the program to open pages in, and skips t where there is none, or tests are to be short.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes long")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skip("no Chromium to open the page in")
	return ""
}

// open opens the page of a node in a browser without windows.
func open(t *testing.T, program string, node *cos.NodeReport, result *findings.Result, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.html")
	var b bytes.Buffer
	if err := report.HTML(&b, node, result, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newTab(t, program)
	p.run(before...)
	p.run(chromedp.Navigate("file://"+file), chromedp.WaitVisible(chromedp.CSS("main h2")))
	return p
}

// newTab opens an empty page.
func newTab(t *testing.T, program string) *tab {
	t.Helper()
	// All waiting ends with this, which is far more than a slow machine takes.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.WindowSize(1400, 900),
		chromedp.NoSandbox) // which root can't have
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	p := &tab{T: t}
	p.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(p.hear))
	t.Cleanup(cancel)
	p.run(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}))
	return p
}

// hear takes note of requests and of errors.
func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.errors = append(p.errors, text)
	case *runtime.EventConsoleAPICalled:
		p.errors = append(p.errors, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		p.errors = append(p.errors, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *page.EventJavascriptDialogOpening:
		p.errors = append(p.errors, "a dialog: "+e.Message)
	}
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// command makes a step of a command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

// eval returns what an expression is in the page, and what it promises.
func eval[T any](p *tab, expression string, args ...any) T {
	p.Helper()
	for i, arg := range args {
		text, err := json.Marshal(arg) // which is JavaScript as well
		if err != nil {
			p.Fatal(err)
		}
		args[i] = text
	}
	if len(args) > 0 {
		expression = fmt.Sprintf(expression, args...)
	}
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// do runs statements in the page.
func (p *tab) do(statements string, args ...any) {
	p.Helper()
	eval[bool](p, "(async () => { "+statements+"; return true; })()", args...)
}

func (p *tab) text(selector string) string {
	p.Helper()
	return eval[string](p, "document.querySelector(%s)?.innerText ?? 'NOTHING'", selector)
}

// goTo opens a view, or details, and waits until it is drawn.
func (p *tab) goTo(hash string) {
	p.Helper()
	p.do(goTo, hash)
}

// goTo, and drawn, are statements: the page heard of the hash before who listens after it, and drew before who asks after it.
const (
	goTo = `const was = location.href; location.hash = %s;
		if (location.href !== was) await new Promise((done) => window.addEventListener("hashchange", done, {once: true}));
		` + drawn
	drawn = `await new Promise((done) => requestAnimationFrame(done))`
)

// search puts words into the search, and waits until they were searched for, which a timer of the page begins: of two timers the
// longer comes last, however late they are.
func (p *tab) search(words string) {
	p.Helper()
	p.do(`const q = document.getElementById("q"); q.value = %s; q.dispatchEvent(new Event("input", {bubbles: true}));
		await new Promise((done) => setTimeout(done, 200)); `+drawn, words)
}

// clean fails where anything was requested but the file itself, or anything was written to the console.
func (p *tab) clean() {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, url := range p.requests[1:] {
		p.Errorf("a request left the page: %s", url)
	}
	if len(p.requests) == 0 || !strings.HasPrefix(p.requests[0], "file://") {
		p.Errorf("the first request was not heard: %q", p.requests)
	}
	for _, e := range p.errors {
		p.Error(e)
	}
}

var views = []string{"findings", "pods", "processes", "connections", "files", "kernel", "timeline", "losses", "about"}

// rows returns what the rows say that are seen in the grid.
func (p *tab) rows() []string {
	p.Helper()
	return eval[[]string](p, `[...document.querySelectorAll(".grid .row")].sort((a, b) => a.shown - b.shown).map((r) => [...r.children].map((c) => c.textContent).join(" | "))`)
}

// TestBundled looks around in the page of the bundled node.
func TestBundled(t *testing.T) {
	program := browser(t)
	node := bundledNode(t)
	p := open(t, program, node, judged(t, node))
	if got := p.text(".verdict"); !strings.HasPrefix(got, "Look first at shop/image-resizer-5d8c7b9f6-zt4hn") {
		t.Errorf("the page begins with %q", got)
	}
	if got := p.text(".group h3"); !strings.HasPrefix(got, "shop/image-resizer-5d8c7b9f6-zt4hn") {
		t.Errorf("the first group is %q", got)
	}
	p.goTo("pods")
	if rows := p.rows(); len(rows) < 10 || !strings.Contains(rows[0], "shop/image-resizer") {
		t.Errorf("the tree of pods begins with %q", rows)
	}
	p.goTo("processes")
	if rows := p.rows(); len(rows) < 10 || !strings.HasPrefix(rows[0], "748 | 693 | kworker/u4:2") {
		t.Errorf("the table of processes begins with %q", rows[:min(3, len(rows))])
	}
	p.search("pid:748")
	if rows := p.rows(); len(rows) != 1 {
		t.Errorf("pid:748 finds %q", rows)
	}
	p.search("busybox -httpd pod:shop")
	for _, row := range p.rows() {
		if !strings.Contains(row, "shop/") || strings.Contains(row, "httpd") {
			t.Errorf("a search finds %q", row)
		}
	}
	p.goTo("connections")
	p.search("31337")
	if rows := p.rows(); len(rows) != 3 {
		t.Errorf("31337 finds %q", rows)
	}
	p.search("")
	p.goTo("findings/process/748")
	for _, want := range []string{"748 kworker/u4:2", "shop/image-resizer-5d8c7b9f6-zt4hn", "/memfd:update (deleted)", "127.0.0.1:31337", "/tmp/.cache.db (deleted)"} {
		if got := p.text("#detail"); !strings.Contains(got, want) {
			t.Errorf("the details of process 748 have no %q", want)
		}
	}
	p.keyboard()
	p.clean()
}

// keyboard goes through the page without a mouse.
func (p *tab) keyboard() {
	p.Helper()
	p.goTo("pods")
	p.run(chromedp.Focus(chromedp.CSS("[role=treegrid]")))
	before := p.rows()
	p.keys("ctrl+Home", "ArrowDown", "ArrowUp", "ArrowLeft")
	if after := p.rows(); len(after) >= len(before) && len(before) < 30 {
		p.Errorf("left does not close a pod: %d rows, then %d", len(before), len(after))
	}
	active := eval[string](p, `document.getElementById(document.querySelector("[role=treegrid]").getAttribute("aria-activedescendant")).textContent`)
	expanded := eval[string](p, `document.querySelector("[role=treegrid] .row.at").getAttribute("aria-expanded")`)
	if !strings.Contains(active, "image-resizer") || expanded != "false" {
		p.Errorf("at hand is %q, expanded %s", active, expanded)
	}
	p.keys("Enter")
	p.run(chromedp.WaitVisible(chromedp.CSS("#detail h2")))
	if focus := eval[string](p, "document.activeElement.id"); focus != "detail-title" {
		p.Errorf("Enter opens the details, and the focus is on %q", focus)
	}
	p.run(chromedp.KeyEvent("\x1b"), chromedp.WaitNotPresent(chromedp.CSS("#detail h2")))
	if focus := eval[string](p, "document.activeElement.getAttribute('role') ?? ''"); focus != "treegrid" {
		p.Errorf("Escape closes the details, and the focus is on %q", focus)
	}
}

// keys presses keys in what has the focus.
func (p *tab) keys(names ...string) {
	p.Helper()
	for _, name := range names {
		key, ctrl := strings.CutPrefix(name, "ctrl+")
		p.do(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: %s, ctrlKey: %s, bubbles: true, cancelable: true}))`, key, ctrl)
	}
}

// TestHostile opens a node with a canary in every name, and everything in its page.
func TestHostile(t *testing.T) {
	program := browser(t)
	node := copied(t)
	result := judged(t, node)
	nodetest.Poison(node)
	nodetest.Poison(result)
	p := open(t, program, node, result)
	for _, view := range views {
		p.goTo(view)
		if eval[int](p, "document.querySelector('main').childElementCount") == 0 {
			t.Errorf("%s is empty", view)
		}
	}
	for _, hash := range []string{"pods/pod/%22%3E%3Cscript%3E", "pods/process/748", "pods/process/1", "connections/socket/0", "files/file/0", "kernel/kernel/0", "__proto__/constructor/x", "pods/constructor/1", "%E0%A4%A/%E0%A4%A/%"} {
		p.goTo(hash)
	}
	for _, words := range []string{"<script>", "__proto__", "pod:constructor", `"><img`, "javascript:", "\\u202e", "pid:__proto__ rule:("} {
		p.search(words)
	}
	canary, scripts := eval[bool](p, "window.canary !== undefined"), eval[int](p, "[...document.scripts].filter((s) => s.type !== 'application/json').length")
	images := eval[int](p, "document.querySelectorAll('img, iframe, object, embed, base, link, form:not(#find)').length")
	if canary || scripts != 1 || images != 0 { // elements of data are removed when they are read
		t.Errorf("canary: %t, %d scripts of 1, %d elements that a page has none of", canary, scripts, images)
	}
	p.clean()
}

// TestBig opens a node of 500 pods and 20,000 processes, and says how long that takes.
func TestBig(t *testing.T) {
	program := browser(t)
	node := nodetest.Big(500, 20_000)
	nodetest.Nameless(node, 2000)
	p := open(t, program, node, judged(t, node))
	if got := p.text(".verdict"); !strings.Contains(got, fmt.Sprintf("-%d", nodetest.Bad)) {
		t.Errorf("the page begins with %q", got)
	}
	const count = "document.querySelectorAll('*').length"
	ready, dom := eval[float64](p, "Number(document.documentElement.dataset.ready)"), eval[float64](p, "performance.getEntriesByType('navigation')[0].responseEnd")
	elements := eval[float64](p, count)
	whole := eval[float64](p, "performance.getEntriesByType('navigation')[0].domInteractive")
	t.Logf("interactive after %.0f ms, of a page that was there after %.0f ms and read after %.0f ms; %.0f elements", ready, dom, whole, elements)
	if ready > whole {
		t.Error("it is not interactive before all of it is read")
	}
	for _, view := range views {
		took := eval[float64](p, "(async () => { const t = performance.now(); "+goTo+"; return performance.now() - t; })()", view)
		t.Logf("%s: %.0f ms", view, took)
		if elements = eval[float64](p, count); elements > 3000 {
			t.Errorf("%s has %.0f elements: its rows are not virtual", view, elements)
		}
	}
	p.goTo("processes")
	for _, words := range []string{"kworker/u4", "segment-3", "pod:ledger 8080"} {
		took := eval[float64](p, "(() => { const t = performance.now(); const q = document.getElementById('q'); q.value = %s; document.getElementById('find').requestSubmit(); return performance.now() - t; })()", words)
		t.Logf("search for %q: %.0f ms", words, took)
	}
	p.search("kworker/u4")
	p.do(`const s = document.getElementById("choice-Show"); s.value = "user"; s.dispatchEvent(new Event("change", {bubbles: true}))`)
	if rows := p.rows(); len(rows) != 1 {
		t.Errorf("the one that poses as a kernel thread is not alone: %d rows", len(rows))
	}
	p.search("")
	all := eval[string](p, `document.querySelector("[role=grid]").getAttribute("aria-rowcount")`)
	last := eval[string](p, `(() => { const g = document.querySelector("[role=grid]"); g.dispatchEvent(new KeyboardEvent("keydown", {key: "End", ctrlKey: true, bubbles: true})); return g.querySelector(".row.at").getAttribute("aria-rowindex"); })()`)
	if all != last || all == "" {
		t.Errorf("%s rows, and the last is %s", all, last)
	}
	p.clean()
}

// TestReading has a page arrive in two halves: between them the first view is there, others say that they are not yet, and what was asked for meanwhile is
// done when the rest has come.
func TestReading(t *testing.T) {
	program := browser(t)
	node := nodetest.Big(20, 400)
	var b bytes.Buffer
	if err := report.HTML(&b, node, judged(t, node), nil); err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(b.String(), `<script type="application/json" id="data-pods">`)
	if !found {
		t.Fatal("the page has no second half")
	}
	second = b.String()[len(first):len(b.String())-len(second)] + second
	come := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, first)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-come:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, second)
	}))
	defer server.Close()
	p := newTab(t, program)
	p.do("location.href = %s", server.URL) // which does not wait for all of it
	p.run(chromedp.WaitVisible(chromedp.CSS(".verdict")))
	p.goTo("processes")
	if got := p.text("main .note"); !strings.Contains(got, "still being read") {
		t.Errorf("a view whose part has not come: %q", got)
	}
	p.search("kworker/4:")
	if state := eval[string](p, "document.readyState"); state != "loading" {
		t.Errorf("the page is %s before it has come", state)
	}
	close(come)
	p.do(`if (document.readyState === "loading") await new Promise((done) => document.addEventListener("DOMContentLoaded", done)); ` + drawn)
	p.do(`const s = document.getElementById("choice-Show"); s.value = "kernel"; s.dispatchEvent(new Event("change", {bubbles: true}))`)
	rows := p.rows()
	if len(rows) == 0 || slices.ContainsFunc(rows, func(row string) bool { return !strings.Contains(row, "kworker/4:") }) {
		t.Errorf("what was searched for meanwhile: %q", rows)
	}
	if len(p.errors) > 0 {
		t.Errorf("errors: %q", p.errors)
	}
}

// axeVersion is the version of axe-core that pages are checked with.
const axeVersion = "4.14.1"

// axe returns axe-core, from npm's registry: its licence, MPL-2.0, is not ours, so no copy of it is here.
func axe(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("no npm to fetch axe-core with")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), npm, "pack", "--silent", "axe-core@"+axeVersion)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("axe-core can't be had: %v: %s", err, out)
	}
	cmd = exec.CommandContext(t.Context(), "tar", "-xzf", "axe-core-"+axeVersion+".tgz")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	script, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// TestAccessible has axe-core check each view, with and without details, light and dark.
func TestAccessible(t *testing.T) {
	program, script := browser(t), axe(t)
	node := bundledNode(t)
	p := open(t, program, node, judged(t, node), command(page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})) // axe-core is no script of the page
	eval[bool](p, script+";true")
	hashes := append(slices.Clone(views), "pods/process/748", "pods/pod/e5f60718-2930-4a4b-9c5d-6e7f8091a2b3", "connections/socket/0")
	for theme, options := range map[string]string{"light": `{resultTypes: ["violations"]}`, "dark": `{runOnly: ["color-contrast"]}`} { // of which the rest does not depend
		p.do("document.documentElement.dataset.theme = %s", theme)
		for _, hash := range hashes {
			p.goTo(hash)
			faults := eval[[]string](p, `axe.run(document, `+options+`).then((r) => r.violations.map((v) => v.impact + " " + v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " " + (n.any[0]?.message || "")).join(" ;; ")))`)
			for _, f := range faults {
				t.Errorf("%s, %s: %s", theme, hash, f)
			}
		}
	}
	t.Logf("axe-core %s checked %d pages", axeVersion, 2*len(hashes))
}
