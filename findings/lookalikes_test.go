package findings_test

import (
	"testing"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// What ordinary pods and nodes have, and rules could take for something else: of none is there a finding above low.
func TestLookAlikes(t *testing.T) {
	for name, spoil := range map[string]func(f fixture){
		"npm starts an application": func(f fixture) {
			p := f.process(pidServer)
			p.Comm, p.Exe, p.Args = "npm start", "/usr/local/bin/node", []string{"npm start"}
			f.in(200, pidServer, "sh", "/bin/dash", "sh", "-c", "node server.js")
			f.in(201, 200, "node", "/usr/local/bin/node", "node", "server.js")
		},
		"a probe runs a command": func(f fixture) {
			f.in(200, 50, "sh", "/bin/busybox", "/bin/sh", "-c", "pg_isready").StartTime = imaged.Add(-2 * time.Second)
			f.open(200, 0, "/dev/null")
		},
		"Java unpacks a library": func(f fixture) {
			p := f.process(pidServer)
			p.Comm, p.Exe, p.Args = "java", "/opt/java/openjdk/bin/java", []string{"java", "-jar", "app.jar"}
			suspicious(memory.GoneCode, memory.Medium, pidServer, "/tmp/libnetty_transport_native_epoll_x86_6413.so (deleted)")(f)
			f.gone("overlay", "/tmp/jna-0/jna123.tmp (deleted)", pidServer, "map").Mode = 0o100600
		},
		"a network plugin sees packets": func(f fixture) {
			f.otherPod("kube-system")
			f.Pods[1].Containers[0].Image = "quay.io/cilium/cilium:v1.18"
			f.socket(300, 5, socket.Packet, socket.Raw, "all")
			f.listen(300, 6, 9879).NetNS = 1
		},
		"runc starts a container": func(f fixture) {
			f.start(70, 50, "runc", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", "create").StartTime = imaged.Add(-time.Second)
			p := f.in(71, 70, "runc:[2:INIT]", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", "init")
			p.StartTime, p.Namespaces.Mnt = imaged.Add(-time.Second), 1
			f.rights(71).Seccomp.Mode, f.rights(71).Bounding = "off", 0xff
			f.gone("tmpfs", "/memfd:runc_cloned:/proc/self/exe (deleted)", 70, "exe")
			f.gone("tmpfs", "/memfd:runc_cloned:/proc/self/exe (deleted)", 71, "exe")
		},
		"nginx and its workers": func(f fixture) {
			f.listen(pidServer, 6, 80)
			f.connect(pidWorker, 7, "203.0.113.9", 443)
		},
		"a login by SSH": func(f fixture) {
			f.start(70, pidHost, "sshd-session", "/usr/lib/openssh/sshd-session", "sshd-session: admin [priv]")
			f.start(71, 70, "bash", "/bin/bash", "-bash")
			f.open(71, 0, "/dev/pts/0")
			uid := uint32(1000)
			f.start(72, 71, "sudo", "/usr/bin/sudo", "sudo", "-i")
			f.start(73, 72, "bash", "/bin/bash", "-bash")
			for _, pid := range []int32{71, 72, 73} {
				f.rights(pid).LoginUID = &uid
			}
			f.rights(71).UID, f.rights(71).EUID = 1000, 1000
		},
		"a log agent with a directory of the node": func(f fixture) {
			hostPath("/var/log", "ro")(f)
			f.open(pidServer, 5, "/var/log/pods/shop_web-1_x/web/0.log")
		},
		"a volume of a pod":         mount(cos.SpecMount{Destination: "/data", Type: "bind", Source: "/var/lib/kubelet/pods/" + podUID + "/volumes/kubernetes.io~csi/pvc/mount", Kind: "csi"}),
		"a program set up by chown": runs(cos.LayerWritten, true, true),
		"a zombie of a probe": func(f fixture) {
			p := f.in(200, 50, "sh", "", "")
			p.State, p.Args = 'Z', nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := clean()
			spoil(f)
			r, err := findings.Run(t.Context(), findings.NewNode(f.NodeReport, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if f.Severity > findings.Low {
					t.Errorf("%v %s of %v: %s", f.Severity, f.Rule, f.Subject, f.Summary)
				}
			}
		})
	}
}
