package bpf_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/bpf"
)

// What a program of systemd's is attached to, and what it does.
func ExampleOpen() {
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
	set, err := bpf.Open(ctx, k, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range set.Programs() {
		if p.Name != "sd_fw_egress" {
			continue
		}
		fmt.Println(p.ID, p.Type, p.Tag, p.Attachments[0].Type, p.Attachments[0].Target)
		lines, err := set.Disassemble(p)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, line := range lines {
			fmt.Println(line)
		}
		break
	}
	// Output:
	// 4 cgroup_skb 6deef7357e7b4530 cgroup_inet_egress /system.slice/systemd-journald.service
	// (bf) r6 = r1
	// (69) r7 = *(u16 *)(r6 +180)
	// (b4) w8 = 0
	// (44) w8 |= 2
	// (b7) r0 = 1
	// (55) if r8 != 0x2 goto pc+1
	// (b7) r0 = 0
	// (95) exit
}
