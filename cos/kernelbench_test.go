package cos

import "testing"

// BenchmarkSections reads what is told of the kernel's modules, its log and its BPF, each and all of them, as the second report
// of a node that is open does.
func BenchmarkSections(b *testing.B) {
	n, err := OpenNode(b.Context(), File(bundled(b).Path), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	a, err := n.analyze(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range []Sections{SectionModules, SectionLog, SectionBPF, SectionModules | SectionLog | SectionBPF} {
		b.Run(s.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fresh := &analysis{kernel: a.kernel, tasks: a.tasks, report: new(NodeReport)}
				if _, err := fresh.read(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
