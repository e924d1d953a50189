package cos

import (
	"context"
	"errors"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/vmem"
)

// ProcessMaps are the mappings of a process: the section SectionMaps.
type ProcessMaps struct {
	PID         int32     `json:"pid"`
	PodUID      string    `json:"podUID" jsonx:"null"` // as in Processes
	ContainerID string    `json:"containerID" jsonx:"null"`
	Mappings    []Mapping `json:"mappings"` // by ascending address
}

// A Mapping is a mapping as /proc/PID/maps and smaps show it.
type Mapping struct {
	Start         vmem.VirtAddr `json:"start"`
	End           vmem.VirtAddr `json:"end"`    // exclusive
	Flags         string        `json:"flags"`  // such as r-xp
	Offset        uint64        `json:"offset"` // in the file, in bytes
	Major         uint32        `json:"major"`  // of the file's device
	Minor         uint32        `json:"minor"`
	Inode         uint64        `json:"inode"`
	Path          string        `json:"path" jsonx:"null"` // of the file, or a name in brackets
	VMFlags       []string      `json:"vmFlags"`
	ProtectionKey int           `json:"protectionKey"`
	Usage         memory.Usage  `json:"usage"`
	Address       vmem.VirtAddr `json:"address"` // of the vm_area_struct
}

// Maps reads the mappings of each process, with what each takes; beside it is what was lost. Only the end of ctx is an error.
func (n *Node) Maps(ctx context.Context) ([]ProcessMaps, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readMaps(ctx, a)
}

// addMaps adds the section to the report.
func (a *analysis) addMaps(ctx context.Context) error {
	all, gaps, err := readMaps(ctx, a)
	if err != nil {
		return err
	}
	a.report.Maps = all
	a.lose(gaps)
	return nil
}

func readMaps(ctx context.Context, a *analysis) ([]ProcessMaps, []vmem.Gap, error) {
	r, pods := memory.New(a.kernel, nil), indexPods(a.report)
	all, gaps := []ProcessMaps{}, []vmem.Gap{}
	for _, t := range a.tasks {
		mm, err := t.MM()
		if errors.Is(err, linux.ErrNone) {
			continue
		}
		one := ProcessMaps{PID: t.PID, Mappings: []Mapping{}}
		if p := pods.processes[t.PID]; p != nil {
			one.PodUID, one.ContainerID = p.PodUID, p.ContainerID
		}
		if err == nil {
			one.Mappings, err = mappingsOf(ctx, r, mm, &gaps)
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			gaps = append(gaps, vmem.NewGap("mappings of "+t.String(), vmem.Place{}, err))
		}
		all = append(all, one)
	}
	limitSection(a, &gaps, "mappings", &all, sizeOfJSON[ProcessMaps])
	return all, gaps, nil
}

// mappingsOf reads the mappings of one process.
func mappingsOf(ctx context.Context, r *memory.Reader, mm *linux.MM, gaps *[]vmem.Gap) ([]Mapping, error) {
	all := []Mapping{}
	for m, err := range r.Mappings(ctx, mm) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			*gaps = append(*gaps, vmem.NewGap("mappings", vmem.Place{}, err))
		}
		if m.Addr == 0 {
			continue
		}
		u, err := r.Usage(ctx, mm, &m.VMA)
		if err != nil {
			*gaps = append(*gaps, vmem.NewGap("memory of mappings", vmem.Place{}, err))
		}
		all = append(all, Mapping{
			Start: m.Range.Start, End: m.Range.Last() + 1, Flags: m.Flags.String(), Offset: m.Offset, Major: m.Major, Minor: m.Minor, Inode: m.Number,
			Path: m.Path, VMFlags: r.FlagNames(m.Flags), ProtectionKey: m.ProtectionKey(), Usage: u, Address: m.Addr,
		})
	}
	return all, nil
}
