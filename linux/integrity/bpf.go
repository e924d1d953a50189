package integrity

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/vmem"
)

// bpfCode returns the code that the kernel made for BPF: of programs, and of what calls them.
func bpfCode(set *bpf.Set) (code []Code) {
	names := map[uint32]*bpf.Program{}
	for _, p := range set.Programs() {
		names[p.ID] = p
	}
	for _, img := range set.Images() {
		x := Code{Range: img.Range, Symbol: img.Name, Owner: "bpf", Verdict: Verdict{Kind: Trampoline}}
		if img.Kind == bpf.ProgramImage {
			x.Verdict = Verdict{Kind: BPF, ID: img.Program}
			if p := names[img.Program]; p != nil {
				x.Evidence = []string{"program " + p.FullName}
				x.hidden = hiddenProgram(p)
			}
		} else {
			x.Evidence = []string{"a " + img.Kind.String() + " of BPF"}
		}
		code = append(code, x)
	}
	return code
}

// hiddenProgram says what lacks a program, empty for one that is not hidden.
func hiddenProgram(p *bpf.Program) string {
	if !p.Hidden {
		return ""
	}
	return "the table of IDs"
}

// addBPF adds the code of BPF, and to that of trampolines which programs it calls.
func (c *Checker) addBPF(ctx context.Context, set *bpf.Set) error {
	if set == nil {
		var err error
		if set, err = bpf.Open(ctx, c.k, &bpf.Options{Tasks: c.tasks}); err != nil {
			return err
		}
	}
	for _, gap := range set.Gaps() {
		if !strings.HasPrefix(gap.Object, "map ") { // which is no code
			c.gaps = append(c.gaps, gap)
		}
	}
	c.programs = map[vmem.VirtAddr]uint32{}
	for _, p := range set.Programs() {
		c.programs[p.Address] = p.ID
	}
	c.add(bpfCode(set))
	for i := range c.code {
		if x := &c.code[i]; x.verdict.Kind == Trampoline {
			if called := c.programsCalled(x.Range); called != "" {
				x.evidence = append(slices.Clone(x.evidence), "it calls "+called)
			}
		}
	}
	return nil
}

// programsCalled returns the BPF programs that code calls.
func (c *Checker) programsCalled(area vmem.Range[vmem.VirtAddr]) string {
	f := &function{at: area.Start, text: make([]byte, min(area.Size, vmem.PageSize))}
	n, _ := c.k.Space().ReadVirt(f.text, f.at)
	f.text = f.text[:n]
	var called []string
	f.each(func(in *inst) bool {
		if to, ok := in.target(); ok && in.Op == x86asm.CALL {
			if v := c.Verdict(to); v.Kind == BPF && !slices.Contains(called, v.String()) {
				called = append(called, v.String())
			}
		}
		return true
	})
	return strings.Join(called, ", ")
}
