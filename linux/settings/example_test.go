package settings_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/settings"
)

func Example() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	defer mem.Close()
	ctx := context.Background()
	k, err := linux.Open(ctx, mem, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, gaps, err := settings.Read(ctx, k, nil)
	if err != nil || len(gaps) > 0 {
		fmt.Println(err, gaps)
		return
	}
	fmt.Println(s.ModprobePath.Value, "taint", s.Taint.Value)
	for _, c := range s.Sysctls {
		if c.Name == "net/ipv4/ip_forward" || c.Name == "kernel/kptr_restrict" {
			fmt.Println(c.Name, "=", *c.Value)
		}
	}
	// Output:
	// /sbin/modprobe taint 0
	// kernel/kptr_restrict = 0
	// net/ipv4/ip_forward = 1
}
