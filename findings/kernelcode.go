package findings

import "context"

// codeModified looks at what package ktext found to be changed.
func codeModified(ctx context.Context, n *Node, r *Reporter) error {
	t := n.Report.Text
	if t == nil {
		r.NotChecked("the kernel's code was compared with no vmlinux")
		return nil
	}
	for i := range t.Modifications {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &t.Modifications[i]
		evidence := []Evidence{{"text", m.Address, "should be", m.Expected}, {"text", m.Address, "is", m.Found}}
		for _, line := range m.Is {
			evidence = append(evidence, Evidence{"text", m.Address, "instruction", line})
		}
		r.Found(Finding{Object: m.Address.String(), Confidence: Certain, Evidence: evidence, Summary: "at " + quote(m.Symbol) + ": " + m.Meaning})
	}
	var lost uint64
	for i := range t.Areas {
		lost += t.Areas[i].Lost
	}
	if lost > 0 {
		r.NotChecked("some of the kernel's code is not in the image")
	}
	return nil
}
