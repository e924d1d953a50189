package linux

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// ownSymbols takes the symbols of a kernel from its image, and says how.
func ownSymbols(ctx context.Context, mem vmem.Memory, progress func(string, int64, int64)) (*isf.File, string, error) {
	f, report, err := btfconv.FromMemory(ctx, mem, &btfconv.MemoryOptions{Progress: progress})
	if err == nil {
		err = report.TypesErr
	}
	if err != nil {
		return nil, "", err
	}
	return f, fmt.Sprintf("the image: %d types of BTF, %d symbols of kallsyms, %d of exports, %d found otherwise",
		report.BTF.Count, report.Kallsyms.Count, report.Exports.Count, len(report.Found)), nil
}
