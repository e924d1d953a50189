// Package cos is the high-level entry: it reads the memory image of one
// Kubernetes node, above all of one that runs Google's Container-Optimized OS, and
// says what ran there, pod by pod.
//
//	report, err := cos.AnalyzeNode(ctx, cos.File("node.lime"), &cos.Options{SymbolFile: "node.isf.json.xz"})
//
// [AnalyzeNode] finds the format of the image by its content, finds the kernel,
// walks its tasks and attributes each of them to a pod and a container. The result
// is a [NodeReport]: plain data, the same bytes of JSON for the same image, which are
// read back as they were written. What could not be read stands in its Gaps; a report
// without any is whole, see [NodeReport.Whole]. Its [Provenance] says of which image it is.
//
// # Attribution
//
// A process belongs to the pod and the container that its cgroup names, which the
// kubelet and the container runtime chose; see [ParseCgroupPath]. The other facts
// about pods are joined to that by pod UID and container ID:
//
//   - namespace, pod name, container name: the log files that containerd holds
//     open, /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/N.log
//   - container name: the termination log that the kubelet has bound into the
//     container, .../pods/UID/containers/CONTAINER/HASH
//   - sandbox: the files that containerd has bound into each container of the pod,
//     .../sandboxes/ID/hostname
//   - all of these, also of containers that have exited: containerd's own database,
//     as far as containerd has it mapped
//
// Each of those who tell is a [claim.Source]; a container runtime is one in a package of
// its own, as containerd is in package containerd.
//
// Shim arguments and UTS names are kept as hints: they never decide. Each value has
// its [Evidence]; where two sources disagree a gap says so, and where no source
// knows, the value stays empty. That database is a file: pages of it that were not in
// the node's memory are no loss of the image, and make a note instead of a gap.
//
// # Sections
//
// What goes beyond processes and pods is read only where it is asked for, by
// [Options].Sections or later by a method of [Node]: such as [Node.Network], the sockets,
// tracked connections and rules of all network namespaces, joined with the pods. A socket is
// of the pod of the processes that have it open, or else of the one whose cgroup it is counted
// for, or else of the one whose namespace it is in. The other end of a connection is found
// by addresses and ports, as conntrack has them translated, or by the address of a pod.
//
// # Limits
//
// The kubelet, containerd and CRI-O cgroup names of either cgroup driver are known,
// Kata's, and Docker's and Podman's containers outside of pods. Names of pods and
// containers are recovered from containerd alone. A name is whatever the owner of
// the pod or the process chose, and any byte can be in it: nothing here is safe to
// print to a terminal as it is.
package cos
