package cos

import (
	"context"

	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/vmem"
)

// Log reads the log of the node's kernel, the oldest record first; beside it is what was lost.
// Records that were overwritten by newer ones are not: the numbers of those that are there say how many.
// Only the end of ctx is an error.
func (n *Node) Log(ctx context.Context) ([]printk.Record, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readLog(ctx, a)
}

// addLog adds the section to the report.
func (a *analysis) addLog(ctx context.Context) error {
	records, gaps, err := readLog(ctx, a)
	if err != nil {
		return err
	}
	a.report.Log = records
	a.lose(gaps)
	return nil
}

func readLog(ctx context.Context, a *analysis) ([]printk.Record, []vmem.Gap, error) {
	records, gaps := []printk.Record{}, []vmem.Gap(nil)
	for r, err := range printk.Records(ctx, a.kernel) {
		if err != nil {
			gaps = append(gaps, vmem.NewGap("kernel log", vmem.Place{}, err))
			continue
		}
		if len(r.Dictionary) == 0 {
			r.Dictionary = nil // as it is read back
		}
		records = append(records, *r)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	limitSection(a, &gaps, "records of the kernel log", &records, func(r *printk.Record) int {
		return 200 + jsonSize(r.Text) + jsonSize(r.Comm)
	})
	return records, gaps, nil
}
