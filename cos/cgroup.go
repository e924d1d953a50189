package cos

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos/claim"
)

// A QoS is the quality-of-service class of a pod, spelt as in names of cgroups.
type QoS string

// The classes of Kubernetes. A guaranteed pod's cgroup has no class in its name.
const (
	Guaranteed QoS = "guaranteed"
	Burstable  QoS = "burstable"
	BestEffort QoS = "besteffort"
)

// A Runtime is the container runtime that a cgroup's name tells of.
type Runtime string

// The runtimes that name their cgroups after themselves.
const (
	Containerd Runtime = "containerd"
	CRIO       Runtime = "cri-o"
	Docker     Runtime = "docker"
	Podman     Runtime = "podman"
	Kata       Runtime = "kata" // whose cgroups hold virtual machines: the ID is a sandbox's
)

// A CgroupDriver is what made a container's cgroup.
type CgroupDriver string

// The two drivers of kubelet and runtime, and what comes of it when the kubelet
// uses systemd and the runtime doesn't (kubernetes/kubernetes#106514): a single
// directory with the literal name SLICE:PREFIX:ID.
const (
	Cgroupfs       CgroupDriver = "cgroupfs"
	Systemd        CgroupDriver = "systemd"
	DriverMismatch CgroupDriver = "mismatch"
)

// A CgroupName is what the path of a cgroup tells of the processes in it. Empty
// fields are not known.
type CgroupName struct {
	PodUID      string // with dashes also where systemd has them as underscores; 32 hexadecimal digits for most static pods
	QoS         QoS    // of the pod
	ContainerID string // 64 hexadecimal digits
	Runtime     Runtime
	Driver      CgroupDriver
}

// ParseCgroupPath reads the path of a cgroup, as /proc/PID/cgroup has it after the
// last colon of a line, in any form that the kubelet (pkg/kubelet/cm) and the
// container runtimes give it, under cgroup v1 and v2. What the kernel puts behind the
// path of a cgroup that was removed, " (deleted)", is no part of the name. It reports
// false where the path names neither a pod nor a container.
//
// Where pods or containers are nested, as with Docker or kind inside a pod, the
// outermost pod counts and in it the outermost container: it is the one that this
// node's kubelet knows. A container around the kubelet, as kind's nodes are, counts
// only for processes outside of pods. Paths may be relative to a cgroup namespace,
// with leading .. elements; then the class may be missing.
func ParseCgroupPath(path string) (CgroupName, bool) {
	elems := strings.Split(claim.Undeleted(path), "/")
	for i, elem := range elems {
		if name, ok := parsePod(elems[:i], elem); ok {
			if name.ContainerID == "" {
				name.setContainer(elems[i+1:])
			}
			if name.ContainerID != "" && slices.Contains(elems[:i], kataOverhead) {
				name.Runtime = Kata
			}
			return name, true
		}
	}
	var name CgroupName
	if !name.setContainer(elems) {
		return CgroupName{}, false
	}
	return name, true
}

// setContainer takes ID and runtime from the outermost element that names a
// container, and reports whether there is one.
func (n *CgroupName) setContainer(elems []string) bool {
	for i, elem := range elems {
		id, runtime, driver, ok := parseContainer(elem)
		if !ok {
			continue
		}
		if slices.Contains(elems[:i], kataOverhead) {
			runtime = Kata
		}
		n.ContainerID, n.Runtime = id, runtime
		if n.Driver == "" {
			n.Driver = driver
		}
		return true
	}
	return false
}

// parsePod reads elem as the cgroup of a pod; parents are the path before it.
func parsePod(parents []string, elem string) (CgroupName, bool) {
	if uid, ok := strings.CutPrefix(elem, "pod"); ok && isPodUID(uid) {
		qos, ok := cgroupfsClass(parents, uid)
		return CgroupName{PodUID: uid, QoS: qos, Driver: Cgroupfs}, ok
	}
	slice, rest, literal := strings.Cut(elem, ":")
	uid, qos, ok := parsePodSlice(slice)
	switch {
	case !ok:
		return CgroupName{}, false
	case !literal:
		return CgroupName{PodUID: uid, QoS: qos, Driver: Systemd}, true
	}
	prefix, id, _ := strings.Cut(rest, ":")
	name := CgroupName{PodUID: uid, QoS: qos, Driver: DriverMismatch}
	if claim.IsContainerID(id) {
		name.ContainerID, name.Runtime = id, runtimes[prefix]
	}
	return name, true
}

// cgroupfsClass returns the class of the pod uid whose cgroup is a child of the last
// of parents, and whether that is a place for pods at all: /kubepods, or one of the
// classes below it, under any root; or where the path starts above a cgroup
// namespace, which hides the elements before, then for UIDs of the usual forms.
func cgroupfsClass(parents []string, uid string) (QoS, bool) {
	parent, grandparent := fromEnd(parents, 1), fromEnd(parents, 2)
	switch parent {
	case "kubepods":
		return Guaranteed, true
	case "..":
		return "", usualUID.MatchString(uid)
	}
	qos := QoS(parent)
	known := qos == Burstable || qos == BestEffort
	return qos, known && (grandparent == "kubepods" || grandparent == ".." && usualUID.MatchString(uid))
}

// usualUID matches a UUID and the hash that the kubelet gives to static pods.
var usualUID = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$`)

func fromEnd(elems []string, n int) string {
	if n > len(elems) {
		return ""
	}
	return elems[len(elems)-n]
}

// parsePodSlice reads the name of a systemd slice: kubepods[-CLASS]-podUID.slice,
// with the slices around it, if the kubelet has a cgroup root of its own, in front.
// Systemd takes a dash for a level of slices, so the kubelet writes the dashes of
// the UID as underscores.
func parsePodSlice(name string) (uid string, qos QoS, ok bool) {
	name, ok = strings.CutSuffix(name, ".slice")
	if !ok {
		return "", "", false
	}
	at := strings.Index("-"+name, "-kubepods-")
	if at < 0 {
		return "", "", false
	}
	rest := name[at+len("kubepods-"):]
	qos = Guaranteed
	for _, class := range []QoS{Burstable, BestEffort} {
		if after, found := strings.CutPrefix(rest, string(class)+"-"); found {
			rest, qos = after, class
		}
	}
	uid, ok = strings.CutPrefix(rest, "pod")
	uid = strings.ReplaceAll(uid, "_", "-")
	return uid, qos, ok && isPodUID(uid)
}

// isPodUID reports whether s can be a pod's UID. That is a UUID or, for a static
// pod, the 32 digits of a hash, unless the manifest of a static pod sets another;
// so only the characters are checked.
func isPodUID(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// runtimes are the prefixes of container IDs in names of cgroups.
var runtimes = map[string]Runtime{
	"cri-containerd": Containerd,
	"crio":           CRIO,
	"docker":         Docker,
	"libpod":         Podman,
}

// What Kata puts before the name of the cgroup that a container would have
// (RenameCgroupPath of src/runtime/pkg/resourcecontrol), and the cgroup above those of
// what it runs outside of pods.
const (
	kataPrefix   = "kata_"
	kataOverhead = "kata_overhead"
)

// parseContainer reads elem as the cgroup of a container: ID, PREFIX-ID,
// PREFIX-ID.scope, or as Kata's of any of these. A conmon is no container but what watches
// one.
func parseContainer(elem string) (id string, runtime Runtime, driver CgroupDriver, ok bool) {
	if inner, kata := strings.CutPrefix(elem, kataPrefix); kata {
		id, _, driver, ok = parseContainer(inner)
		return id, Kata, driver, ok
	}
	driver = Cgroupfs
	name, scope := strings.CutSuffix(elem, ".scope")
	if scope {
		driver = Systemd
	}
	if claim.IsContainerID(name) {
		return name, "", driver, true
	}
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 || !claim.IsContainerID(name[dash+1:]) {
		return "", "", "", false
	}
	runtime, known := runtimes[name[:dash]]
	return name[dash+1:], runtime, driver, known
}
