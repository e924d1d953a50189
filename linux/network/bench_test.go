package network

import "testing"

func BenchmarkNamespaces(b *testing.B) {
	n := openBundled(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Namespaces(b.Context(), n.k, n.tasks) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkConfigurations(b *testing.B) {
	n := openBundled(b)
	var found []*Namespace
	for ns, err := range Namespaces(b.Context(), n.k, n.tasks) {
		if err != nil {
			b.Fatal(err)
		}
		found = append(found, ns)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Configurations(b.Context(), n.k, found, &Options{Types: n.set.Types}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
