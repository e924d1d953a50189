package cos

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/vmem"
)

// A ContainerDetail is a container in depth, running or not: what it was asked to be, by the bundle that its runtime has in
// memory, and what the kernel lets it do. It is of the section SectionContainers.
type ContainerDetail struct {
	ID        string `json:"id"`
	PodUID    string `json:"podUID" jsonx:"null"`
	Namespace string `json:"namespace" jsonx:"null"`
	Pod       string `json:"pod" jsonx:"null"`
	Name      string `json:"name" jsonx:"null"`
	Sandbox   bool   `json:"sandbox"` // it is the pod's sandbox
	Image     string `json:"image" jsonx:"null"`

	Lifecycle *Lifecycle `json:"lifecycle"` // nil where the runtime's database does not have it, or is not in memory

	Bundle  string `json:"bundle" jsonx:"null"`  // its directory, as the node sees it; empty: none is in memory
	Shim    string `json:"shim" jsonx:"null"`    // the program that runs it for containerd
	Runtime string `json:"runtime" jsonx:"null"` // the runtime's program, where the bundle names one
	InitPID int32  `json:"initPID" jsonx:"null"` // as the bundle says; 0 where it does not
	Running bool   `json:"running"`              // processes are in it

	Spec        *ContainerSpec `json:"spec"`   // nil where config.json is not there, or lost
	Actual      *Posture       `json:"actual"` // of its first process; nil where there is none
	Differences []Difference   `json:"differences"`
	Violations  []Violation    `json:"violations"` // of the Pod Security Standards

	Programs []ContainerProgram `json:"programs"` // that run in it, by path; but for those whose files are gone
	Written  []WrittenFile      `json:"written"`  // what it has in the upper layer of its root, by path, as far as names are in memory
}

// Containers reads the containers of the node in depth; beside it is what was lost. Only the end of ctx is an error.
func (n *Node) Containers(ctx context.Context) ([]ContainerDetail, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readContainerDetails(ctx, a)
}

// addContainers adds the section to the report.
func (a *analysis) addContainers(ctx context.Context) error {
	all, gaps, err := readContainerDetails(ctx, a)
	if err != nil {
		return err
	}
	a.report.Containers = all
	a.lose(gaps)
	return nil
}

// A containerReader reads containers in depth.
type containerReader struct {
	*analysis
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	files *pagecache.FS   // as process 1 sees them; nil where they can't be read
	set   *pagecache.Set
	node  linux.Namespaces
	views postureViews
	byID  map[string]*ContainerDetail
	inits map[string]*linux.Task // the first process of each, by what it started first
	byPID map[int32]*linux.Task
	in    map[int32]string // the container of each process that is in one
	gaps  []vmem.Gap
	left  int64 // of maxBundles

	layerless bool // the loss of all layers was told
}

// maxBundles bounds what is read of all bundles together, in bytes.
const maxBundles = 256 << 20

// fileSet returns the file systems of the node, which are read once for all sections.
func (a *analysis) fileSet(ctx context.Context) (*pagecache.Set, error) {
	return a.files.get(ctx, false, func(ctx context.Context) (*pagecache.Set, error) {
		modules, err := a.moduleSet(ctx)
		if err != nil {
			return nil, err
		}
		return pagecache.Open(ctx, a.kernel, &pagecache.Options{Tasks: a.tasks, Modules: modules})
	})
}

func readContainerDetails(ctx context.Context, a *analysis) ([]ContainerDetail, []vmem.Gap, error) {
	r := &containerReader{analysis: a, ctx: ctx, views: bindPosture(a.kernel),
		byID: map[string]*ContainerDetail{}, left: maxBundles, inits: map[string]*linux.Task{}, byPID: map[int32]*linux.Task{}, in: map[int32]string{}}
	r.open()
	r.known()
	r.databases()
	for _, dir := range r.bundleRoots() {
		r.bundles(dir)
	}
	all := make([]ContainerDetail, 0, len(r.byID))
	for _, id := range slices.Sorted(maps.Keys(r.byID)) { // so that gaps are in one order
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		c := r.byID[id]
		r.actual(c)
		c.Differences, c.Violations = differences(c.Spec, c.Actual), violations(c.Spec, c.Actual)
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b ContainerDetail) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.PodUID, b.PodUID), cmp.Compare(b2i(b.Sandbox), b2i(a.Sandbox)),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	limitSection(a, &r.gaps, "containers", &all, func(c *ContainerDetail) int {
		text, err := jsonx.Marshal(c)
		if err != nil {
			return 0
		}
		return len(text)
	})
	return all, r.gaps, ctx.Err()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *containerReader) lose(object string, err error) {
	r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
}

// open opens the files of process 1.
func (r *containerReader) open() {
	for _, t := range r.tasks {
		r.byPID[t.PID] = t
	}
	first := r.byPID[1]
	set, err := r.fileSet(r.ctx)
	if err == nil && first == nil {
		err = fmt.Errorf("process 1: %w", linux.ErrNone)
	}
	if err == nil {
		r.set = set
		r.gaps = append(r.gaps, set.Gaps()...)
		r.files, err = set.FS(r.ctx, first)
	}
	if err != nil {
		if r.ctx.Err() == nil {
			r.lose("bundles of containers", err)
		}
		return
	}
	if r.node, err = first.Namespaces(); err != nil {
		r.lose("namespaces of process 1", err)
	}
}

// known takes the containers that the report has.
func (r *containerReader) known() {
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		t := r.tasks[i]
		if p.ContainerID == "" {
			continue
		}
		r.in[p.PID] = p.ContainerID
		c := r.container(p.ContainerID)
		c.PodUID, c.Running = p.PodUID, true
		if first := r.inits[c.ID]; first == nil || p.StartTime.Before(r.started(first)) {
			r.inits[c.ID] = t
		}
	}
	for i := range r.report.Pods {
		p := &r.report.Pods[i]
		if p.SandboxID != "" {
			c := r.container(p.SandboxID)
			c.PodUID, c.Namespace, c.Pod, c.Sandbox = p.UID, p.Namespace, p.Name, true
		}
		for j := range p.Containers {
			if p.Containers[j].ID == "" {
				continue
			}
			c := r.container(p.Containers[j].ID)
			c.PodUID, c.Namespace, c.Pod, c.Name, c.Image = p.UID, p.Namespace, p.Name, p.Containers[j].Name, p.Containers[j].Image
		}
	}
}

func (r *containerReader) started(t *linux.Task) (at time.Time) {
	for i := range r.tasks {
		if r.tasks[i] == t {
			return r.report.Processes[i].StartTime
		}
	}
	return at
}

func (r *containerReader) container(id string) *ContainerDetail {
	c := r.byID[id]
	if c == nil {
		c = &ContainerDetail{ID: id}
		r.byID[id] = c
	}
	return c
}

// taskDir is what containerd's shims keep bundles in, below containerd's state directory.
const taskDir = "/io.containerd.runtime.v2.task"

// bundleRoots returns the directories that have bundles: those that shims work in, and the usual one.
func (r *containerReader) bundleRoots() []string {
	roots := []string{"run/containerd" + taskDir}
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		if before, _, ok := strings.Cut(p.Cwd, taskDir+"/"); ok && p.ContainerID == "" {
			roots = append(roots, strings.TrimPrefix(before, "/")+taskDir)
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// bundles reads the bundles of all of containerd's namespaces below a directory.
func (r *containerReader) bundles(root string) {
	if r.files == nil {
		return
	}
	for _, ns := range r.dir(root) {
		for _, e := range r.dir(path.Join(root, ns)) {
			// One that is being deleted has a dot before its name.
			if id := strings.TrimPrefix(e, "."); claim.IsContainerID(id) {
				r.bundle(id, path.Join(root, ns, e))
			}
		}
	}
}

func (r *containerReader) dir(name string) (all []string) {
	entries, err := r.files.ReadDir(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.lose("bundles of containers", err)
	}
	for _, e := range entries {
		if e.IsDir() && fs.ValidPath(e.Name()) {
			all = append(all, e.Name())
		}
	}
	return all
}

// text returns what a small file of a bundle says; nothing where there is none.
func (r *containerReader) text(name string, most int64) []byte {
	f, err := r.files.Find(name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (f.Size > most || !f.IsRegular()) {
		err = fmt.Errorf("a file of %d bytes, of mode %v", f.Size, f.FileMode())
	}
	if err == nil && f.Size > r.left {
		err = fmt.Errorf("%w: the bundles of all containers have more than %d bytes", kstruct.ErrTooLong, maxBundles)
	}
	var b []byte
	if err == nil {
		r.left -= f.Size
		b, err = fs.ReadFile(r.files, name)
	}
	if err != nil {
		r.lose("/"+name, err)
		return nil
	}
	return b
}

// bundle reads what a bundle has.
func (r *containerReader) bundle(id, dir string) {
	const small = 4 << 10
	c := r.container(id)
	c.Bundle = "/" + dir
	c.Shim = string(r.text(dir+"/shim-binary-path", small))
	c.Runtime = string(r.text(dir+"/runtime", small))
	if pid, err := strconv.ParseInt(string(bytes.TrimSpace(r.text(dir+"/init.pid", small))), 10, 32); err == nil {
		c.InitPID = int32(pid)
	}
	text := r.text(dir+"/config.json", maxSpec)
	if text == nil {
		return
	}
	spec, err := parseSpec(text, r.seal)
	if err != nil {
		r.lose(c.Bundle, err)
		return
	}
	c.Spec = spec
	r.annotations(c)
}

// annotations are what containerd writes down in a specification of the container that it is of. The kernel's account, which the report has, goes
// before.
func (r *containerReader) annotations(c *ContainerDetail) {
	for _, a := range c.Spec.Annotations {
		set := func(to *string) {
			if *to == "" {
				*to = value(a.Value)
			}
		}
		switch a.Name {
		case "io.kubernetes.cri.sandbox-uid":
			set(&c.PodUID)
		case "io.kubernetes.cri.sandbox-namespace":
			set(&c.Namespace)
		case "io.kubernetes.cri.sandbox-name":
			set(&c.Pod)
		case "io.kubernetes.cri.container-name":
			set(&c.Name)
		case "io.kubernetes.cri.image-name":
			set(&c.Image)
		case "io.kubernetes.cri.container-type":
			c.Sandbox = c.Sandbox || value(a.Value) == "sandbox"
		}
	}
}

// actual reads what the kernel lets the first process of a container do.
func (r *containerReader) actual(c *ContainerDetail) {
	t := r.byPID[c.InitPID]
	if t != nil && r.in[t.PID] != c.ID {
		t = nil // the number is another's by now
	}
	if t == nil {
		t = r.inits[c.ID]
	}
	if t == nil {
		return
	}
	object := "security of " + t.String()
	p, err := r.views.read(r.kernel, t, r.node)
	if err != nil {
		r.lose(object, err)
		return
	}
	if r.set != nil {
		files, err := r.set.FS(r.ctx, t)
		var root *pagecache.File
		if err == nil {
			root, err = files.Find(".", true)
		}
		if err != nil {
			r.lose(object, err)
		} else {
			p.ReadOnlyRoot = files.ReadOnly(root)
			r.programs(c, t, files)
			r.written(c, files, root)
		}
	}
	c.Actual = p
}
