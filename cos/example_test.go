package cos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

func ExampleAnalyzeNode() {
	report, err := cos.AnalyzeNode(context.Background(), cos.File("node.lime.lz4"), &cos.Options{SymbolFile: "node.isf.json.xz"})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range report.Pods {
		fmt.Printf("%s/%s, %s\n", p.Namespace, p.Name, p.QoS)
		for _, c := range p.Containers {
			fmt.Printf("\t%s: processes %v\n", c.Name, c.PIDs)
		}
	}
	for _, g := range report.Gaps {
		fmt.Println("lost:", g)
	}
}

// A node that stays open: one process, its program, and the pod that it is in.
func ExampleOpenNode() {
	img, err := testimages.Bundled() // any image would do
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	node, err := cos.OpenNode(ctx, cos.File(img.Path), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	task, err := node.Process(ctx, 748)
	if err != nil {
		fmt.Println(err)
		return
	}
	exe, err := task.Exe()
	if err != nil {
		fmt.Println("lost:", err)
	}
	pod, err := node.Pod(ctx, task)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s runs %s in pod %s/%s\n", task.Comm, exe, pod.Namespace, pod.Name)
	// Output:
	// kworker/u4:2 runs /memfd:update (deleted) in pod shop/image-resizer-5d8c7b9f6-zt4hn
}

// The network of a node: who listens in pods, and from where each pod is reached.
func ExampleNode_Network() {
	img, err := testimages.Bundled() // any image would do
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	node, err := cos.OpenNode(ctx, cos.File(img.Path), nil)
	if err != nil {
		log.Fatal(err)
	}
	network, gaps, err := node.Network(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	for _, g := range gaps {
		fmt.Println("lost:", g)
	}
	for _, pod := range network.Pods {
		fmt.Println("pod", pod.UID, pod.IPs)
		for _, s := range network.Sockets {
			if s.PodUID == pod.UID && s.State == socket.Listen {
				fmt.Println("\t", s.Protocol, s.LocalAddress, s.LocalPort)
			}
		}
	}
	// Unordered output:
	// pod 7be1d2c3-0f4a-4b5c-8d6e-1a2b3c4d5e6f [10.88.0.4]
	// pod 4c1d7a0e9b2f4e63a5d8c7b6f0a1e2d3 []
	// pod c27f3b1e-8a0d-4f5b-b7a9-2d4e6f8a0b1c [10.88.0.3]
	// 	 tcp :: 6379
	// pod 0a9e6a54-51f7-4a1c-9d3c-6f1b2f3c7d10 [10.88.0.2]
	// 	 tcp :: 8080
	// 	 tcp :: 9090
	// pod e5f60718-2930-4a4b-9c5d-6e7f8091a2b3 [10.88.0.5]
	// 	 tcp 0.0.0.0 31337
}

// A report is read back as it was written, names that are no text included.
func ExampleNodeReport_UnmarshalJSON() {
	text := []byte(`{
		"schema": "nodelens/node/v3", "whole": false,
		"processes": [{"pid": 7, "comm": "d\ufffdfunt", "commBytes": "ZOlmdW50", "state": "Z (zombie)", "sources": "PID IDR"}],
		"gaps": [{"object": "task list", "place": "kernel", "address": "0xffff888001234000", "reason": "swapped", "error": "swapped out"}]
	}`)
	var report cos.NodeReport
	if err := json.Unmarshal(text, &report); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", report.Processes[0].Comm)
	for _, gap := range report.Gaps {
		fmt.Println(gap, errors.Is(gap, vmem.ErrSwapped))
	}
	// Output:
	// "d\xe9funt"
	// task list at kernel address 0xffff888001234000: swapped out true
}

func ExampleParseCgroupPath() {
	const path = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f1c2a54_8c1e_4a57_9f0a_1b6c2d3e4f50.slice/" +
		"cri-containerd-6c5ff1bdcd102679516e4fe8db14c0bae63764fbb7652d9b5fa4347e61cf52b7.scope"
	name, ok := cos.ParseCgroupPath(path)
	fmt.Println(ok, name.PodUID, name.QoS)
	fmt.Println(name.Runtime, name.ContainerID[:13], name.Driver)
	// Output:
	// true 3f1c2a54-8c1e-4a57-9f0a-1b6c2d3e4f50 burstable
	// containerd 6c5ff1bdcd102 systemd
}

func ExampleParseImageName() {
	image, err := cos.ParseImageName("gke-12410-gke2300-cos-97-16919-235-13-v230222-c-pre")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Milestone, image.Build)
	fmt.Println(strings.Join(image.VmlinuxURLs(), "\n"))
	// Output:
	// 97 16919.235.13
	// https://storage.googleapis.com/cos-tools/16919.235.13/vmlinux
	// https://storage.googleapis.com/cos-tools/16919.235.13/lakitu/vmlinux
	// https://storage.googleapis.com/cos-tools-eu/16919.235.13/vmlinux
	// https://storage.googleapis.com/cos-tools-eu/16919.235.13/lakitu/vmlinux
	// https://storage.googleapis.com/cos-tools-asia/16919.235.13/vmlinux
	// https://storage.googleapis.com/cos-tools-asia/16919.235.13/lakitu/vmlinux
}
