package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

var update = flag.Bool("update", false, "write what is printed to testdata and docs/responder.md")

var here string // the directory of the package

// TestMain runs the tests in a directory of their own, in which the bundled image is node.lime, and keeps what they leave out of
// the user's cache.
func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		main()
	}
	os.Exit(inDirectory(m.Run))
}

func inDirectory(run func() int) int {
	dir, err := os.MkdirTemp("", "nodelens")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	img, err := testimages.BundledPacked()
	if err != nil {
		panic(err)
	}
	if here, err = os.Getwd(); err != nil {
		panic(err)
	}
	path, err := filepath.Abs(img.Path)
	if err != nil {
		panic(err)
	}
	for _, err := range []error{os.Setenv("NODELENS_CACHE", filepath.Join(dir, "cache")), os.Mkdir(filepath.Join(dir, "work"), 0o700), os.Chdir(filepath.Join(dir, "work")), os.Symlink(path, "node.lime")} {
		if err != nil {
			panic(err)
		}
	}
	return run()
}

// nodes are the nodes that are open: of one image, its kernel is found once for all tests, and for each set of options that
// tests ask with there is one.
var nodes struct {
	sync.Mutex
	file  *image.File
	first *cos.Node
	by    map[string]*cos.Node

	reports map[*cos.Node]*cos.NodeReport
}

// A shared image is the bundled one, which is opened once for all tests; others are opened each time. What the program was
// called with, which the node tells, is of whom it is opened for first.
type shared struct{ stored }

func (s shared) open(ctx context.Context, name string, opts *cos.Options) (*cos.Node, func() error, error) {
	if name != "node.lime" {
		return s.stored.open(ctx, name, opts)
	}
	nodes.Lock()
	defer nodes.Unlock()
	var err error
	if nodes.file == nil {
		if nodes.file, err = image.Open(ctx, name, nil); err != nil {
			return nil, nil, err
		}
		if nodes.first, err = cos.OpenNode(ctx, cos.Memory(nodes.file), nil); err != nil {
			return nil, nil, err
		}
		nodes.by, nodes.reports = map[string]*cos.Node{}, map[*cos.Node]*cos.NodeReport{}
	}
	o := *opts
	o.SymbolSource, o.Symbols, o.Progress, o.Arguments = nil, nil, nil, nil
	key := fmt.Sprintf("%+v", o)
	if nodes.by[key] == nil {
		o.Arguments, o.Symbols = opts.Arguments, nodes.first.Kernel().Symbols()
		if nodes.by[key], err = cos.OpenNode(ctx, cos.Memory(nodes.file), &o); err != nil {
			return nil, nil, err
		}
	}
	return nodes.by[key], func() error { return nil }, err
}

func (s shared) report(ctx context.Context, name string, opts *cos.Options) (*cos.NodeReport, error) {
	if name != "node.lime" {
		return s.stored.report(ctx, name, opts)
	}
	n, _, err := s.open(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	nodes.Lock()
	defer nodes.Unlock()
	if nodes.reports[n] == nil {
		nodes.reports[n], err = n.Report(ctx)
	}
	return nodes.reports[n], err
}

// call runs the command on the shared node.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = newApp(&out, &errs, shared{}).run(t.Context(), args)
	return status, out.String(), errs.String()
}

// answers are what commands printed, by their line.
var answers sync.Map

// ask is call for what only asks, and is asked by several tests: it is asked once.
func ask(t *testing.T, line string) (status int, stdout, stderr string) {
	t.Helper()
	type answer struct {
		status         int
		stdout, stderr string
	}
	a, ok := answers.Load(line)
	if !ok {
		status, stdout, stderr := call(t, strings.Fields(line)...)
		a, _ = answers.LoadOrStore(line, answer{status, stdout, stderr})
	}
	is := a.(answer)
	return is.status, is.stdout, is.stderr
}

// golden are command lines whose output is in testdata, by the name of the file.
var golden = map[string]string{
	"summary": "node.lime", "help": "--help", "help-ps": "ps --help", "help-dump": "dump core --help",
	"pods": "pods node.lime", "pods-wide": "pods node.lime -o wide", "pods-json": "pods node.lime -o json", "pods-csv": "pods node.lime -o csv --sort -started",
	"ps": "ps node.lime --namespace shop", "ps-node": "ps node.lime --sort pid", "ps-jsonl": "ps node.lime --pid 748 -o jsonl",
	"ss": "ss node.lime", "ss-all": "ss node.lime --all --pid 748 -o wide", "maps": "maps node.lime --pid 748", "files": "files node.lime --pod image-resizer",
	"env": "env node.lime --pid 748", "env-secrets": "env node.lime --pid 748 --show-secrets -o csv", "mounts": "mounts node.lime --pod checkout --container metrics",
	"modules": "modules node.lime", "bpf": "bpf node.lime", "dmesg": "dmesg node.lime --sort level", "findings": "findings node.lime --severity medium",
	"findings-json": "findings node.lime --pid 748 -o json", "timeline": "timeline node.lime --pod image-resizer", "diff": "diff node.lime node.lime", "gaps": "gaps node.lime",
	"struct": "struct node.lime init_uts_ns.name.nodename", "search": `search node.lime --pid 748 --expr pool\.[a-z.]+:[0-9]+`,
	"ls": "ls node.lime --pod checkout --container metrics /etc",
}

func TestGolden(t *testing.T) {
	for name, line := range golden {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := ask(t, line)
			if strings.HasSuffix(name, "json") && name != "ps-jsonl" && !json.Valid([]byte(stdout)) {
				t.Error("not valid JSON")
			}
			if _, err := csv.NewReader(strings.NewReader(stdout)).ReadAll(); strings.HasSuffix(name, "csv") && err != nil {
				t.Error(err)
			}
			got := fmt.Sprintf("$ nodelens %s\n%s%sexit status %d\n", line, stdout, stderr, status)
			file := filepath.Join(here, "testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// maxLines is how many lines of an output the documentation shows, where it is updated.
const maxLines = 16

// TestResponder runs the commands of docs/responder.md, and holds what it shows against what they print. A line of three dots
// stands for any lines.
func TestResponder(t *testing.T) {
	file := filepath.Join(here, "..", "..", "docs", "responder.md")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	commands, captures := 0, 0
	blocks := strings.Split(string(doc), "```")
	for i := 1; i < len(blocks); i += 2 {
		line, want, _ := strings.Cut(strings.TrimPrefix(blocks[i], "console\n$ "), "\n")
		if strings.HasPrefix(line, "capture ") {
			captures++ // which a machine is needed for: a test of examples/capture has it
			continue
		}
		if line == blocks[i] {
			continue
		}
		commands++
		status, stdout, stderr := ask(t, strings.TrimPrefix(line, "nodelens "))
		if status != command.OK {
			t.Errorf("%s: exit status %d", line, status)
		}
		got := stdout + stderr
		if *update {
			if lines := strings.SplitAfter(got, "\n"); len(lines) > maxLines+2 {
				got = strings.Join(lines[:maxLines], "") + "...\n"
			}
			blocks[i] = "console\n$ " + line + "\n" + got
			continue
		}
		if !shows(want, got) {
			t.Errorf("%s prints\n%s\nnot\n%s", line, got, want)
		}
	}
	if captures != 1 || commands != 9 {
		t.Errorf("%d commands and %d that capture, not ten in all", commands, captures)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(blocks, "```")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shows reports whether want is got with lines left out where it has three dots.
func shows(want, got string) bool {
	parts := strings.Split(want, "...\n")
	for i, part := range parts {
		at := strings.Index(got, part)
		if at < 0 || i == 0 && at > 0 || i == len(parts)-1 && i == 0 && got != want {
			return false
		}
		got = got[at+len(part):]
	}
	return parts[len(parts)-1] == "" && len(parts) > 1 || got == ""
}

func TestRefused(t *testing.T) {
	tests := map[string]struct {
		args   string
		status int
		stderr string
	}{
		"no such command":  {"pslist", command.Usage, "pslist is no command"},
		"two images":       {"a.lime b.lime", command.Usage, "more than one image"},
		"no image":         {"ps", command.Usage, "name one image"},
		"no such flag":     {"ps --nosuch node.lime", command.Usage, "unknown flag: --nosuch"},
		"no such format":   {"ps node.lime -o yaml", command.Usage, `"yaml" is none of`},
		"no such column":   {"ps node.lime --sort size", command.Usage, `no such column: "size"; there are: pid`},
		"no such pod":      {"ps node.lime --pod nosuch", command.Failed, "no such pod in the image; there are: batch/report"},
		"no such process":  {"files node.lime --pid 999999", command.Failed, "no process 999999 in the image"},
		"no such file":     {"./missing.lime", command.Failed, "no such file"},
		"contradiction":    {"ps node.lime --isf a --vmlinux b", command.Usage, "--isf and --vmlinux contradict each other"},
		"no output":        {"dump core node.lime --pid 748", command.Failed, "out"},
		"not JSON's color": {"ps node.lime --color sometimes", command.Usage, `--color "sometimes"`},
	}
	for name, test := range tests {
		status, stdout, stderr := call(t, strings.Fields(test.args)...)
		if status != test.status || stdout != "" || !strings.Contains(stderr, test.stderr) {
			t.Errorf("%s: exit status %d, want %d; stdout %q, stderr %q", name, status, test.status, stdout, stderr)
		}
	}
}

// TestDump takes a program, a core and a module out of the image, and does not write over what is there.
func TestDump(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string]string{"exe": "dump exe node.lime --pid 748", "core": "dump core node.lime --pid 748", "module": "dump module node.lime overlay"} {
		out := filepath.Join(dir, name)
		args := append(strings.Fields(args), "-o", out)
		if status, _, stderr := call(t, args...); status != command.OK && status != exitNotWhole {
			t.Errorf("%s: exit status %d: %s", name, status, stderr)
		}
		b, err := os.ReadFile(out)
		if err != nil || !bytes.HasPrefix(b, []byte("\x7fELF")) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if status, _, stderr := call(t, args...); status != command.Failed || !strings.Contains(stderr, "file exists") {
			t.Errorf("%s again: exit status %d: %s", name, status, stderr)
		}
	}
	const config = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/00a67986a1936f6860fc7c4f0c0fbddec3ae5534e6f0a1096a4a7ce575c1ceaf/config.json"
	status, stdout, stderr := call(t, "dump", "file", "node.lime", config, "-o", "-")
	if status != command.Failed || stdout != "" || !strings.Contains(stderr, "holds a secret") {
		t.Errorf("a file with secrets: exit status %d: %q, %s", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "dump", "file", "node.lime", config, "-o", "-", "--show-secrets")
	if status != command.OK || !json.Valid([]byte(stdout)) {
		t.Errorf("a file of the node: exit status %d: %q, %s", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, "dump", "file", "node.lime", "/etc/hosts", "--pod", "checkout", "-o", "-")
	if status != command.Failed || stdout != "" || !strings.Contains(stderr, "not whole in memory: 0 of 53 bytes") {
		t.Errorf("a file that is not in memory: exit status %d: %q, %s", status, stdout, stderr)
	}
}

// TestNextQuestions: what findings say to ask next is a command that there is, with flags that it has.
func TestNextQuestions(t *testing.T) {
	for _, rule := range findings.Catalogue() {
		line := strings.NewReplacer("{pid}", "1", "{pod}", "web", "{namespace}", "shop", "{container}", "main").Replace(rule.Next)
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nodelens" || !slices.Contains(words, "IMAGE") {
			t.Errorf("%s: %s", rule.ID, rule.Next)
			continue
		}
		c, args, err := newApp(io.Discard, io.Discard, shared{}).root().Find(words[1:])
		if err == nil {
			err = c.ParseFlags(args)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err == nil {
			err = c.ValidateRequiredFlags()
		}
		if err != nil || !c.HasParent() {
			t.Errorf("%s: %s: %v", rule.ID, rule.Next, err)
		}
	}
}
