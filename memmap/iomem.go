package memmap

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which a text tells no resources.
var (
	// ErrIOMem: it is not that of /proc/iomem.
	ErrIOMem = errors.New("not /proc/iomem")
	// ErrHidden: every address in it is 0, which is what the kernel shows to those without
	// CAP_SYS_ADMIN.
	ErrHidden = errors.New("/proc/iomem shows no addresses")
)

// A Resource is a line of /proc/iomem: who has a range of physical addresses.
type Resource struct {
	Range vmem.Range[vmem.PhysAddr]
	Name  string
	Depth int // how many resources it lies in
}

// ParseIOMem reads the text of /proc/iomem (r_show of kernel/resource.c): a line each,
// indented by two spaces for each resource it lies in, with inclusive ends. Errors wrap
// ErrIOMem or ErrHidden.
func ParseIOMem(text []byte) ([]Resource, error) {
	var resources []Resource
	hidden := true
	for line := range bytes.Lines(text) {
		r, err := parseResource(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, fmt.Errorf("memmap: %w: line %d: %w", ErrIOMem, len(resources)+1, err)
		}
		hidden = hidden && r.Range.Start == 0 && r.Range.Size == 1
		resources = append(resources, r)
	}
	switch {
	case len(resources) == 0:
		return nil, fmt.Errorf("memmap: %w: it is empty", ErrIOMem)
	case hidden:
		return nil, fmt.Errorf("memmap: %w", ErrHidden)
	}
	return resources, nil
}

// parseResource reads a line as "  000f0000-000fffff : System ROM".
func parseResource(line string) (Resource, error) {
	text := strings.TrimLeft(line, " ")
	bounds, name, ok := strings.Cut(text, " : ")
	if !ok {
		return Resource{}, fmt.Errorf("%.80q names no resource", line)
	}
	first, last, ok := strings.Cut(bounds, "-")
	start, err1 := strconv.ParseUint(first, 16, 64)
	end, err2 := strconv.ParseUint(last, 16, 64)
	if err := errors.Join(err1, err2); !ok || err != nil || end < start || end-start == ^uint64(0) {
		return Resource{}, fmt.Errorf("%.80q has no range of addresses", line)
	}
	return Resource{
		Range: vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(start), Size: end - start + 1},
		Name:  name, Depth: (len(line) - len(text)) / 2,
	}, nil
}

// SystemRAM returns what of the resources is RAM that the kernel manages: "System RAM",
// and hotplugged memory such as "System RAM (kmem)" and "System RAM (virtio_mem)", which
// lies inside the resource of its device. Ranges are ascending, disjoint and merged, for
// firmware splits RAM anywhere.
func SystemRAM(resources []Resource) []vmem.Range[vmem.PhysAddr] {
	var ram []vmem.Range[vmem.PhysAddr]
	for _, r := range resources {
		if r.Name == "System RAM" || strings.HasPrefix(r.Name, "System RAM (") {
			ram = append(ram, r.Range)
		}
	}
	return vmem.NormalizeRanges(ram)
}
