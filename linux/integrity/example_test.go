package integrity_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/integrity"
)

// What the kernel of a node calls for packets, and whose code that is.
func Example() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	mem, err := image.Open(ctx, img.Path, nil)
	if err != nil {
		log.Fatal(err)
	}
	k, err := linux.Open(ctx, mem, nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := integrity.Open(ctx, k, nil)
	if err != nil {
		log.Fatal(err)
	}
	for h, err := range c.Hooks(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if h.Table == "netfilter" && strings.HasPrefix(h.Entry, "4026531840 ") { // the node's own namespace
			fmt.Println(h)
		}
	}
	// Output:
	// netfilter 4026531840 ip postrouting 0: apparmor_ip_postroute, kernel (priority -225)
	// netfilter 4026531840 ip6 postrouting 0: apparmor_ip_postroute, kernel (priority -225)
}
