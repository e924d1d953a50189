package integrity

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Open. A nil pointer means the zero value.
type Options struct {
	// Modules are those of the kernel. Nil: they are read.
	Modules *module.Set
	// BPF is what the kernel has of it. Nil: it is read.
	BPF *bpf.Set
	// Code is code that is neither in the kernel's image nor in a module, beside what Open finds itself.
	Code []Code
	// Tasks lead to network namespaces that the kernel's list lacks. They may be nil.
	Tasks []*linux.Task
}

// Code is a range of code outside of the kernel's image and its modules, such as a BPF program or a
// trampoline.
type Code struct {
	Range    vmem.Range[vmem.VirtAddr]
	Symbol   string // as kallsyms has it, such as bpf_prog_6deef7357e7b4530
	Owner    string // what stands in brackets behind it, such as bpf or __builtin__ftrace
	Verdict  Verdict
	Evidence []string // such as the programs that a trampoline calls

	hidden string // what lacks it, though it should have it
}

// A Checker tells of any address of a kernel whose code it is, and reads the places where code is
// called. It is immutable, and safe for concurrent use.
type Checker struct {
	k       *linux.Kernel
	modules *module.Set
	symbols *module.Symbolizer
	tasks   []*linux.Task
	code    []codeRange // by address
	ftrace  *ftraceOps
	probes  *probes

	programs map[vmem.VirtAddr]uint32 // the IDs of BPF programs
	gaps     []vmem.Gap
}

// A codeRange is a range of addresses in which code may run.
type codeRange struct {
	vmem.Range[vmem.VirtAddr]
	verdict  Verdict
	hidden   string // the views that lack the module or program
	evidence []string
}

// Open makes a Checker of a kernel: it reads the symbols of the kernel and its modules, and finds the code
// that there is. What is lost of that is among [Checker.Gaps]. The error is the context's own.
func Open(ctx context.Context, k *linux.Kernel, opts *Options) (*Checker, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	c := &Checker{k: k, modules: o.Modules, tasks: o.Tasks}
	if c.modules == nil {
		var err error
		if c.modules, err = module.Open(ctx, k, nil); err != nil {
			return nil, err
		}
		c.gaps = append(c.gaps, c.modules.Gaps()...)
	}
	return c, c.addCode(ctx, o.BPF, o.Code)
}

// addCode finds out where code is.
func (c *Checker) addCode(ctx context.Context, programs *bpf.Set, more []Code) (err error) {
	c.addText()
	for _, m := range c.modules.Modules() {
		c.addModule(m)
	}
	if c.symbols, err = module.NewSymbolizer(ctx, c.modules, nil); err != nil {
		return err
	}
	c.gaps = append(c.gaps, c.symbols.Gaps()...)
	c.add(more)
	if err := c.addBPF(ctx, programs); err != nil {
		return err
	}
	c.ftrace = c.readFtraceOps(ctx)
	c.add(c.ftrace.trampolines())
	c.probes = c.readProbes(ctx)
	c.add(c.probes.slots)
	return ctx.Err()
}

// add adds ranges of code.
func (c *Checker) add(more []Code) {
	var regions []module.Region
	for i := range more {
		x := &more[i]
		c.code = append(c.code, codeRange{Range: x.Range, verdict: x.Verdict, evidence: x.Evidence, hidden: x.hidden})
		regions = append(regions, module.Region{Range: x.Range, Name: x.Symbol, Owner: x.Owner})
	}
	slices.SortStableFunc(c.code, func(a, b codeRange) int { return cmp.Compare(a.Start, b.Start) })
	c.symbols = c.symbols.With(regions)
}

// addText adds the code of the kernel's image, from _stext up to _etext: all symbol files have these. What is used while
// the kernel starts is behind that, and is freed.
func (c *Checker) addText() {
	start, err := c.k.Symbol("_stext")
	end, err2 := c.k.Symbol("_etext")
	if err = cmp.Or(err, err2); err != nil {
		c.gaps = append(c.gaps, vmem.NewGap("kernel text", vmem.Place{}, err))
		return
	}
	c.code = append(c.code, codeRange{Range: vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(max(start, end) - start)}, verdict: Verdict{Kind: Kernel}})
}

// addModule adds the code of a module. The code that initialises it is freed once it runs.
func (c *Checker) addModule(m *module.Module) {
	for _, a := range m.Areas {
		if a.Kind != module.Text && (a.Kind != module.InitText || m.State != module.Coming) {
			continue
		}
		r := codeRange{Range: a.Range, verdict: Verdict{Kind: Module, Name: m.Name}}
		if m.Hidden() {
			r.hidden = m.Missing.String()
		}
		c.code = append(c.code, r)
	}
}

// Gaps returns what was lost of the symbols and of where code is.
func (c *Checker) Gaps() []vmem.Gap { return slices.Clone(c.gaps) }

// Modules returns the modules of the kernel.
func (c *Checker) Modules() *module.Set { return c.modules }

// Symbols returns what names addresses.
func (c *Checker) Symbols() *module.Symbolizer { return c.symbols }

// Verdict tells whose code an address is in. It allocates nothing.
func (c *Checker) Verdict(a vmem.VirtAddr) Verdict {
	if r := c.at(a); r != nil {
		return r.verdict
	}
	return Verdict{}
}

// at returns the code that an address is in, nil where there is none.
func (c *Checker) at(a vmem.VirtAddr) *codeRange {
	i, found := slices.BinarySearchFunc(c.code, a, func(r codeRange, a vmem.VirtAddr) int { return cmp.Compare(r.Start, a) })
	if !found {
		i--
	}
	if i < 0 || !c.code[i].Contains(a) {
		return nil
	}
	return &c.code[i]
}

// Hook returns the hook that calls target: with its symbol and the verdict on it, and suspect where the target is
// unknown or in a hidden module. at is where the pointer is, 0 where code holds it.
func (c *Checker) Hook(table, entry string, at, target vmem.VirtAddr) Hook {
	h := Hook{Table: table, Entry: entry, Address: at, Target: target}
	if l, ok := c.symbols.Resolve(target); ok {
		h.Owner, l.Owner = l.Owner, ""
		h.Symbol = l.String()
	}
	r := c.at(target)
	if r == nil {
		h.suspect("%s", c.unknown(target))
		return h
	}
	h.Verdict = r.verdict
	h.Evidence = append(h.Evidence, r.evidence...)
	if r.hidden != "" {
		h.suspect("%v is hidden from %s", r.verdict, r.hidden)
	}
	return h
}

// unknown says what is at an address that is in no code.
func (c *Checker) unknown(a vmem.VirtAddr) string {
	if m := c.modules.At(a); m != nil {
		for _, area := range m.Areas {
			if area.Range.Contains(a) {
				return "it is in " + area.Kind.String() + " of module " + m.Name + ", not in its code"
			}
		}
	}
	if name := c.symbols.Describe(a); !strings.HasPrefix(name, "0x") {
		return "it is at " + name + ", which is not code that is kept"
	}
	return "it is in no code that the kernel knows of"
}

// Hooks yields the hooks of all tables, table by table, and what was lost as a [vmem.Gap] among them. A table
// that the kernel has not is left out; one that can't be found is a gap.
func (c *Checker) Hooks(ctx context.Context) iter.Seq2[Hook, error] {
	return func(yield func(Hook, error) bool) {
		c.k.Physical().Refresh()
		r := &reader{Checker: c, ctx: ctx, yield: yield}
		for _, read := range tables {
			if !r.alive() {
				return
			}
			read(r)
		}
		r.alive()
	}
}
