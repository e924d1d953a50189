package truth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// TicksPerSecond is the unit of start times in /proc/PID/stat: USER_HZ, 100 on x86.
const TicksPerSecond = 100

// A Node is the truth about one node.
type Node struct {
	Processes []Process // by ascending PID
	Pods      []Pod     // in the order of their creation
	Collector int32     // PID of the process that collected this

	// Until is up to when this is the whole truth, in clock ticks since boot: when the
	// collection began, or when it ended if the collector made sure that nothing had
	// changed meanwhile. What started later may be in it or not.
	Until int64

	Kernel Kernel
}

// A Pod is a pod as it was created.
type Pod struct {
	Namespace, Name, UID, QoS string
	SandboxID                 string
	Containers                map[string]string // ID by name
	Earlier                   map[string]string // name by ID of those that ended and were made again
}

// Read reads the truth in dir.
func Read(dir string) (*Node, error) {
	pids, err := numbers(filepath.Join(dir, "pid"))
	if err != nil {
		return nil, err
	}
	n := new(Node)
	for _, pid := range pids {
		p, err := readProcess(filepath.Join(dir, "pid", strconv.Itoa(pid)))
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("truth: process %d: %w", pid, err)
		}
		n.Processes = append(n.Processes, p)
	}
	if n.Pods, err = readPods(filepath.Join(dir, "pods.json")); err != nil {
		return nil, err
	}
	if err := n.readEarlier(filepath.Join(dir, "cri.json")); err != nil {
		return nil, err
	}
	if err := n.readKernel(dir); err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	return n, n.findCollector(dir)
}

// readPods reads the list that the lab's CRI client wrote.
func readPods(name string) ([]Pod, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var created []struct {
		Pod        struct{ Namespace, Name, UID, QoS string }
		SandboxID  string
		Containers map[string]string
	}
	if err := json.Unmarshal(data, &created); err != nil {
		return nil, fmt.Errorf("truth: %s: %w", name, err)
	}
	var pods []Pod
	for _, c := range created {
		pods = append(pods, Pod{
			Namespace: c.Pod.Namespace, Name: c.Pod.Name, UID: c.Pod.UID, QoS: c.Pod.QoS,
			SandboxID: c.SandboxID, Containers: c.Containers,
		})
	}
	return pods, nil
}

// readEarlier adds the containers that the runtime has beside those that the client made last, where it was asked.
func (n *Node) readEarlier(name string) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var said struct {
		Containers []struct {
			Status struct {
				ID     string
				Labels map[string]string
			}
		}
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("truth: %s: %w", name, err)
	}
	for _, c := range said.Containers {
		of, called := c.Status.Labels["io.kubernetes.pod.uid"], c.Status.Labels["io.kubernetes.container.name"]
		i := slices.IndexFunc(n.Pods, func(p Pod) bool { return p.UID == of })
		if i < 0 {
			return fmt.Errorf("truth: container %s is of no pod", c.Status.ID)
		}
		if n.Pods[i].Containers[called] == c.Status.ID {
			continue
		}
		if n.Pods[i].Earlier == nil {
			n.Pods[i].Earlier = map[string]string{}
		}
		n.Pods[i].Earlier[c.Status.ID] = called
	}
	return nil
}

func (n *Node) findCollector(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "collector"))
	if err == nil {
		pid, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 32)
		n.Collector = int32(pid)
		return err
	}
	i := slices.IndexFunc(n.Processes, func(p Process) bool { return p.Comm == "labnode" && p.PPID == 1 })
	if i < 0 {
		return errors.New("truth: no collector among the processes")
	}
	n.Collector = n.Processes[i].PID
	return nil
}

// Process returns the process with that PID.
func (n *Node) Process(pid int32) (Process, bool) { return find(n.Processes, pid) }

// numbers returns the entries of dir that are numbers, ascending; all have to be, but for
// files of other names.
func numbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil && e.IsDir() {
			return nil, fmt.Errorf("truth: %s: %w", dir, err)
		}
		if err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}
