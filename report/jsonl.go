package report

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/consistency"
)

// WriteJSONL writes a report as JSON Lines: an object a line, each a record as the report's JSON has it (docs/report.md), with a
// first member "record" that says what it is: node, finding, not-checked, pod, process, container, security, memory, socket, connection,
// file, module, bpf-program, bpf-map, hook, log or gap. The node, which comes first, is the report without what has lines of its
// own. result may be nil.
func WriteJSONL(w io.Writer, node *cos.NodeReport, result *findings.Result, opts *Options) error {
	l := lines{out: bufio.NewWriterSize(w, 1<<16)}
	m := newMasker(opts)
	l.add("node", struct {
		Schema string `json:"schema"`
		Whole  bool   `json:"whole"`
		nodeHead
	}{cos.Schema, node.Whole(), nodeHead{node.Provenance, node.Kernel, node.Hostname, node.BootTime, node.Consistency, node.Notes}})
	if result != nil {
		each(&l, "finding", result.Findings)
		each(&l, "not-checked", result.NotChecked)
	}
	each(&l, "pod", node.Pods)
	for i := range node.Processes {
		l.add("process", m.process(&node.Processes[i]))
	}
	for i := range node.Containers {
		l.add("container", m.container(&node.Containers[i]))
	}
	each(&l, "security", node.Security)
	each(&l, "memory", node.Memory)
	if n := node.Network; n != nil {
		each(&l, "socket", n.Sockets)
		each(&l, "connection", n.Conntrack)
	}
	if node.Files != nil {
		each(&l, "file", node.Files.Nameless)
	}
	each(&l, "module", node.Modules)
	if node.BPF != nil {
		each(&l, "bpf-program", node.BPF.Programs)
		each(&l, "bpf-map", node.BPF.Maps)
	}
	each(&l, "hook", node.Hooks)
	each(&l, "log", node.Log)
	each(&l, "gap", node.Gaps)
	return l.end()
}

type nodeHead struct {
	Provenance  cos.Provenance      `json:"provenance"`
	Kernel      cos.Kernel          `json:"kernel"`
	Hostname    string              `json:"hostname" jsonx:"null"`
	BootTime    time.Time           `json:"bootTime"`
	Consistency *consistency.Report `json:"consistency"`
	Notes       []string            `json:"notes"`
}

// process returns a process without what looks like a secret.
func (m *masker) process(p *cos.Process) *cos.Process {
	if m.show {
		return p
	}
	out := *p
	out.Args = m.arguments(p.Args)
	out.ArgSecrets = m.argSecrets(p.ArgSecrets)
	out.Env = slices.Clone(p.Env)
	for i := range out.Env {
		out.Env[i] = *m.seal(&out.Env[i])
	}
	return &out
}

// container returns a container likewise. Its environment is hidden already.
func (m *masker) container(c *cos.ContainerDetail) *cos.ContainerDetail {
	if m.show || c.Spec == nil {
		return c
	}
	out, spec := *c, *c.Spec
	spec.Args = m.arguments(spec.Args)
	out.Spec = &spec
	return &out
}

// lines writes JSON Lines.
type lines struct {
	out *bufio.Writer
	err error
}

func each[T any](l *lines, kind string, records []T) {
	for i := range records {
		l.add(kind, &records[i])
	}
}

// add writes a record, whose JSON is an object.
func (l *lines) add(kind string, record any) {
	if l.err != nil {
		return
	}
	line, err := jsonx.Marshal(record)
	if err != nil {
		l.err = fmt.Errorf("report: %s: %w", kind, err)
		return
	}
	head := `{"record":"` + kind + `"`
	if len(line) > len("{}") {
		head += ","
	}
	_, l.err = l.out.WriteString(head)
	if l.err == nil {
		_, l.err = l.out.Write(append(line[1:], '\n'))
	}
}

func (l *lines) end() error {
	if l.err != nil {
		return l.err
	}
	return l.out.Flush()
}

// line writes a record of another schema, a pointer, which has no members for exact bytes: texts that are not UTF-8 are written as
// they are printed.
func (l *lines) line(record any) {
	if l.err != nil {
		return
	}
	makeUnicode(reflect.ValueOf(record).Elem())
	line, err := jsonx.Marshal(record)
	if err != nil {
		l.err = fmt.Errorf("report: %w", err)
		return
	}
	_, l.err = l.out.Write(append(line, '\n'))
}

// makeUnicode escapes the texts in a value that are not UTF-8. It follows no pointers to what has no texts of its own.
func makeUnicode(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) {
			v.SetString(text.Printable(s))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			makeUnicode(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			makeUnicode(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() == reflect.Struct {
			makeUnicode(v.Elem())
		}
	case reflect.Interface:
		makeUnicode(v.Elem())
	}
}
