package containerd_test

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/cos/containerd"
	"github.com/nodelens/nodelens/linux"
)

func Example() {
	log := "/var/log/pods/shop_cache-0_c27f3b1e-8a0d-4f5b-b7a9-2d4e6f8a0b1c/cache/0.log"
	node := &claim.Node{Processes: []claim.Process{{
		PID: 258, Exe: "/usr/bin/containerd",
		FDs: []linux.FD{{FD: 7, Path: "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db"}, {FD: 31, Path: log}},
	}}}
	claims, lost := containerd.Source{}.Claims(context.Background(), node)
	for _, c := range claims {
		fmt.Println(c.Origin, c.Namespace, c.Pod, c.Container)
	}
	fmt.Println(len(lost), "losses")
	// Output:
	// log-file shop cache-0 cache
	// 0 losses
}
