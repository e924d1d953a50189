package report_test

import (
	"context"
	"log"
	"os"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/report"
)

// The page of an image: what ran on the node, and what is wrong.
func ExampleHTML() {
	ctx := context.Background()
	node, err := cos.AnalyzeNode(ctx, cos.File("node.lime.lz4"), &cos.Options{Sections: cos.AllSections})
	if err != nil {
		log.Fatal(err)
	}
	result, err := findings.Run(ctx, findings.NewNode(node, nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	page, err := os.OpenFile("node.html", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it has what memory had
	if err != nil {
		log.Fatal(err)
	}
	if err := report.HTML(page, node, result, nil); err != nil {
		log.Fatal(err)
	}
	if err := page.Close(); err != nil {
		log.Fatal(err)
	}
}
