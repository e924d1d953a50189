package cos

import (
	"context"

	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// Settings reads how the node's kernel was set up, with the sysctls of all namespaces that processes are in;
// beside it is what was lost. Only the end of ctx is an error.
func (n *Node) Settings(ctx context.Context) (*settings.Settings, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readSettings(ctx, a)
}

// addSettings adds the section to the report.
func (a *analysis) addSettings(ctx context.Context) error {
	s, gaps, err := readSettings(ctx, a)
	if err != nil {
		return err
	}
	a.report.Kernel.Settings = s
	a.lose(gaps)
	return nil
}

func readSettings(ctx context.Context, a *analysis) (*settings.Settings, []vmem.Gap, error) {
	modules, err := a.moduleSet(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, gaps, err := settings.Read(ctx, a.kernel, &settings.Options{Modules: modules, Tasks: a.tasks})
	if err != nil {
		return nil, nil, err
	}
	limitSection(a, &gaps, "sysctls", &s.Sysctls, func(c *settings.Sysctl) int {
		n := 160 + jsonSize(c.Name) + jsonSize(c.Handler) + jsonSize(c.Reason)
		if c.Value != nil {
			n += jsonSize(*c.Value)
		}
		return n
	})
	return s, gaps, nil
}
