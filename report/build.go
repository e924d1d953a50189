package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// How much of a node stands in a page at most: a page that a browser can't open says nothing. What is left out is named in the
// page, and stands in the report's JSON.
const (
	maxArgs    = 4096    // characters of the arguments of a process
	maxEnv     = 8 << 20 // bytes of all environments
	maxFDs     = 250_000
	maxRows    = 100_000 // of each other list
	maxDetails = 2_000   // of gaps
)

// A builder makes the data of a page.
type builder struct {
	*masker
	node       *cos.NodeReport
	page       *page
	strings    map[string]int
	pods       map[string]int // by UID
	containers map[string]int // by ID
	processes  map[int32]int  // by PID
	rules      map[string]findings.Rule
}

func newBuilder(node *cos.NodeReport, opts *Options) *builder {
	return &builder{masker: newMasker(opts), node: node, page: new(page),
		strings: map[string]int{}, pods: map[string]int{}, containers: map[string]int{}, processes: map[int32]int{}}
}

func (b *builder) build(result *findings.Result, opts *Options) *page {
	p := b.page
	p.Hostname, p.Whole = text.Printable(b.node.Hostname), b.node.Whole()
	if p.Title = p.Hostname; opts != nil && opts.Title != "" {
		p.Title = text.Printable(opts.Title)
	}
	if p.Title == "" {
		p.Title = "a node without a name"
	}
	p.Captured, p.Booted = millis(b.node.Provenance.Captured), millis(b.node.BootTime)
	for _, n := range b.node.Notes {
		p.Notes = append(p.Notes, text.Line(n))
	}
	b.addPods()
	b.addContainerDetails()
	b.addProcesses()
	b.addNetwork()
	b.addFiles()
	b.addKernel()
	b.addEvents()
	b.addGaps()
	b.addFindings(result)
	p.Sections = map[string]bool{"network": b.node.Network != nil, "files": b.node.Files != nil, "containers": b.node.Containers != nil,
		"security": b.node.Security != nil, "memory": b.node.Memory != nil, "modules": b.node.Modules != nil, "bpf": b.node.BPF != nil,
		"hooks": b.node.Hooks != nil, "log": b.node.Log != nil}
	p.About = b.about()
	p.count()
	if b.n > 0 {
		p.Cut = append(p.Cut, fmt.Sprintf("%d values that may be secrets are hidden", b.n))
	}
	return p
}

// count sets how much there is in the parts.
func (p *page) count() {
	r, t := &p.rest, &p.Totals
	t.Processes, t.Sockets, t.Flows, t.Files, t.Kernel, t.Gaps = len(r.Processes), len(r.Sockets), len(r.Flows), len(r.Files), len(r.Kernel), len(r.Gaps)
	t.Events = len(r.Events)
	for i := range r.Processes {
		if start := r.Processes[i].Start; start != 0 {
			t.Events++
			p.Latest = max(p.Latest, start)
		}
	}
}

// millis returns a time in milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// str returns the number of a text that recurs.
func (b *builder) str(s string) int {
	s = text.Printable(s)
	n, ok := b.strings[s]
	if !ok {
		n = len(b.page.rest.Strings)
		b.strings[s] = n
		b.page.rest.Strings = append(b.page.rest.Strings, s)
	}
	return n
}

// index returns the number of what has a key, -1 for none.
func index[K comparable](m map[K]int, key K) int {
	if n, ok := m[key]; ok {
		return n
	}
	return -1
}

// cut shortens a list to what a page has of it, and says so.
func cut[T any](b *builder, what string, all []T, limit int) []T {
	if len(all) <= limit {
		return all
	}
	b.page.Cut = append(b.page.Cut, fmt.Sprintf("%d of %d %s are in this page; the report's JSON has all", limit, len(all), what))
	return all[:limit]
}

func (b *builder) addPods() {
	for i := range b.node.Pods {
		p := &b.node.Pods[i]
		b.page.Pods = append(b.page.Pods, podName{UID: text.Printable(p.UID), Namespace: text.Printable(p.Namespace), Name: text.Printable(p.Name)})
		pod := pagePod{Containers: []int{}}
		pod.Facts = append(pod.Facts, named("UID", p.UID), named("QoS class", string(p.QoS)))
		for _, e := range p.Evidence {
			pod.Facts = append(pod.Facts, evidenceOf(e))
		}
		b.pods[p.UID] = i
		add := func(id string, name containerName, c pageContainer) {
			pod.Containers = append(pod.Containers, b.addContainer(id, name, c))
		}
		if p.SandboxID != "" {
			add(p.SandboxID, containerName{ID: text.Printable(p.SandboxID), Name: "sandbox", Pod: i, Sandbox: true}, pageContainer{Facts: []fact{named("ID", p.SandboxID)}})
		}
		for _, c := range p.Containers {
			one := pageContainer{Image: text.Printable(c.Image), Facts: []fact{named("ID", c.ID), named("Image", c.Image)}}
			for _, e := range c.Evidence {
				one.Facts = append(one.Facts, evidenceOf(e))
			}
			if len(c.PIDs) == 0 {
				one.Tags = append(one.Tags, "no processes")
			}
			add(c.ID, containerName{ID: text.Printable(c.ID), Name: text.Printable(c.Name), Pod: i}, one)
		}
		b.page.rest.Pods = append(b.page.rest.Pods, pod)
	}
}

// addContainer adds a container, and returns its number.
func (b *builder) addContainer(id string, name containerName, c pageContainer) int {
	n := len(b.page.Containers)
	b.containers[id] = n
	b.page.Containers, b.page.rest.Containers = append(b.page.Containers, name), append(b.page.rest.Containers, c)
	return n
}

// named is a fact whose value is not known where it is empty.
func named(name, value string) fact {
	if value == "" {
		return fact{Name: name, Value: "not known"}
	}
	return fact{Name: name, Value: text.Printable(value)}
}

func evidenceOf(e cos.Evidence) fact {
	source := text.Printable(string(e.Source))
	if e.Source.Hint() {
		source += ", a hint that the pod itself can make"
	}
	if e.PID != 0 {
		source += fmt.Sprintf(", process %d", e.PID)
	}
	return fact{Name: text.Printable(e.Field) + " by " + source, Value: text.Printable(e.Value)}
}

func (b *builder) addProcesses() {
	envBytes, envLeft, fds, fdsLeft := 0, 0, 0, 0
	security := b.security()
	for i := range b.node.Processes {
		p := &b.node.Processes[i]
		b.processes[p.PID] = i
		one := pageProcess{PID: p.PID, PPID: p.PPID, Comm: text.Printable(p.Comm), Exe: b.str(p.Exe), Cwd: b.str(p.Cwd),
			State: b.str(p.State.String()), Kernel: p.KernelThread, Start: millis(p.StartTime), Container: index(b.containers, p.ContainerID), Pod: index(b.pods, p.PodUID),
			Cgroup: b.str(p.Cgroup), Space: b.str(spaces(p.Namespaces)), Security: -1, Address: p.Address.String()}
		one.Args = text.Words(b.arguments(p.Args), maxArgs)
		if len(p.Threads) > 1 {
			one.Threads = len(p.Threads)
		}
		if p.Cred != nil {
			one.UID, one.GID = &p.Cred.UID, &p.Cred.GID
			if p.Cred.EUID != p.Cred.UID {
				one.EUID = &p.Cred.EUID
			}
		}
		if len(p.NamespacedPIDs) > 1 {
			one.Inner = p.NamespacedPIDs[1:]
		}
		if s, ok := security[p.PID]; ok {
			one.Security = b.str(s)
		}
		if p.Sources != linux.LeaderSources {
			one.Hidden = text.Printable(p.Sources.String())
		}
		for k := range p.Env {
			v := b.secret(&p.Env[k])
			if _, known := b.strings[text.Printable(v)]; !known {
				if envBytes += len(v); envBytes > maxEnv {
					envLeft++
					continue
				}
			}
			one.Env = append(one.Env, b.str(v))
		}
		for _, f := range p.FDs {
			if fds++; fds > maxFDs {
				fdsLeft++
				continue
			}
			one.FDs, one.Paths = append(one.FDs, f.FD), append(one.Paths, b.str(f.Path))
			if strings.HasPrefix(f.Path, "/") {
				b.page.Totals.Open++
			}
		}
		if one.Pod >= 0 {
			pod := &b.page.rest.Pods[one.Pod]
			if one.Start != 0 && (pod.Start == 0 || one.Start < pod.Start) {
				pod.Start = one.Start
			}
		}
		b.page.rest.Processes = append(b.page.rest.Processes, one)
	}
	if envLeft > 0 {
		b.page.Cut = append(b.page.Cut, fmt.Sprintf("%d variables of environments are not in this page; the report's JSON has them", envLeft))
	}
	if fdsLeft > 0 {
		b.page.Cut = append(b.page.Cut, fmt.Sprintf("%d open files are not in this page; the report's JSON has them", fdsLeft))
	}
}

// spaces returns the namespaces of a process in one line.
func spaces(n linux.Namespaces) string {
	return fmt.Sprintf("pid %d, net %d, mnt %d, uts %d, ipc %d, user %d, cgroup %d, time %d", n.PID, n.Net, n.Mnt, n.UTS, n.IPC, n.User, n.Cgroup, n.Time)
}

// security returns what processes may do, in one line each.
func (b *builder) security() map[int32]string {
	all := make(map[int32]string, len(b.node.Security))
	for i := range b.node.Security {
		s := &b.node.Security[i]
		line := "capabilities " + orNone(s.Effective.String()) + "; seccomp " + s.Seccomp.Mode
		if s.AppArmor != nil {
			line += "; AppArmor " + s.AppArmor.Profile
		}
		if s.NoNewPrivs {
			line += "; no new privileges"
		}
		all[s.PID] = line
	}
	return all
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// taskOf finds the PID in what a gap calls its object.
var taskOf = regexp.MustCompile(`\b(?:task|process) (\d+)\b`)

func (b *builder) addGaps() {
	all := cut(b, "losses", b.node.Gaps, maxDetails)
	for i, g := range all {
		one := pageGap{Object: text.Line(g.Object), Place: text.Line(g.Place.String()), Reason: text.Printable(string(g.Reason()))}
		if g.Err != nil {
			one.Why = text.Message(g.Err)
		}
		if m := taskOf.FindStringSubmatch(g.Object); m != nil {
			if pid, err := strconv.ParseInt(m[1], 10, 32); err == nil {
				one.PID = int32(pid)
			}
		}
		if n, ok := b.processes[one.PID]; ok && one.PID != 0 {
			p := &b.page.rest.Processes[n]
			p.Gaps = append(p.Gaps, i)
			if p.Pod >= 0 {
				b.page.rest.Pods[p.Pod].Gaps = append(b.page.rest.Pods[p.Pod].Gaps, i)
			}
		}
		b.page.rest.Gaps = append(b.page.rest.Gaps, one)
	}
}

func (b *builder) addEvents() {
	events := slices.DeleteFunc(Timeline(b.node), func(e Event) bool { return e.Kind == ThreadStarted || e.Kind == ProcessStarted })
	for _, e := range cut(b, "events", events, maxRows) {
		b.page.rest.Events = append(b.page.rest.Events, pageEvent{Time: millis(e.Time), Kind: text.Printable(string(e.Kind)), Text: text.Printable(b.shapes(e.Text)), PID: e.PID, Pod: index(b.pods, e.PodUID)})
	}
}

// about returns what the page says of the image and the kernel.
func (b *builder) about() []fact {
	v, k := &b.node.Provenance, &b.node.Kernel
	facts := []fact{named("Node", b.node.Hostname), named("Kernel", k.Release), named("Banner", k.Banner),
		{Name: "Page tables", Value: fmt.Sprintf("%d levels, KASLR shift %#x", k.PageTableLevels, k.KASLRShift)},
		named("Found by", k.FoundBy), named("Symbols", k.Symbols), named("Image", v.Image)}
	if v.Size > 0 {
		facts = append(facts, fact{Name: "Size of the image", Value: fmt.Sprintf("%d bytes", v.Size)})
	}
	facts = append(facts, named("Format", strings.TrimSuffix(v.Format+", "+v.Compression, ", ")), named("SHA-256", v.SHA256))
	if v.SHA256From != "" {
		facts = append(facts, named("SHA-256 from", string(v.SHA256From)))
	}
	facts = append(facts, named("Capture time from", string(v.CapturedFrom)), named("Made by", strings.TrimSpace(v.Tool+" "+v.Version)))
	if len(v.Arguments) > 0 {
		facts = append(facts, fact{Name: "Arguments", Value: text.Words(b.arguments(v.Arguments), maxArgs)})
	}
	if c := b.node.Consistency; c != nil {
		facts = append(facts, fact{Name: "Consistency", Bad: c.Broken > 0,
			Value: text.Printable(fmt.Sprintf("%s: %d of %d invariants are broken; its clocks span %.3f s", c.Verdict, c.Broken, c.Checked, float64(c.Window)))})
	}
	return facts
}

// address returns an address as the page has it, empty for none.
func address(a vmem.VirtAddr) string {
	if a == 0 {
		return ""
	}
	return a.String()
}
