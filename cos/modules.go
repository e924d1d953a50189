package cos

import (
	"context"
	"slices"

	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A Module is a module of a node's kernel: a record of the section SectionModules.
type Module struct {
	module.Module // but for its Parameters
	// Parameters are the values of those by name; nil for one whose value is not known, as the module
	// shows it by a function of its own.
	Parameters map[string]*string `json:"parameters"`
}

// Modules reads the modules of the node's kernel, those of its list first, the newest before others;
// beside them is what was lost. Only the end of ctx is an error.
func (n *Node) Modules(ctx context.Context) ([]Module, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readModules(ctx, a)
}

// addModules adds the section to the report.
func (a *analysis) addModules(ctx context.Context) error {
	modules, gaps, err := readModules(ctx, a)
	if err != nil {
		return err
	}
	a.report.Modules = modules
	a.lose(gaps)
	return nil
}

func readModules(ctx context.Context, a *analysis) ([]Module, []vmem.Gap, error) {
	set, err := a.moduleSet(ctx)
	if err != nil {
		return nil, nil, err
	}
	modules, gaps := []Module{}, set.Gaps()
	for _, m := range set.Modules() {
		modules = append(modules, newModule(m))
	}
	limitSection(a, &gaps, "modules", &modules, sizeOf[Module])
	return modules, gaps, nil
}

// newModule returns the record of a module.
func newModule(m *module.Module) Module {
	out := Module{Module: *m}
	for _, p := range m.Parameters {
		if out.Parameters == nil {
			out.Parameters = map[string]*string{}
		}
		out.Parameters[p.Name] = nil
		if p.Known {
			out.Parameters[p.Name] = &p.Value
		}
	}
	out.Module.Parameters = nil
	out.UsedBy, out.Uses = emptyAsNil(m.UsedBy), emptyAsNil(m.Uses)
	return out
}

// emptyAsNil returns a list as it is read back from JSON.
func emptyAsNil(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}
