package cos

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/internal/redact"
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

// kernel hides the secrets of a kernel's settings: sysctls that are keys, and what in its command line sounds or looks like one.
func (s *sealer) kernel(k *settings.Settings) {
	if s.show {
		return
	}
	k.CommandLine.Value = s.without(k.CommandLine.Value, redact.Text(k.CommandLine.Value, true))
	for i := range k.Sysctls {
		c := &k.Sysctls[i]
		if c.Value != nil && secretSysctl(c.Name) {
			c.Reason = fmt.Sprintf("hidden: a secret of %d bytes with the digest %s", len(*c.Value), s.digest(*c.Value))
			c.Value = nil
		}
	}
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
	a.seal.kernel(s)
	limitSection(a, &gaps, "sysctls", &s.Sysctls, func(c *settings.Sysctl) int {
		n := 160 + jsonSize(c.Name) + jsonSize(c.Handler) + jsonSize(c.Reason)
		if c.Value != nil {
			n += jsonSize(*c.Value)
		}
		return n
	})
	return s, gaps, nil
}
