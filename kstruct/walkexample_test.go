package kstruct_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/kstruct"
)

// Which routing sockets are there, and in which network namespaces? The kernel has a hash
// table for each protocol of netlink. Those of the kernel itself have port 0.
func ExampleWalk_RHashTable() {
	ctx := context.Background()
	img, err := image.Open(ctx, "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(ctx, img, nil)
	if err != nil {
		log.Fatal(err)
	}
	space := kernel.Objects()
	tables, _, err := space.Symbol("nl_table")
	if err != nil {
		log.Fatal(err)
	}
	hash := space.Struct("struct netlink_table *", tables).At("[0].hash") // NETLINK_ROUTE
	if hash.Err() != nil {
		log.Fatal(hash.Err())
	}
	w := space.Walk(ctx, &kstruct.WalkOptions{Object: "routing sockets"})
	for sock, err := range w.Entries(w.RHashTable(hash.Addr()), "netlink_sock", "node") {
		if err != nil {
			fmt.Println("lost:", err) // the walk goes on
			continue
		}
		socket := space.Struct("netlink_sock", sock)
		fmt.Println(socket.At("portid"), socket.At("sk.__sk_common.skc_net.net->ns.inum"))
	}
	// Unordered output:
	// (unsigned int)0 (unsigned int)4026531840
	// (unsigned int)0 (unsigned int)4026532191
	// (unsigned int)0 (unsigned int)4026532252
	// (unsigned int)0 (unsigned int)4026532307
	// (unsigned int)0 (unsigned int)4026532368
	// (unsigned int)0 (unsigned int)4026532434
	// (unsigned int)0 (unsigned int)4026532497
	// (unsigned int)0 (unsigned int)4026532560
}

// What runs on each CPU? Its run queue is a per-CPU variable.
func ExampleSpace_PerCPU() {
	ctx := context.Background()
	img, err := image.Open(ctx, "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(ctx, img, nil)
	if err != nil {
		log.Fatal(err)
	}
	space := kernel.Objects()
	cpus, err := space.CPUs()
	if err != nil {
		log.Fatal(err)
	}
	for _, cpu := range cpus {
		queue, _, err := space.PerCPU("runqueues", cpu)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(cpu, space.Struct("struct rq", queue).At("curr->comm"))
	}
	// Output:
	// 0 (char [16])"swapper/0"
	// 1 (char [16])"swapper/1"
}
