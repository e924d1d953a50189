package cos

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/linux/process"
)

// createdPod is what the lab's loader made of a pod.
type createdPod struct {
	Pod struct {
		Name, Namespace, UID         string
		HostPID, HostNet, Privileged bool
		Containers                   []struct {
			Name, Image string
			Command     []string
			Env         map[string]string
			User        uint32
			Privileged  bool

			Kind                           string
			Ends, ReadOnlyRoot, NoNewPrivs bool
			Unmasked                       bool
			Seccomp                        string
			Memory, CPU                    int64
			Groups                         []uint32
			Mounts                         []struct{ Volume, Path, SubPath string }
		}
		Volumes []struct{ Name, Kind, Path string }
		Sysctls map[string]string
	}
	SandboxID  string
	Containers map[string]string
}

func createdPods(t *testing.T, truth string) (all []createdPod) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(truth, "pods.json"))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// containersOf returns the containers of a node, of which nothing is lost.
func containersOf(t *testing.T, n *Node) []ContainerDetail {
	t.Helper()
	all, gaps, err := n.Containers(t.Context())
	if err != nil || len(gaps) > 0 {
		t.Fatal(gaps, err)
	}
	return all
}

// statusOf returns the lines of /proc/PID/status.
func statusOf(t *testing.T, truth string, pid int32) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(truth, "pid", strconv.Itoa(int(pid)), "status"))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		m[k] = strings.TrimSpace(v)
	}
	return m
}

// Each container is what it was asked to be, as the loader asked for it, and what /proc said of it.
func TestContainersOfBundledNode(t *testing.T) {
	all, truth := containersOf(t, bundledNode(t)), bundled(t).Truth
	by := map[string]*ContainerDetail{}
	for i := range all {
		by[all[i].ID] = &all[i]
	}
	count := 0
	for _, p := range createdPods(t, truth) {
		if s := by[p.SandboxID]; s == nil || !s.Sandbox || s.PodUID != p.Pod.UID || s.Spec == nil || s.Actual == nil {
			t.Errorf("sandbox of %s: %+v", p.Pod.Name, s)
		}
		count += 1 + len(p.Pod.Containers)
		for _, asked := range p.Pod.Containers {
			c := by[p.Containers[asked.Name]]
			if c == nil || c.Spec == nil || c.Actual == nil {
				t.Errorf("container %s: %+v", asked.Name, c)
				continue
			}
			if c.Name != asked.Name || c.Pod != p.Pod.Name || c.Namespace != p.Pod.Namespace || !c.Running || c.Sandbox {
				t.Errorf("container %+v", c)
			}
			// The same files under another name are the same image.
			if c.Image != asked.Image && c.Image != "docker.io/library/busybox:1.35" {
				t.Errorf("%s is of the image %s", c.Name, c.Image)
			}
			if !slices.Equal(c.Spec.Args, asked.Command) || c.Spec.UID != asked.User {
				t.Errorf("%s is asked to run %q as %d, want %q", c.Name, c.Spec.Args, c.Spec.UID, asked.Command)
			}
			checkStatus(t, truth, c)
			if len(c.Differences) > 0 {
				t.Errorf("%s: %+v", c.Name, c.Differences)
			}
			if is := slices.ContainsFunc(c.Violations, func(v Violation) bool { return v.Check == "privileged" }); is != asked.Privileged {
				t.Errorf("%s is found privileged: %v", c.Name, is)
			}
			if is := slices.Contains(c.Actual.HostNamespaces, "network"); is != p.Pod.HostNet {
				t.Errorf("%s shares %q", c.Name, c.Actual.HostNamespaces)
			}
		}
	}
	if len(all) != count {
		t.Errorf("%d containers, want %d", len(all), count)
	}
}

func checkStatus(t *testing.T, truth string, c *ContainerDetail) {
	t.Helper()
	status := statusOf(t, truth, c.Actual.PID)
	for _, set := range []struct {
		line string
		got  []string
	}{{"CapBnd", c.Actual.Capabilities.Bounding}, {"CapEff", c.Actual.Capabilities.Effective}, {"CapPrm", c.Actual.Capabilities.Permitted},
		{"CapInh", c.Actual.Capabilities.Inheritable}, {"CapAmb", c.Actual.Capabilities.Ambient}} {
		var bits process.Capabilities
		if text, err := json.Marshal(set.got); err != nil || set.got != nil && json.Unmarshal(text, &bits) != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for name, n := range map[string]int{"CAP_CHOWN": 0, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_CHECKPOINT_RESTORE": 40} { // capabilities(7)
			if slices.Contains(set.got, name) != bits.Has(n) {
				t.Errorf("%s: %s is not the %dth of %v", c.Name, name, n, set.got)
			}
		}
		if got := bits.String(); got != status[set.line] {
			t.Errorf("%s: %s is %s, want %s", c.Name, set.line, got, status[set.line])
		}
	}
	modes := map[string]string{"0": "off", "1": "strict", "2": "filter"}
	if c.Actual.Seccomp != modes[status["Seccomp"]] || fmt.Sprint(b2i(c.Actual.NoNewPrivileges)) != status["NoNewPrivs"] {
		t.Errorf("%s: %+v, want seccomp %s, no_new_privs %s", c.Name, c.Actual, status["Seccomp"], status["NoNewPrivs"])
	}
}

// Values of an environment are hidden unless they are asked for; equal ones can be told from others.
func TestSecretsOfContainers(t *testing.T) {
	img := bundled(t)
	n, err := OpenNode(t.Context(), File(img.Path), &Options{Symbols: symbolsOf(t, img), Secrets: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	hidden, shown, truth := containersOf(t, bundledNode(t)), containersOf(t, n), img.Truth
	hiddenText, err := json.Marshal(NodeReport{Containers: hidden})
	if err != nil {
		t.Fatal(err)
	}
	shownText, err := json.Marshal(NodeReport{Containers: shown})
	if err != nil {
		t.Fatal(err)
	}
	values := 0
	for _, p := range createdPods(t, truth) {
		for _, c := range p.Pod.Containers {
			for name, value := range c.Env {
				values++
				if bytes.Contains(hiddenText, []byte(value)) || !bytes.Contains(hiddenText, []byte(name)) || !bytes.Contains(shownText, []byte(value)) {
					t.Errorf("%s of %s is shown, or not named, or not shown where it should be", name, c.Name)
				}
			}
		}
	}
	if values < 3 {
		t.Errorf("only %d values", values)
	}
	digests := map[string]string{}
	for _, c := range shown {
		for _, e := range c.Spec.Env {
			if was, ok := digests[*e.Value]; ok && was != e.Digest || e.Digest == "" || e.Length != len(*e.Value) {
				t.Errorf("%+v, before %s", e, was)
			}
			digests[*e.Value] = e.Digest
		}
	}
	distinct := map[string]bool{}
	for _, d := range digests {
		distinct[d] = true
	}
	if len(distinct) != len(digests) {
		t.Errorf("%d digests of %d values", len(distinct), len(digests))
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(`{"process":{"args":["sh"],"env":["A=b","C"],"user":{"uid":1}},"mounts":[{"destination":"/x","type":"bind","source":"/var/lib/kubelet/pods/u/volumes/kubernetes.io~secret/s","options":["rbind"]}],"linux":{"namespaces":[{"type":"pid"}],"resources":{"cpu":{"quota":5}}}}`))
	f.Add([]byte(`{"linux":null,"root":{}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		s, err := parseSpec(b, &sealer{})
		if err == nil {
			violations(s, &Posture{})
			differences(s, &Posture{})
		}
	})
}

func TestVolumeOf(t *testing.T) {
	for source, want := range map[string][2]string{
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~projected/kube-api-access-x": {"projected", "kube-api-access-x"},
		"/var/lib/kubelet/pods/u/volume-subpaths/settings/main/0":                   {"subpath", "settings"},
		"/var/lib/kubelet/pods/u/etc-hosts":                                         {"kubelet", ""},
		"/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/i/hostname":        {"runtime", ""},
		"/":        {"host-path", ""},
		"/pods/x/": {"host-path", ""},
		"/var/lib/kubelet/pods/other/volumes/kubernetes.io~secret/token":     {"host-path", ""},
		"/home/x/pods/u/volumes/b~csi/c":                                     {"host-path", ""},
		"/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/j/hostname": {"host-path", ""},
		"/var/lib/containerd/io.containerd.grpc.v1.cri/containers/":          {"host-path", ""},
		"/var/lib/kubelet/pods/u/plugins/x":                                  {"host-path", ""},
	} {
		if kind, volume := volumeOf(source, specOwner{"u", "i"}); [2]string{kind, volume} != want {
			t.Errorf("%s: %s %s", source, kind, volume)
		}
	}
}

// eachInspected tests the containers of the nodes of which the runtime said what it knows of each, which are those with the lab's cases of files.
func eachInspected(t *testing.T, test func(t *testing.T, img testimages.Image, all []ContainerDetail)) {
	t.Helper()
	if !testimages.Have() {
		t.Skip("whole nodes are read where NODELENS_IMAGES is set")
	}
	for _, img := range testimages.All(t) {
		if _, err := os.Stat(filepath.Join(img.Truth, "cri.json")); img.Truth == "" || err != nil {
			continue
		}
		t.Run(img.Name, func(t *testing.T) {
			n, err := OpenNode(t.Context(), File(img.Path), &Options{Symbols: symbolsOf(t, img)})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			test(t, img, containersOf(t, n))
		})
	}
}

// TestContainersOfNodes compares containers with volumes and settings of every kind with what was asked for and what /proc said.
func TestContainersOfNodes(t *testing.T) {
	eachInspected(t, func(t *testing.T, img testimages.Image, all []ContainerDetail) {
		by := map[string]*ContainerDetail{}
		for i := range all {
			by[all[i].ID] = &all[i]
		}
		for _, p := range createdPods(t, img.Truth) {
			kinds := map[string]string{}
			for _, v := range p.Pod.Volumes {
				kinds[v.Name] = v.Kind
			}
			for i := range p.Pod.Containers {
				asked := &p.Pod.Containers[i]
				c := by[p.Containers[asked.Name]]
				if asked.Ends {
					if c != nil && c.Running {
						t.Errorf("%s runs, and has ended", asked.Name)
					}
					continue
				}
				if c == nil || c.Spec == nil || c.Actual == nil || !c.Running {
					t.Errorf("%s: %+v", asked.Name, c)
					continue
				}
				s := c.Spec
				if s.ReadOnlyRoot != asked.ReadOnlyRoot || s.NoNewPrivileges != asked.NoNewPrivs || s.Seccomp != "" != (asked.Seccomp != "") || s.MemoryLimit != asked.Memory ||
					s.CPUQuota != asked.CPU*100 || s.UID != asked.User || !slices.Equal(s.Args, asked.Command) {
					t.Errorf("%s is asked to be %+v, want %+v", asked.Name, s, asked)
				}
				for _, g := range asked.Groups {
					if !slices.Contains(s.Groups, g) {
						t.Errorf("%s has the groups %d, want %d", asked.Name, s.Groups, asked.Groups)
					}
				}
				for _, m := range asked.Mounts {
					i := slices.IndexFunc(s.Mounts, func(have SpecMount) bool { return have.Destination == m.Path })
					if i < 0 || s.Mounts[i].Kind != kinds[m.Volume] || kinds[m.Volume] != "host-path" && s.Mounts[i].Volume != m.Volume {
						t.Errorf("%s at %s: %+v", m.Volume, m.Path, s.Mounts)
					}
				}
				checkStatus(t, img.Truth, c)
				for _, d := range c.Differences {
					t.Errorf("%s: %+v", asked.Name, d)
				}
				unmasked := slices.ContainsFunc(c.Violations, func(v Violation) bool { return v.Check == "procMount" })
				if unmasked != (asked.Unmasked || asked.Privileged) {
					t.Errorf("%s: /proc unmasked: %v", asked.Name, unmasked)
				}
			}
		}
	})
}

// TestSecretsOfProcesses: of the environment of each process the names are there, and no value; in arguments there is none either, and the
// report says so.
func TestSecretsOfProcesses(t *testing.T) {
	img := bundled(t)
	node, err := truth.Read(img.Truth)
	if err != nil {
		t.Fatal(err)
	}
	read := func(opts *Options) *NodeReport {
		opts.Symbols = symbolsOf(t, img)
		r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r, keyed, other := read(&Options{}), read(&Options{SecretKey: []byte("a key of sixteen")}), read(&Options{SecretKey: []byte("another of those")})
	if r.Secrets != SecretsHidden || r.SecretKey == "" || keyed.SecretKey == r.SecretKey || keyed.SecretKey == other.SecretKey {
		t.Errorf("secrets %s, keys %q, %q, %q", r.Secrets, r.SecretKey, keyed.SecretKey, other.SecretKey)
	}
	values := 0
	for i := range r.Processes {
		p := &r.Processes[i]
		at := slices.IndexFunc(node.Processes, func(w truth.Process) bool { return w.PID == p.PID })
		if at < 0 || len(node.Processes[at].Env) != len(p.Env) {
			t.Errorf("process %d: %d variables", p.PID, len(p.Env))
			continue
		}
		for k, text := range node.Processes[at].Env {
			name, value, ok := strings.Cut(text, "=")
			if !ok || name == "" {
				name, value = "", text
			}
			e := p.Env[k]
			if e.Name != name || e.Length != len(value) || e.Value != nil {
				t.Errorf("process %d: %+v, want %q", p.PID, e, name)
			}
			h := hmac.New(sha256.New, []byte("a key of sixteen"))
			h.Write([]byte(value))
			if want := hex.EncodeToString(h.Sum(nil)[:12]); keyed.Processes[i].Env[k].Digest != want || other.Processes[i].Env[k].Digest == want || e.Digest == want {
				t.Errorf("process %d: the digest of %s is %s, want %s", p.PID, name, keyed.Processes[i].Env[k].Digest, want)
			}
			values++
		}
	}
	if values < 100 {
		t.Errorf("only %d values", values)
	}
}
