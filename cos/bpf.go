package cos

import (
	"context"
	"encoding/hex"
	"iter"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A BPF is what the kernel had of BPF: the section SectionBPF.
type BPF struct {
	Programs    []BPFProgram        `json:"programs"`
	Maps        []BPFMap            `json:"maps"`
	Links       []bpf.Link          `json:"links"`
	BTF         []bpf.BTF           `json:"btf"`
	Cgroups     []bpf.Cgroup        `json:"cgroups"` // those with programs, from the root down
	Trampolines []bpf.Trampoline    `json:"trampolines"`
	Images      []bpf.Image         `json:"images"`  // all compiled code, by address
	Filters     []bpf.ClassicFilter `json:"filters"` // of system calls
}

// A BPFProgram is a program, and whose it is.
type BPFProgram struct {
	bpf.Program
	// PodUID is the pod of a process that has it open, or else of a cgroup that it is attached to; ContainerID likewise.
	PodUID      string `json:"podUID" jsonx:"null"`
	ContainerID string `json:"containerID" jsonx:"null"`
}

// A BPFMap is a map, and whose it is.
type BPFMap struct {
	bpf.Map
	PodUID      string       `json:"podUID" jsonx:"null"` // of a process that has it open, as is ContainerID
	ContainerID string       `json:"containerID" jsonx:"null"`
	Elements    []BPFElement `json:"elements"` // the first of them
	More        bool         `json:"more"`     // there are others, which package bpf gives
}

// A BPFElement is an entry of a map, in hexadecimal.
type BPFElement struct {
	Key    string        `json:"key"`              // empty of a queue
	Value  string        `json:"value"`            // empty where each CPU has one
	PerCPU []string      `json:"values,omitempty"` // those of each CPU
	Object vmem.VirtAddr `json:"object,omitempty"` // what it stands for: see bpf.Element
}

// BPF reads what the kernel has of BPF and joins it with the pods; beside it is what was lost. Only
// the end of ctx is an error.
func (n *Node) BPF(ctx context.Context) (*BPF, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readBPF(ctx, a)
}

// addBPF adds the section to the report.
func (a *analysis) addBPF(ctx context.Context) error {
	b, gaps, err := readBPF(ctx, a)
	if err != nil {
		return err
	}
	a.report.BPF = b
	a.lose(gaps)
	return nil
}

// A bpfReader reads what a node has of BPF.
type bpfReader struct {
	*analysis
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	pods podIndex
	set  *bpf.Set
	out  *BPF
	gaps []vmem.Gap
}

func readBPF(ctx context.Context, a *analysis) (*BPF, []vmem.Gap, error) {
	r := &bpfReader{analysis: a, ctx: ctx, pods: indexPods(a.report), out: new(BPF)}
	modules, err := a.moduleSet(ctx)
	if err != nil {
		return nil, nil, err
	}
	opts := &bpf.Options{Tasks: a.tasks, Modules: modules}
	opts.Network = func() ([]*network.Configuration, []*socket.Socket) { return r.network(modules) }
	if r.set, err = bpf.Open(ctx, a.kernel, opts); err != nil {
		return nil, nil, err
	}
	r.gaps = append(r.gaps, r.set.Gaps()...)
	for _, p := range r.set.Programs() {
		r.program(p)
	}
	for _, m := range r.set.Maps() {
		r.aMap(m)
	}
	r.out.Links = plain(r, "BPF links", r.set.Links())
	r.out.BTF = plain(r, "BTF", r.set.BTFs())
	r.out.Cgroups = plain(r, "cgroups with BPF programs", r.set.Cgroups())
	r.out.Trampolines = plain(r, "BPF trampolines", r.set.Trampolines())
	r.out.Filters = plain(r, "seccomp filters", r.set.Classic())
	for _, i := range r.set.Images() {
		r.out.Images = append(r.out.Images, plain(r, "code of BPF", []*bpf.Image{&i})...)
	}
	r.limit()
	return r.out, r.gaps, ctx.Err()
}

// network gives what package network read of devices and sockets, for the programs that these have: what is in
// the report, or else read now.
func (r *bpfReader) network(modules *module.Set) (configurations []*network.Configuration, sockets []*socket.Socket) {
	if n := r.report.Network; n != nil {
		for i := range n.Namespaces {
			ns := &n.Namespaces[i]
			c := ns.Configuration
			c.Namespace = &ns.Namespace
			configurations = append(configurations, &c)
		}
		for i := range n.Sockets {
			sockets = append(sockets, &n.Sockets[i].Socket)
		}
		return configurations, sockets
	}
	namespaces := collect(r, "network namespaces", network.Namespaces(r.ctx, r.kernel, r.tasks))
	configurations = collect(r, "network devices", network.Configurations(r.ctx, r.kernel, namespaces, &network.Options{Types: modules.Types}))
	return configurations, collect(r, "sockets", socket.Sockets(r.ctx, r.kernel, &socket.Options{Tasks: r.tasks, Namespaces: namespaces}))
}

// collect returns what a walk yields without an error, and loses the errors.
func collect[T any](r *bpfReader, object string, walk iter.Seq2[T, error]) (all []T) {
	for t, err := range walk {
		if err != nil {
			r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
		} else {
			all = append(all, t)
		}
	}
	return all
}

// plain returns records as they are written: without what package bpf keeps to read more of them.
func plain[T any](r *bpfReader, object string, all []*T) []T {
	var out []T
	for _, record := range all {
		var t T
		text, err := jsonx.Marshal(record)
		if err == nil {
			err = jsonx.Unmarshal(text, &t)
		}
		if err != nil {
			r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
			continue
		}
		out = append(out, t)
	}
	return out
}

// podOf returns the pod and the container of the first process in one that has an object open.
func (r *bpfReader) podOf(owners []bpf.Owner) (pod, container string) {
	for _, o := range owners {
		if p := r.pods.processes[o.PID]; p != nil && p.PodUID != "" {
			return p.PodUID, p.ContainerID
		}
	}
	return "", ""
}

func (r *bpfReader) program(p *bpf.Program) {
	for _, q := range plain(r, "BPF programs", []*bpf.Program{p}) {
		out := BPFProgram{Program: q}
		out.PodUID, out.ContainerID = r.podOf(p.Owners)
		for i := range p.Attachments {
			if a := &p.Attachments[i]; out.PodUID == "" && a.Kind == "cgroup" {
				if name, ok := ParseCgroupPath(a.Target); ok && r.pods.pods[name.PodUID] != nil {
					out.PodUID, out.ContainerID = name.PodUID, name.ContainerID
				}
			}
		}
		r.out.Programs = append(r.out.Programs, out)
	}
}

// What of a map is in the report.
const (
	maxBPFElements = 256
	maxBPFBytes    = 64 << 10 // of their keys and values
)

func (r *bpfReader) aMap(m *bpf.Map) {
	for _, q := range plain(r, "BPF maps", []*bpf.Map{m}) {
		out := BPFMap{Map: q}
		out.PodUID, out.ContainerID = r.podOf(m.Owners)
		size := 0
		for e, err := range r.set.Elements(r.ctx, m) {
			if err != nil {
				r.gaps = append(r.gaps, vmem.NewGap("BPF map "+m.String(), vmem.Place{}, err))
				continue
			}
			element := BPFElement{Key: hex.EncodeToString(e.Key), Value: hex.EncodeToString(e.Value), Object: e.Object}
			size += len(e.Key) + len(e.Value)
			for _, v := range e.PerCPU {
				element.PerCPU = append(element.PerCPU, hex.EncodeToString(v))
				size += len(v)
			}
			if out.More = len(out.Elements) == maxBPFElements || size > maxBPFBytes; out.More {
				break
			}
			out.Elements = append(out.Elements, element)
		}
		r.out.Maps = append(r.out.Maps, out)
	}
}

// limit cuts what is too long for a report.
func (r *bpfReader) limit() {
	b := newBudget(r.kernel.Limits().ReportBytes, "bytes of JSON")
	b.add(bpfShare(r, "programs", &r.out.Programs), bpfShare(r, "maps", &r.out.Maps), bpfShare(r, "links", &r.out.Links), bpfShare(r, "types", &r.out.BTF),
		bpfShare(r, "cgroups", &r.out.Cgroups), bpfShare(r, "trampolines", &r.out.Trampolines), bpfShare(r, "code", &r.out.Images),
		bpfShare(r, "filters", &r.out.Filters))
	b.finish(b.limit)
}

func bpfShare[T any](r *bpfReader, what string, list *[]T) share {
	size := func(t *T) int {
		text, err := jsonx.Marshal(t)
		if err != nil {
			return 0
		}
		return len(text)
	}
	return newShare("the section", list, size, func(err error) { r.gaps = append(r.gaps, vmem.NewGap("BPF "+what, vmem.Place{}, err)) })
}
