package findings

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

func orchestrationRules() []Rule {
	return slices.Concat(identityPodRules, driftRules(), postureRules())
}

var identityPodRules = []Rule{
	{
		ID: "pod-identity-conflict", Group: Orchestration, Severity: Medium, Techniques: []Technique{"T1036", "T1036.005"},
		Title:   "What is known of a pod contradicts itself",
		Meaning: "Sources that should say the same of a pod do not: its cgroup, its mounts, the runtime's database, its files of logs. Somebody passes for another pod, or the node was at work when the image was taken.",
		Needs:   Needs{Processes: true}, Benign: []string{causeSmear}, Next: "nodelens pods IMAGE -o json", Check: identityConflict,
	},
	{
		ID: "pod-sandbox-program", Group: Orchestration, Severity: High, Techniques: []Technique{"T1036"},
		Title:   "A pod's sandbox has more than it should",
		Meaning: "In the sandbox of a pod runs another program than pause, which only waits. Nobody looks there for a program.",
		Needs:   Needs{Processes: true}, Benign: []string{"a distribution's own program for sandboxes"}, Next: "nodelens ps IMAGE --pod {pod}", Check: perProcess(sandboxProgram),
	},
	{
		ID: "pod-unknown-container", Group: Orchestration, Severity: High, Techniques: []Technique{"T1610", "T1612"},
		Title:   "The runtime does not know a container",
		Meaning: "Processes are in a cgroup that is called as a container's, and the runtime has no bundle for it while it has some for others. It was not started by the runtime, or was made to be forgotten.",
		Needs:   Needs{Processes: true, Sections: cos.SectionContainers}, Benign: []string{"containers within a container", "another runtime"}, Next: "nodelens ps IMAGE --container {container}", Check: unknownContainer,
	},
	{
		ID: "pod-wrong-first-process", Group: Orchestration, Severity: High, Techniques: []Technique{"T1611", "T1564"},
		Title:   "A container's first process is counted to another",
		Meaning: "The process that the runtime has written down as a container's first is in the cgroup of another, or of none. It was moved.",
		Needs:   Needs{Processes: true, Sections: cos.SectionContainers}, Benign: []string{"the container has ended, and its PID was given to another"}, Next: "nodelens ps IMAGE --container {container}", Check: perContainer(wrongFirst),
	},
	{
		ID: "pod-ephemeral-container", Group: Orchestration, Severity: Medium, Techniques: []Technique{"T1609"},
		Title:   "A container was added to a running pod",
		Meaning: "A container has the name that kubectl debug gives, or the kubelet's mark of an ephemeral one. An operator debugs, or somebody with that right.",
		Needs:   Needs{Processes: true}, Benign: []string{causeOperator}, Next: "nodelens ps IMAGE --container {container}", Check: perNode(ephemeral),
	},
	{
		ID: "pod-node-debugger", Group: Orchestration, Severity: Medium, Techniques: []Technique{"T1609", "T1611"},
		Title:   "A pod for debugging the node runs",
		Meaning: "A pod has the name that kubectl debug gives to those that have the node's files and namespaces. Who is in it is on the node.",
		Needs:   Needs{Processes: true}, Benign: []string{causeOperator}, Next: "nodelens ps IMAGE --pod {pod}", Check: perNode(nodeDebugger),
	},
	{
		ID: "pod-static-elsewhere", Group: Orchestration, Severity: Medium, Techniques: []Technique{"T1610", "T1543"},
		Title:   "A static pod is not in the cluster's own namespace",
		Meaning: "The pod's UID is one that the kubelet makes from a file on the node, and its namespace is none of the cluster's own. Who can write to the node starts pods so, past the cluster.",
		Needs:   Needs{Processes: true}, Benign: []string{"a cluster that starts its own pods so"}, Next: "nodelens ps IMAGE --pod {pod}", Check: perNode(staticElsewhere),
	},
	{
		ID: "pod-system-foreign-image", Group: Orchestration, Severity: Low, Techniques: []Technique{"T1036.005"},
		Title:   "A pod among the cluster's own has an image from elsewhere",
		Meaning: "It is in a namespace of the cluster's own, and its image is from none of the registries that such pods are from. Intruders put pods there as nobody looks.",
		Needs:   Needs{Processes: true}, Benign: []string{"an add-on of a vendor"}, Next: "nodelens ps IMAGE --pod {pod}", Check: perNode(foreignImage),
	},
	{
		ID: "pod-shared-process-namespace", Group: Orchestration, Severity: Low, Techniques: []Technique{"T1609"},
		Title:   "Containers of a pod see each other's processes",
		Meaning: "They share one PID namespace, so that each can read what the others have in memory and in their files.",
		Needs:   Needs{Processes: true}, Benign: []string{"the pod asks for it"}, Next: "nodelens ps IMAGE --pod {pod}", Check: perNode(sharedPID),
	},
	{
		ID: "pod-image-latest", Group: Orchestration, Severity: Low, Techniques: []Technique{"T1525", "T1204.003"},
		Title:   "An image is named without a version",
		Meaning: "The container's image has no tag or the tag latest: which program it is depends on when it was fetched.",
		Needs:   Needs{Processes: true}, Next: "nodelens pods IMAGE -o wide", Check: perNode(imageLatest),
	},
}

func identityConflict(_ context.Context, n *Node, r *Reporter) error {
	for _, g := range n.Report.Gaps {
		if !errors.Is(g.Err, cos.ErrConflict) && !errors.Is(g.Err, cos.ErrAmbiguous) {
			continue
		}
		f := Finding{Object: g.Object, Confidence: Possible, Evidence: []Evidence{{"claim", 0, g.Object, g.Err.Error()}}, Summary: "sources disagree about " + quote(g.Object)}
		for uid := range n.pods {
			if strings.Contains(g.Object, uid) {
				f.Subject = n.OfPod(uid)
			}
		}
		r.Found(f)
	}
	return nil
}

// pausePrograms are programs for sandboxes.
var pausePrograms = regexp.MustCompile(`^(pause|pod|catatonit|infra|pause-\S+)$`)

func sandboxProgram(n *Node, p *cos.Process, found func(Finding)) {
	if !n.Sandbox(p.PodUID, p.ContainerID) || p.Exe == "" || pausePrograms.MatchString(program(p)) || n.startsContainer(p) {
		return
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{ofTask(p, "exe", p.Exe), ofTask(p, "cgroup", p.Cgroup)}, Summary: "it runs " + quote(p.Exe) + " in the sandbox"})
}

func unknownContainer(ctx context.Context, n *Node, r *Reporter) error {
	known := 0
	for i := range n.Report.Containers {
		if n.Report.Containers[i].Bundle != "" {
			known++
		}
	}
	if known == 0 {
		r.NotChecked("no bundle of a runtime is known")
		return nil
	}
	if lost := n.Lost(Needs{Sections: cos.SectionContainers}); len(lost) > 0 {
		r.Lost("the bundles of the runtime are not whole: that one is missing says nothing", lost...)
		return nil
	}
	for i := range n.Report.Containers {
		c := &n.Report.Containers[i]
		if c.Running && c.Bundle == "" && ctx.Err() == nil {
			f := Finding{Subject: n.OfContainer(c.PodUID, c.ID), Confidence: Likely, Evidence: []Evidence{{"cgroup", 0, "container", c.ID}}, Summary: fmt.Sprintf("the runtime has bundles of %d containers, and none of it", known)}
			if p := n.Init(c.ID); p != nil {
				f.Evidence = append(f.Evidence, ofTask(p, "cgroup", p.Cgroup))
			}
			r.Found(f)
		}
	}
	return ctx.Err()
}

func wrongFirst(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	p := n.Process(c.InitPID)
	if c.InitPID == 0 || p == nil || p.ContainerID == c.ID {
		return
	}
	state := Unchecked
	if c.Running {
		state = RuledOut
	}
	found(Finding{Confidence: Likely, Evidence: []Evidence{{"init.pid", 0, "PID", fmt.Sprint(c.InitPID)}, ofTask(p, "cgroup", p.Cgroup)}, Summary: fmt.Sprintf("its first process, PID %d, is counted to %s", c.InitPID, quote(p.Cgroup)),
		Benign: []Benign{{"the container has ended, and its PID was given to another", state}}})
}

func eachContainer(n *Node, do func(p *cos.Pod, c *cos.Container)) {
	for i := range n.Report.Pods {
		for k := range n.Report.Pods[i].Containers {
			do(&n.Report.Pods[i], &n.Report.Pods[i].Containers[k])
		}
	}
}

var debuggerName = regexp.MustCompile(`^debugger-[a-z0-9]{5}$`)

func ephemeral(n *Node, found func(Finding)) {
	eachContainer(n, func(p *cos.Pod, c *cos.Container) {
		f := Finding{Subject: n.OfContainer(p.UID, c.ID), Confidence: Possible, Summary: "container " + quote(c.Name)}
		if debuggerName.MatchString(c.Name) {
			f.Evidence = append(f.Evidence, Evidence{"container", 0, "name", c.Name})
		}
		if d := n.Detail(c.ID); d != nil && d.Spec != nil {
			for _, a := range d.Spec.Annotations {
				if a.Name == "io.kubernetes.container.type" && a.Value != nil && *a.Value == "ephemeral" {
					f.Confidence, f.Evidence = Certain, append(f.Evidence, Evidence{"spec", 0, a.Name, "ephemeral"})
				}
			}
		}
		if f.Evidence != nil {
			found(f)
		}
	})
}

func eachPod(n *Node, do func(p *cos.Pod)) {
	for i := range n.Report.Pods {
		do(&n.Report.Pods[i])
	}
}

func nodeDebugger(n *Node, found func(Finding)) {
	eachPod(n, func(p *cos.Pod) {
		if strings.HasPrefix(p.Name, "node-debugger-") {
			found(Finding{Subject: n.OfPod(p.UID), Confidence: Likely, Evidence: []Evidence{{"pod", 0, "name", p.Name}}, Summary: "pod " + quote(p.Name)})
		}
	})
}

// staticUID matches the UID that the kubelet makes of a manifest: a hash, without hyphens.
var staticUID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func staticElsewhere(n *Node, found func(Finding)) {
	eachPod(n, func(p *cos.Pod) {
		if staticUID.MatchString(p.UID) && p.Namespace != "" && !System(p.Namespace) {
			found(Finding{Subject: n.OfPod(p.UID), Confidence: Likely, Evidence: []Evidence{{"pod", 0, "uid", p.UID}, {"pod", 0, "namespace", p.Namespace}}, Summary: "its UID is of a static pod"})
		}
	})
}

// systemRegistries are where images of the clusters' own pods are from.
var systemRegistries = regexp.MustCompile(`^(registry\.k8s\.io|k8s\.gcr\.io|gke\.gcr\.io|gcr\.io/(gke-release|google-containers|google_containers|gke-gke-release-\w+)|[a-z0-9-]+(-artifactregistry)?\.gcr\.io/gke-release|[a-z0-9-]+-docker\.pkg\.dev/gke-release|[a-z0-9-]+\.pkg\.dev/gke-release|` +
	`quay\.io/(calico|cilium|coreos|tigera|prometheus)|docker\.io/(calico|cilium|coredns|rancher|kindest|weaveworks|flannel)|ghcr\.io/flannel-io|mcr\.microsoft\.com|public\.ecr\.aws/eks|\d+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/eks|sha256:)`)

// agent reports whether a container is an agent of the node: one of the cluster's own pods, whose image is from where these are from. Others may
// be agents, too; nothing tells.
func (n *Node) agent(s Subject) BenignState {
	if s.System && systemRegistries.MatchString(s.Image) {
		return Applies
	}
	return Unchecked
}

func foreignImage(n *Node, found func(Finding)) {
	eachContainer(n, func(p *cos.Pod, c *cos.Container) {
		if System(p.Namespace) && c.Image != "" && !systemRegistries.MatchString(c.Image) {
			found(Finding{Subject: n.OfContainer(p.UID, c.ID), Confidence: Possible, Evidence: []Evidence{{"container", 0, "image", c.Image}}, Summary: "its image is " + quote(c.Image)})
		}
	})
}

func sharedPID(n *Node, found func(Finding)) {
	node := n.nodeInit()
	eachPod(n, func(p *cos.Pod) {
		seen := map[uint32]*cos.Process{}
		for k := range p.Containers {
			first := n.Init(p.Containers[k].ID)
			if first == nil || first.Namespaces.PID == 0 || node != nil && first.Namespaces.PID == node.Namespaces.PID {
				continue
			}
			if other := seen[first.Namespaces.PID]; other != nil {
				found(Finding{Subject: n.OfPod(p.UID), Confidence: Certain, Evidence: []Evidence{ofTask(first, "namespace pid", fmt.Sprint(first.Namespaces.PID)), ofTask(other, "namespace pid", fmt.Sprint(other.Namespaces.PID))}, Summary: "its containers share a PID namespace"})
				return
			}
			seen[first.Namespaces.PID] = first
		}
	})
}

func imageLatest(n *Node, found func(Finding)) {
	eachContainer(n, func(p *cos.Pod, c *cos.Container) {
		name, digest, _ := strings.Cut(c.Image, "@")
		if c.Image == "" || digest != "" || strings.HasPrefix(name, "sha256:") {
			return
		}
		last := name[strings.LastIndexByte(name, '/')+1:]
		_, tag, ok := strings.Cut(last, ":")
		if !ok || tag == "latest" {
			found(Finding{Subject: n.OfContainer(p.UID, c.ID), Confidence: Certain, Evidence: []Evidence{{"container", 0, "image", c.Image}}, Summary: "its image is " + quote(c.Image)})
		}
	})
}
