package deploy

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"text/template"
	"time"

	"github.com/nodelens/nodelens/fleet"
)

//go:embed templates/*.yaml
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"q": quote}).ParseFS(files, "templates/*.yaml"))

// quote returns a value as JSON, which YAML takes as it is: no value ends what it stands in.
func quote(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// ErrOptions says that a manifest can't be made of options.
var ErrOptions = errors.New("no manifest can be made")

// Options say what a manifest has. Image and Claim must be set.
type Options struct {
	Name      string // of the Jobs; empty: nodelens
	Namespace string // empty: nodelens
	Image     string // of the container, whose entry point is nodelens
	Claim     string // of a PersistentVolumeClaim that all pods can mount (ReadWriteMany): for results, and where the images are

	Memory   int64         // what an image may take, in MiB; 0: 1024. The container may have half as much again.
	Deadline time.Duration // of one attempt; 0: an hour
	Attempts int           // for each image; 0: 3
	Parallel int           // pods at a time; 0: 10. For [Indexed].

	// Manifest and Results are paths on the volume; empty: manifest.jsonl and results.
	Manifest, Results string
}

// name is what names of objects in Kubernetes look like; a Job's pods have its name with an index behind it.
var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// values are what templates are filled with.
type values struct {
	Options
	Items       int
	Retries     int
	MaxFailed   int
	MemoryLimit int64
	Seconds     int64
	Args        []string
	PoisonExit  int
	Nodes       []node
	Lines       string
}

// A node is a node of a cluster.
type node struct {
	Index int
	Name  string
}

// maxFailed is how many indexes may fail at most where there are more than 100,000 (validation of batch/v1).
const maxFailed = 10000

// Indexed writes an Indexed Job that analyses so many images: those of the manifest on the volume. It needs Kubernetes 1.33, or 1.29 where backoffLimitPerIndex, which was beta, is on.
func Indexed(w io.Writer, items int, opts Options) error {
	v, err := fill(opts)
	if err != nil {
		return err
	}
	if items <= 0 {
		return fmt.Errorf("%w: there are no images", ErrOptions)
	}
	v.Items, v.MaxFailed, v.Parallel = items, items, min(items, cmp.Or(opts.Parallel, 10))
	if items > 100000 {
		v.MaxFailed, v.Parallel = maxFailed, min(v.Parallel, maxFailed)
	}
	v.Args = v.work("-m", "/data/"+v.Manifest)
	return execute(w, "indexed.yaml", v)
}

// Live writes a Job for each node, by its name, and the manifest that the Jobs share; labels are those of all nodes, such as cluster. The Jobs have the least privileges that
// reading memory takes: see examples/deploy.
func Live(w io.Writer, nodes []string, labels map[string]string, opts Options) error {
	v, err := fill(opts)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return fmt.Errorf("%w: there are no nodes", ErrOptions)
	}
	var m fleet.Manifest
	seen := map[string]bool{}
	for i, n := range nodes {
		if !nodeName.MatchString(n) || len(n) > 253 || seen[n] {
			return fmt.Errorf("%w: %q is no name of a node, or is there twice", ErrOptions, n)
		}
		seen[n] = true
		all := maps.Clone(labels)
		if all == nil {
			all = map[string]string{}
		}
		all["node"] = n
		m = append(m, fleet.Item{URI: "/host/proc/kcore", As: n, Labels: all})
		v.Nodes = append(v.Nodes, node{i, n})
	}
	var lines bytes.Buffer
	if err := m.Write(&lines); err != nil {
		return err
	}
	v.Lines = lines.String()
	if len(v.Lines) > maxConfigMap {
		return fmt.Errorf("%w: the manifest of %d nodes is too long for a ConfigMap: make it in parts", ErrOptions, len(nodes))
	}
	v.Args = append(v.work("-m", "/manifest/manifest.jsonl"), "--no-cache") // nothing is written to the node's disk
	return execute(w, "live.yaml", v)
}

// nodeName is what names of nodes look like: a DNS subdomain.
var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// maxConfigMap is how long what is in a ConfigMap may be, in bytes.
const maxConfigMap = 1 << 20

// work returns the arguments of a unit of work.
func (v *values) work(args ...string) []string {
	return append(append([]string{"fleet", "work"}, args...), "-o", "/data/"+v.Results, "--attempts", "1", "--not-whole-ok",
		"--memory", fmt.Sprint(v.Memory), "--deadline", v.Deadline.String())
}

// fill checks options, and puts defaults into them.
func fill(o Options) (*values, error) {
	o.Name, o.Namespace = cmp.Or(o.Name, "nodelens"), cmp.Or(o.Namespace, "nodelens")
	o.Manifest, o.Results = cmp.Or(o.Manifest, "manifest.jsonl"), cmp.Or(o.Results, "results")
	o.Memory, o.Deadline, o.Attempts = cmp.Or(o.Memory, 1024), cmp.Or(o.Deadline, time.Hour), cmp.Or(o.Attempts, 3)
	for what, s := range map[string]string{"name": o.Name, "namespace": o.Namespace} {
		if !name.MatchString(s) {
			return nil, fmt.Errorf("%w: %q is no %s", ErrOptions, s, what)
		}
	}
	switch {
	case o.Image == "":
		return nil, fmt.Errorf("%w: no container image is named", ErrOptions)
	case !nodeName.MatchString(o.Claim):
		return nil, fmt.Errorf("%w: %q is no PersistentVolumeClaim", ErrOptions, o.Claim)
	case o.Memory < 0 || o.Deadline < time.Second || o.Attempts < 1 || o.Parallel < 0:
		return nil, fmt.Errorf("%w: a limit is negative, or the deadline less than a second", ErrOptions)
	}
	seconds := int64(o.Deadline/time.Second) + 60 // the child's deadline is to come first, for the result
	return &values{Options: o, Retries: o.Attempts - 1, MemoryLimit: o.Memory * 3 / 2, Seconds: seconds, PoisonExit: fleet.ExitPoison}, nil
}

func execute(w io.Writer, name string, v *values) error {
	var b bytes.Buffer // all of it, or nothing
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
