package report

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
)

//go:embed page
var files embed.FS

// HTML writes a node's report, and what rules found in it, as one HTML page for people to read. result may be nil: then the page
// says that no rules were run. Of what a page of bounded size can't hold it says so itself.
//
// The page loads nothing, sends nothing, and runs no script but its own, whatever names the image has: see the package
// documentation. It works from disk, with a keyboard, on a screen reader and on paper.
func HTML(w io.Writer, node *cos.NodeReport, result *findings.Result, opts *Options) error {
	b := newBuilder(node, opts)
	p := b.build(result, opts)
	parts, err := pageParts()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	if err := parts.template.Execute(out, content{
		Policy: parts.policy, Style: parts.style, Script: parts.script, Data: p, Parts: p.rest.parts(), Page: staticPage{p, text.Printable(node.Kernel.Release)},
	}); err != nil {
		return err
	}
	return out.Flush()
}

// content is what the template is filled with.
type content struct {
	Policy string
	Style  template.CSS
	Script template.JS
	Data   *page // html/template writes it as JSON, escaped for a script element
	Parts  []part
	Page   staticPage
}

// A staticPage is what the page has for those who run no scripts.
type staticPage struct {
	*page
	Kernel string
}

// maxStatic bounds the findings there.
const maxStatic = 500

// A staticFinding is one in words.
type staticFinding struct {
	Severity, Title, Pod, Process string
	Evidence                      []string
}

// Gaps are what was lost.
func (p staticPage) Gaps() []pageGap { return p.rest.Gaps }

// StaticFindings are the findings in words.
func (p staticPage) StaticFindings() []staticFinding {
	all := p.Findings[:min(len(p.Findings), maxStatic)]
	out := make([]staticFinding, 0, len(all))
	for i := range all {
		f := &all[i]
		one := staticFinding{Severity: severities[f.Severity], Title: f.Title}
		if f.Pod >= 0 {
			one.Pod = p.Pods[f.Pod].Namespace + "/" + p.Pods[f.Pod].Name
		}
		for _, e := range f.Evidence {
			one.Evidence = append(one.Evidence, strings.TrimSpace(e.Object+" "+e.Field)+": "+e.Value)
		}
		out = append(out, one)
	}
	return out
}

// severities are the names of them, from the least.
var severities = [...]string{"info", "low", "medium", "high", "critical"}

// parts are those of the page that are the same for each.
type parts struct {
	template *template.Template
	style    template.CSS
	script   template.JS
	policy   string
}

// pageParts joins the files of the page.
var pageParts = sync.OnceValues(func() (parts, error) {
	var p parts
	script, err := joined("page/*.js")
	if err != nil {
		return p, err
	}
	style, err := joined("page/*.css")
	if err != nil {
		return p, err
	}
	script = "(function () {\n\"use strict\";\n" + script + "start();\n})();\n"
	p.template, err = template.ParseFS(files, "page/page.html.tmpl")
	p.script, p.style = template.JS(script), template.CSS(style) //nolint:gosec // they are our own files
	p.policy = "default-src 'none'; script-src " + digest(script) + "; style-src " + digest(style) +
		"; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	return p, err
})

// joined returns the files of a pattern, in the order of their names.
func joined(pattern string) (string, error) {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range names {
		part, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		all.Write(part)
	}
	return all.String(), nil
}

// digest returns how a content security policy names an inline script or style.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
