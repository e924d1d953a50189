package cos

import (
	"context"

	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/vmem"
)

// Hooks reads the places where the kernel calls code through pointers or at which calls were put, and says whose code that is; beside it is
// what was lost. Only the end of ctx is an error.
func (n *Node) Hooks(ctx context.Context) ([]integrity.Hook, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readHooks(ctx, a)
}

// addHooks adds the section to the report.
func (a *analysis) addHooks(ctx context.Context) error {
	hooks, gaps, err := readHooks(ctx, a)
	if err != nil {
		return err
	}
	a.report.Hooks = hooks
	a.lose(gaps)
	return a.addText(ctx)
}

func readHooks(ctx context.Context, a *analysis) ([]integrity.Hook, []vmem.Gap, error) {
	modules, err := a.moduleSet(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := integrity.Open(ctx, a.kernel, &integrity.Options{Modules: modules, Tasks: a.tasks})
	if err != nil {
		return nil, nil, err
	}
	hooks, gaps := []integrity.Hook{}, c.Gaps()
	for h, err := range c.Hooks(ctx) {
		if err != nil {
			gaps = append(gaps, vmem.NewGap("hooks", vmem.Place{}, err))
		} else {
			hooks = append(hooks, h)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	b := newBudget(a.kernel.Limits().ReportBytes, "bytes of JSON")
	b.add(newShare("the section", &hooks, sizeOfHook, func(err error) { gaps = append(gaps, vmem.NewGap("hooks", vmem.Place{}, err)) }))
	b.finish(b.limit)
	return hooks, gaps, nil
}

// sizeOfHook is about how long a hook is as JSON.
func sizeOfHook(h *integrity.Hook) int {
	n := 150 + jsonSize(h.Table) + jsonSize(h.Entry) + jsonSize(h.Symbol) + jsonSize(h.Owner) + jsonSize(h.Verdict.Name)
	for _, e := range h.Evidence {
		n += jsonSize(e)
	}
	return n
}
