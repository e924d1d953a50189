// Criload plays the kubelet's part on a lab node: it asks a running containerd, over the Container Runtime Interface, for the pods of a JSON file,
// with the directories, mounts, labels and cgroups that a kubelet gives them, and writes what it created to standard output.
//
//	criload [-cgroup-driver systemd|cgroupfs] PODS.json > CREATED.json
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
	flag.Parse()
	if flag.NArg() != 1 || (*driver != "systemd" && *driver != "cgroupfs") {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*endpoint, *driver == "systemd", flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(endpoint string, systemd bool, file string) error {
	pods, err := readPods(file)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	l := &loader{runtime: cri.NewRuntimeServiceClient(conn), systemd: systemd}
	var all []created
	for _, p := range pods {
		c, err := l.start(ctx, p)
		if err != nil {
			return fmt.Errorf("pod %s/%s: %w", p.Namespace, p.Name, err)
		}
		all = append(all, c)
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	return enc.Encode(all)
}
