package report_test

import (
	"fmt"

	"github.com/nodelens/nodelens/internal/nodetest"
	"github.com/nodelens/nodelens/report"
)

// Who talked to whom, pod by pod.
func ExampleTalks() {
	node := nodetest.Big(3, 40) // any report with the section network
	for _, t := range report.Talks(node) {
		fmt.Println(t.From.Name, "to", t.To.Name, t.Ports)
	}
	// Output:
	// batch/cart-01eef-001 to shop/checkout-00000-000 [tcp/8080]
	// data/search-03dde-002 to batch/cart-01eef-001 [tcp/8080]
	// data/search-03dde-002 to shop/checkout-00000-000 [tcp/8080]
}
