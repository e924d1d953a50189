package cos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/linux"
)

// A Node is a node whose memory image is open, and whose kernel was found. It is safe for
// concurrent use.
type Node struct {
	image  *image.File
	kernel *image.Kernel
	owned  bool // the image is to be closed

	sections             Sections // of reports
	vmlinux, moduleFiles string   // what code is compared with
	secrets              secrecy

	provenance Provenance // but for the kernel's clock
	notes      []string   // on the provenance

	tasks cached[*tasks]    // by who asks for processes
	base  cached[*analysis] // by who asks for pods, or for a section
}

// The reasons for which a Node does not have what was asked for.
var (
	// ErrNoProcess: there is no process with that PID.
	ErrNoProcess = errors.New("no such process")
	// ErrNoPod: the process is in no pod.
	ErrNoPod = errors.New("in no pod")
)

// OpenNode opens a memory image and finds the kernel in it. The caller must Close the Node.
// It fails where AnalyzeNode does.
func OpenNode(ctx context.Context, img Image, opts *Options) (*Node, error) {
	if opts == nil {
		opts = new(Options)
	}
	settings := opts.image()
	n := &Node{owned: img.mem == nil, sections: opts.Sections, vmlinux: opts.Vmlinux, moduleFiles: opts.ModuleFiles, secrets: secrecy{opts.Secrets, opts.SecretKey}}
	var err error
	if n.image, err = img.open(ctx, settings); err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	if n.kernel, err = image.OpenKernel(ctx, n.image, settings); err != nil {
		if _, told := errors.AsType[*image.Error](err); !told {
			err = fmt.Errorf("%w%s", err, notWhole(n.image))
		}
		return nil, cmp.Or(fmt.Errorf("cos: %w", err), n.Close())
	}
	if err := n.trace(ctx, opts); err != nil {
		return nil, cmp.Or(fmt.Errorf("cos: %w", err), n.Close())
	}
	return n, nil
}

// trace finds out where the image is from.
func (n *Node) trace(ctx context.Context, opts *Options) (err error) {
	n.provenance, n.notes = provenance(&n.image.Info, opts)
	if !opts.Hash || n.provenance.Size == 0 {
		return nil
	}
	note, err := n.provenance.hash(ctx, n.image, opts.Progress)
	if note != "" {
		n.notes = append(n.notes, note)
	}
	return err
}

// open opens the image, unless the caller has.
func (i Image) open(ctx context.Context, opts *image.Options) (*image.File, error) {
	switch m := i.mem.(type) {
	case nil:
		return image.Open(ctx, i.name, opts)
	case *image.File:
		return m, nil
	default:
		return &image.File{Memory: m}, nil
	}
}

// Report reads what ran on the node, with the sections of Options. Of an image that stays as it is, every report is the
// same, but for damage that reading has met since.
func (n *Node) Report(ctx context.Context) (*NodeReport, error) {
	p, err := n.read(ctx)
	if err != nil {
		return nil, err
	}
	return p.report(n.frame()), nil
}

// parts are what a report is made of.
type parts struct {
	base     NodeReport // without sections, and what is known of the image
	sections [len(sectionNames)]*section
	drawn    bool // the key of its digests is drawn at random
}

// read reads the parts of a report.
func (n *Node) read(ctx context.Context) (*parts, error) {
	a, err := n.analyze(ctx)
	if err != nil {
		return nil, err
	}
	p := &parts{base: *a.report, drawn: a.seal.drawn}
	p.sections, err = a.read(ctx, n.sections)
	return p, err
}

// report makes a report of its parts.
func (p *parts) report(f *frame) *NodeReport {
	r := p.base
	for i, s := range p.sections {
		if s != nil {
			r.add(i, s)
		}
	}
	f.complete(&r)
	return &r
}

func (n *Node) analyze(ctx context.Context) (*analysis, error) {
	a, err := readNode(ctx, n.kernel.Kernel, n.secrets)
	if err == nil {
		a.vmlinux, a.moduleFiles = n.vmlinux, n.moduleFiles
	}
	return a, err
}

// analysis returns what sections are joined with. It is read once for all calls, but on the
// running machine.
func (n *Node) analysis(ctx context.Context) (*analysis, error) {
	return n.base.get(ctx, n.kernel.Live(), n.analyze)
}

// A tasks is all processes of a node.
type tasks struct {
	byPID map[int32]*linux.Task
	lost  error // a loss of the walk, if there is one
}

// Process returns the leader of the thread group with a PID of the initial PID namespace,
// from which its memory, files and mounts can be read. The error wraps ErrNoProcess where
// there is none, and the first loss on the way if there was one: it may have been that.
//
// The walk over all processes is done once for all calls, but on the running machine.
func (n *Node) Process(ctx context.Context, pid int32) (*linux.Task, error) {
	all, err := n.tasks.get(ctx, n.kernel.Live(), n.readTasks)
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	t, ok := all.byPID[pid]
	switch {
	case ok:
		return t, nil
	case all.lost != nil:
		return nil, fmt.Errorf("cos: PID %d: %w, though the processes are not all known: %w", pid, ErrNoProcess, all.lost)
	}
	return nil, fmt.Errorf("cos: PID %d: %w", pid, ErrNoProcess)
}

func (n *Node) readTasks(ctx context.Context) (*tasks, error) {
	all := &tasks{byPID: map[int32]*linux.Task{}}
	for t, err := range n.kernel.Census(ctx) {
		if err != nil {
			all.lost = cmp.Or(all.lost, err)
			continue
		}
		all.byPID[t.PID] = t
	}
	return all, ctx.Err()
}

// Pod returns the pod that a task is in, with all that is known of it. The error wraps
// ErrNoPod where it is in none. The caller must not change the Pod.
//
// The node is reported on once for all calls, but on the running machine.
func (n *Node) Pod(ctx context.Context, t *linux.Task) (*Pod, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, err
	}
	r := a.report
	i, ok := slices.BinarySearchFunc(r.Processes, t.TGID, func(p Process, pid int32) int { return cmp.Compare(p.PID, pid) })
	if !ok || r.Processes[i].PodUID == "" {
		return nil, fmt.Errorf("cos: %v: %w", t, ErrNoPod)
	}
	for k := range r.Pods {
		if r.Pods[k].UID == r.Processes[i].PodUID {
			return &r.Pods[k], nil
		}
	}
	return nil, fmt.Errorf("cos: %v: %w", t, ErrNoPod)
}

// Kernel returns the node's kernel.
func (n *Node) Kernel() *linux.Kernel { return n.kernel.Kernel }

// Image says what the image was found to be. Of memory that the caller has opened it is
// empty, unless that is an [image.File].
func (n *Node) Image() image.Info { return n.image.Info }

// Close releases the image, unless the caller has opened it.
func (n *Node) Close() error {
	if !n.owned {
		return nil
	}
	return n.image.Close()
}
