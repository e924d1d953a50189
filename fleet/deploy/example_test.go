package deploy_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/fleet/deploy"
)

func ExampleIndexed() {
	var b bytes.Buffer
	if err := deploy.Indexed(&b, 500, deploy.Options{Image: "registry.example/nodelens:v1", Claim: "images", Parallel: 50}); err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "completion") || strings.Contains(line, "PerIndex") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// completionMode: Indexed
	// completions: 500
	// backoffLimitPerIndex: 2
}
