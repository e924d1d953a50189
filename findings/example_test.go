package findings_test

import (
	"context"
	"fmt"
	"log"
	"path/filepath"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
)

// What is wrong on the bundled node, the worst first.
func Example() {
	ctx := context.Background()
	node, err := cos.AnalyzeNode(ctx, cos.File(filepath.Join("..", "lab", "node", "node.lime.lz4")), &cos.Options{Sections: cos.SectionFiles | cos.SectionMemory})
	if err != nil {
		log.Fatal(err)
	}
	result, err := findings.Run(ctx, findings.NewNode(node, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range result.Findings[:3] {
		fmt.Printf("%v, %v: %s\n  %v\n  next: %s\n", f.Severity, f.Confidence, f.Title, f.Subject, f.Next)
	}
	// Output:
	// high, certain: A process calls itself a thread of the kernel
	//   shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748
	//   next: nodelens maps IMAGE --pid 748
	// high, certain: A program runs that was only ever in memory
	//   shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748
	//   next: nodelens dump exe IMAGE --pid 748 -o program
	// high, likely: Memory can be written and executed
	//   shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748
	//   next: nodelens maps IMAGE --pid 748
}

// A rule of one's own beside those of the catalogue.
func ExampleRule() {
	rule := findings.Rule{
		ID: "our-forbidden-image", Group: findings.Orchestration, Title: "An image that we do not allow", Severity: findings.High, Needs: findings.Needs{Processes: true},
		Check: func(_ context.Context, n *findings.Node, r *findings.Reporter) error {
			for _, pod := range n.Report.Pods {
				for _, c := range pod.Containers {
					if c.Image == "docker.io/library/busybox:1.35" {
						r.Found(findings.Finding{Subject: n.OfContainer(pod.UID, c.ID), Confidence: findings.Certain, Summary: "it runs " + c.Image})
					}
				}
			}
			return nil
		},
	}
	rules := append(findings.Catalogue(), rule)
	fmt.Println(rules[len(rules)-1].ID)
	// Output: our-forbidden-image
}
