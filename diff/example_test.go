package diff_test

import (
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
)

// What differs between two reports; most of a report is left out here.
func Example() {
	before := &cos.NodeReport{Hostname: "node-1", Pods: []cos.Pod{{UID: "1", Namespace: "shop", Name: "web", Containers: []cos.Container{{ID: "a", Name: "web", Image: "web:1"}}}}}
	after := &cos.NodeReport{Hostname: "node-1", Pods: []cos.Pod{{UID: "1", Namespace: "shop", Name: "web", Containers: []cos.Container{{ID: "a", Name: "web", Image: "web:2"}}},
		{UID: "2", Namespace: "shop", Name: "debug"}}}
	for _, c := range diff.Compare(before, after).Changes {
		fmt.Println(c.Pod, c.What, c.Kind, c.Object, c.Fields)
	}
	// Output:
	// shop/debug came pod shop/debug []
	// shop/web changed container web [{image web:1 web:2}]
}
