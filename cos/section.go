package cos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/vmem"
)

// Sections are parts of a report beyond its processes and pods: a set, whose zero value is
// none of them. A section that is not asked for costs nothing, and is not in the report.
type Sections uint64

// The sections that there are. Each is named in JSON, and on command lines, as String does.
const (
	// SectionNetwork is the node's network: [NodeReport].Network, and [Node.Network].
	SectionNetwork Sections = 1 << iota
	// SectionHooks is where the kernel can be made to run other code, and what runs there:
	// [NodeReport].Hooks, and [Node.Hooks].
	SectionHooks
	// SectionBPF is BPF: programs, what they are attached to, who has them, maps and links:
	// [NodeReport].BPF, and [Node.BPF].
	SectionBPF
	// SectionModules are the modules of its kernel: [NodeReport].Modules, and [Node.Modules].
	SectionModules
	// SectionLog is the log of its kernel: [NodeReport].Log, and [Node.Log].
	SectionLog
	// SectionKernel is how its kernel was set up: [Kernel].Settings, and [Node.Settings].
	SectionKernel
	// SectionContainers are its containers in depth: [NodeReport].Containers, and [Node.Containers].
	SectionContainers
	// SectionFiles are its file systems, and what in them has no name: [NodeReport].Files, and [Node.Files].
	SectionFiles
	// SectionSecurity is what processes may do: [NodeReport].Security, and [Node.Security].
	SectionSecurity
	// SectionMemory is what is suspicious in the memory of processes: [NodeReport].Memory, and
	// [Node.SuspiciousMemory].
	SectionMemory
	// SectionMaps are the mappings of processes: [NodeReport].Maps, and [Node.Maps].
	SectionMaps

	sectionsEnd
	// AllSections are all of them, also those that later versions have.
	AllSections = sectionsEnd - 1
)

// sectionNames are the names of the sections, by the number of their bit.
var sectionNames = [...]string{"network", "hooks", "bpf", "modules", "log", "kernel", "containers", "files", "security", "memory", "maps"}

// sectionReaders are how sections are read, likewise. Each sets a member of the report and
// notes what was lost, and depends on no other section. Only the end of ctx is an error.
var sectionReaders = [len(sectionNames)]func(*analysis, context.Context) error{
	(*analysis).addNetwork,
	(*analysis).addHooks,
	(*analysis).addBPF,
	(*analysis).addModules,
	(*analysis).addLog,
	(*analysis).addSettings,
	(*analysis).addContainers,
	(*analysis).addFiles,
	(*analysis).addSecurity,
	(*analysis).addMemory,
	(*analysis).addMaps,
}

// ErrSection is the reason for which ParseSections takes no names.
var ErrSection = errors.New("not a section")

// ParseSections takes names of sections, separated by commas. The error wraps ErrSection
// where one is no name or is there twice; it tells which there are.
func ParseSections(names string) (Sections, error) {
	var set Sections
	for name := range strings.SplitSeq(names, ",") {
		i := slices.Index(sectionNames[:], name)
		switch {
		case i < 0:
			return 0, fmt.Errorf("cos: %w: %q; there are: %v", ErrSection, name, AllSections)
		case set&(1<<i) != 0:
			return 0, fmt.Errorf("cos: %w: %q, which is there twice", ErrSection, name)
		}
		set |= 1 << i
	}
	return set, nil
}

// String returns the names of the sections, separated by commas, as ParseSections takes
// them; none is the empty string.
func (s Sections) String() string {
	var names []string
	for i, name := range sectionNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := s &^ AllSections; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint64(rest)))
	}
	return strings.Join(names, ",")
}

// An analysis is what was read of a node, and what more is read is joined with.
type analysis struct {
	kernel *linux.Kernel
	tasks  []*linux.Task // of the report's processes, in their order
	report *NodeReport
	lost   []losses // of the section that is being read

	vmlinux, moduleFiles string // as Options says
	seal                 *sealer

	modules cached[*module.Set]    // of the sections that need modules
	files   cached[*pagecache.Set] // of those that need files
}

// moduleSet returns the modules of the kernel, which are read once for all sections.
func (a *analysis) moduleSet(ctx context.Context) (*module.Set, error) {
	return a.modules.get(ctx, false, func(ctx context.Context) (*module.Set, error) { return module.Open(ctx, a.kernel, nil) })
}

// A section is one as it was read: a report that has nothing else, and what was lost of it, at a time each.
type section struct {
	Report NodeReport `json:"report"`
	Lost   []losses   `json:"lost"`
}

// losses are what was lost at one time.
type losses struct {
	Gaps []vmem.Gap `json:"gaps"`
}

// lose notes what was lost of the section that is being read.
func (a *analysis) lose(gaps []vmem.Gap) { a.lost = append(a.lost, losses{gaps}) }

// sectionMembers copy what a section is in a report to another report, by the number of the section.
var sectionMembers = [len(sectionNames)]func(to, from *NodeReport){
	func(to, from *NodeReport) { to.Network = from.Network },
	func(to, from *NodeReport) { to.Hooks, to.Text = from.Hooks, from.Text },
	func(to, from *NodeReport) { to.BPF = from.BPF },
	func(to, from *NodeReport) { to.Modules = from.Modules },
	func(to, from *NodeReport) { to.Log = from.Log },
	func(to, from *NodeReport) { to.Kernel.Settings = from.Kernel.Settings },
	func(to, from *NodeReport) { to.Containers = from.Containers },
	func(to, from *NodeReport) { to.Files = from.Files },
	func(to, from *NodeReport) { to.Security = from.Security },
	func(to, from *NodeReport) { to.Memory = from.Memory },
	func(to, from *NodeReport) { to.Maps = from.Maps },
}

// add adds a section to a report, and what was lost of it but for what is told already.
func (r *NodeReport) add(number int, s *section) {
	type key struct {
		object string
		place  vmem.Place
		reason string
	}
	keyOf := func(g vmem.Gap) key { return key{g.Object, g.Place, g.Error()} }
	sectionMembers[number](r, &s.Report)
	for _, lost := range s.Lost {
		told := map[key]bool{}
		for _, g := range r.Gaps {
			told[keyOf(g)] = true
		}
		for _, g := range lost.Gaps {
			if !told[keyOf(g)] {
				r.Gaps = append(r.Gaps, g)
			}
		}
	}
}

// read reads sections; of those that are not asked for it returns nil.
func (a *analysis) read(ctx context.Context, sections Sections) (all [len(sectionNames)]*section, err error) {
	for i, read := range sectionReaders {
		if sections&(1<<i) == 0 {
			continue
		}
		a.lost = nil
		if err := read(a, ctx); err != nil {
			return all, fmt.Errorf("cos: %s: %w", sectionNames[i], err)
		}
		all[i] = &section{Lost: a.lost}
		sectionMembers[i](&all[i].Report, a.report)
	}
	return all, nil
}
