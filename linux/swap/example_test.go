package swap_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/swap"
)

// Example lists the swap areas of a kernel, as /proc/swaps does. That of the example has none.
func Example() {
	ctx, k, _ := nodetest.Example()
	r, err := swap.Open(ctx, k, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range r.Areas() {
		fmt.Println(a.Name, a.Pages, a.Used, a.Compression)
	}
	fmt.Println(len(r.Areas()), "areas,", len(r.Gaps()), "lost")
	// Output: 0 areas, 0 lost
}
