// Criload plays the kubelet's part on a lab node: it asks a running containerd, over the Container Runtime Interface, for the pods of a JSON file,
// with the directories, mounts, labels and cgroups that a kubelet gives them, and writes what it created to standard output.
//
//	criload [-cgroup-driver systemd|cgroupfs] PODS.json > CREATED.json
//	criload -inspect > CRI.json
//
// With -inspect it writes what the runtime says of all sandboxes and containers, as "crictl inspectp" and "crictl inspect" show it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("criload: ")
	endpoint := flag.String("endpoint", "unix:///run/containerd/containerd.sock", "`address` of the runtime")
	driver := flag.String("cgroup-driver", "systemd", "how cgroups are named: systemd or cgroupfs")
	look := flag.Bool("inspect", false, "write what the runtime says of its containers")
	flag.Parse()
	if *look {
		if err := connect(*endpoint, inspect); err != nil {
			log.Fatal(err)
		}
		return
	}
	if flag.NArg() != 1 || (*driver != "systemd" && *driver != "cgroupfs") {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*endpoint, *driver == "systemd", flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

// connect calls use with the runtime at an endpoint.
func connect(endpoint string, use func(context.Context, cri.RuntimeServiceClient) error) error {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	return use(ctx, cri.NewRuntimeServiceClient(conn))
}

func run(endpoint string, systemd bool, file string) error {
	pods, err := readPods(file)
	if err != nil {
		return err
	}
	return connect(endpoint, func(ctx context.Context, runtime cri.RuntimeServiceClient) error {
		l := &loader{runtime: runtime, systemd: systemd}
		var all []created
		for _, p := range pods {
			c, err := l.start(ctx, p)
			if err != nil {
				return fmt.Errorf("pod %s/%s: %w", p.Namespace, p.Name, err)
			}
			all = append(all, c)
		}
		return write(all)
	})
}

func write(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	return enc.Encode(v)
}

// inspected is what the runtime says of its sandboxes and containers.
type inspected struct {
	Sandboxes  []*cri.PodSandboxStatusResponse
	Containers []*cri.ContainerStatusResponse
}

func inspect(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	var all inspected
	sandboxes, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	for _, s := range sandboxes.Items {
		status, err := runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: s.Id, Verbose: true})
		if err != nil {
			return err
		}
		all.Sandboxes = append(all.Sandboxes, status)
	}
	containers, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return err
	}
	for _, c := range containers.Containers {
		status, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.Id, Verbose: true})
		if err != nil {
			return err
		}
		all.Containers = append(all.Containers, status)
	}
	return write(all)
}
