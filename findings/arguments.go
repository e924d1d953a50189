package findings

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

// An argumentSign is what a command line can have that says what a process is for. Its arguments themselves may hold secrets, and are not among
// the evidence.
type argumentSign struct {
	id, title, meaning string
	severity           Severity
	techniques         []Technique
	benign             []string
	pods               bool // it is nothing unusual outside of pods
	what               []namedPattern
}

// A namedPattern is what to look for in the arguments, joined by spaces, and what it is called. Text without any of the literals can't match.
type namedPattern struct {
	what     string
	pattern  *regexp.Regexp
	literals []string
}

func (w *namedPattern) matches(s string) bool {
	return hasAny(s, w.literals) && w.pattern.MatchString(s)
}

// hasAny reports whether a text has one of some parts.
func hasAny(s string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func argumentRules() (all []Rule) {
	for _, s := range argumentSigns {
		all = append(all, Rule{ID: s.id, Group: Processes, Title: s.title, Meaning: s.meaning, Severity: s.severity, Techniques: s.techniques, Benign: s.benign,
			Needs: Needs{Processes: true}, Next: "nodelens ps IMAGE --pid {pid} -o wide", Check: perProcess(s.look)})
	}
	return all
}

// maxCommandLine is how much of a command line is looked at, in bytes.
const maxCommandLine = 64 << 10

func (s *argumentSign) look(n *Node, p *cos.Process, found func(Finding)) {
	if p.KernelThread || len(p.Args) == 0 || s.pods && p.PodUID == "" {
		return
	}
	line := n.lines[p.PID]
	for i := range s.what {
		if w := &s.what[i]; w.matches(line) {
			found(Finding{Confidence: Likely, Object: w.what, Evidence: []Evidence{ofTask(p, "arguments", w.what), ofTask(p, "exe", p.Exe), ofTask(p, "number of arguments", fmt.Sprint(len(p.Args)))},
				Summary: "its arguments have " + w.what})
		}
	}
}

func pattern(what, expr string, literals ...string) namedPattern {
	return namedPattern{what, regexp.MustCompile(expr), literals}
}

var argumentSigns = []argumentSign{
	{
		id: "process-reverse-shell-arguments", severity: Critical, techniques: []Technique{"T1059.004", "T1095"},
		title:   "A command line opens a shell to the network",
		meaning: "The arguments are those by which a shell is connected to another machine. There is hardly another use for them.",
		what: []namedPattern{
			pattern("a shell's device for TCP or UDP", `/dev/(tcp|udp)/[^/ ]+/\d+`, "/dev/tcp/", "/dev/udp/"),
			pattern("a shell started by a network tool", `(^|/|\s)(nc|ncat|netcat|socat)(\.\w+)?\s.*(-e|-c|--exec|--sh-exec|EXEC:|SYSTEM:)[ =]?['"]?(/\w+)*/?(ba|da|z|k|a)?sh\b`, "nc", "netcat", "socat"),
			pattern("a shell on a socket in a script", `socket\.socket.*(dup2|pty\.spawn)|fsockopen.*(exec|proc_open|/bin/sh)|TCPSocket.*exec`, "socket.socket", "fsockopen", "TCPSocket"),
			pattern("a pipe between a shell and a network tool", `mkfifo\s.*\|\s*(/bin/)?(ba)?sh\b.*\|\s*(nc|ncat|netcat|telnet|openssl)\b`, "mkfifo"),
		},
	},
	{
		id: "process-download-and-run", severity: High, techniques: []Technique{"T1105", "T1059.004"}, benign: []string{causeBuild},
		title:   "A command line fetches a program and runs it",
		meaning: "What is fetched from the network goes straight to an interpreter. Installers do that, and so do the first steps of an intrusion.",
		what: []namedPattern{
			pattern("a download that a shell runs", `\b(curl|wget|fetch)\b[^|;&]*\|\s*(sudo\s+)?(/\S*/)?(ba|da|z|k)?sh\b`, "curl", "wget", "fetch"),
			pattern("a download that an interpreter runs", `\b(curl|wget)\b[^|;&]*\|\s*(/\S*/)?(python[\d.]*|perl|ruby|node|php)\b`, "curl", "wget"),
			pattern("a download into a directory that everybody can write to, made executable", `\b(curl|wget)\b.*\s(/tmp|/var/tmp|/dev/shm)/\S+.*chmod\s+(\+x|[0-7]*[157][0-7]{0,2})`, "curl", "wget"),
			pattern("a text in base64 that a shell runs", `base64\s+(-d|-D|--decode)\b[^;&]*\|\s*(/\S*/)?(ba|da|z|k)?sh\b`, "base64"),
		},
	},
	{
		id: "process-escape-arguments", severity: High, techniques: []Technique{"T1611"}, pods: true, benign: []string{causeAgent, causeOperator},
		title:   "A command line in a pod goes for the node",
		meaning: "The arguments enter the node's namespaces or root, or make the kernel start a program on the node. Agents with such rights do that on purpose.",
		what: []namedPattern{
			pattern("nsenter into process 1", `\bnsenter\b.*(-t|--target)[ =]?1\b`, "nsenter"),
			pattern("chroot into a mount of the node", `\bchroot\s+(/host|/rootfs|/mnt|/node|/proc/1/root)`, "chroot"),
			pattern("the root of process 1", `/proc/1/(root|cwd|fd)/`, "/proc/1/"),
			pattern("release_agent of cgroups", `\brelease_agent\b`, "release_agent"),
			pattern("core_pattern", `/proc/sys/kernel/core_pattern|kernel\.core_pattern`, "core_pattern"),
			pattern("a debugger of file systems on a disk", `\bdebugfs\s.*-w?\S*\s*/dev/`, "debugfs"),
		},
	},
	{
		id: "process-module-loading", severity: High, techniques: []Technique{"T1547.006"}, pods: true, benign: []string{causeAgent},
		title:   "A command line in a pod loads a module of the kernel",
		meaning: "A process in a pod is a program that loads modules, or names a file of one. Whoever loads a module owns the node; drivers are installed so as well.",
		what:    []namedPattern{pattern("a program that loads modules", `(^|/|\s)(insmod|modprobe|kmod)\s`, "insmod", "modprobe", "kmod"), pattern("a module's file", `\S+\.ko(\.(xz|zst|gz))?(\s|$)`, ".ko")},
	},
	{
		id: "process-miner-arguments", severity: High, techniques: []Technique{"T1496.001"},
		title:   "A command line mines",
		meaning: "The arguments name a mining pool, or are those of a miner. Somebody uses the node's processors for money.",
		what: []namedPattern{
			pattern("the protocol of mining pools", `stratum(\+\w+)?://`, "stratum"),
			pattern("a miner's own arguments", `--(donate-level|nicehash|randomx-\w+|cpu-max-threads-hint|coin[= ]\w+|algo[= ](rx|cn|randomx|cryptonight|argon2|ethash|kawpow)\S*)`, "--"),
			pattern("a mining pool", `\b(pool\.|\w+\.)?(minexmr|supportxmr|nanopool|moneroocean|hashvault|2miners|f2pool|unmineable|c3pool|xmrpool)\.\w+`, "xmr", "nanopool", "monero", "hashvault", "miners", "pool", "unmineable"),
		},
	},
	{
		id: "process-defence-arguments", severity: High, techniques: []Technique{"T1685", "T1686", "T1070.003"}, benign: []string{causeOperator},
		title:   "A command line switches off what watches",
		meaning: "The arguments stop an agent, clear rules or logs, or forget what was typed. Whoever maintains the node may do that as well.",
		what: []namedPattern{
			pattern("a security service that is stopped", `\b(systemctl|service)\s+(stop|disable|mask)\s.*\b(auditd|falco|tetragon|tracee|osqueryd|apparmor|fluent-bit|google-cloud-ops-agent|rsyslog)`, "systemctl", "service"),
			pattern("rules of the firewall that are cleared", `\b(iptables|ip6tables)\s+(-F|--flush)|\bnft\s+flush\s+ruleset`, "iptables", "ip6tables", "nft"),
			pattern("enforcement that is switched off", `\bsetenforce\s+0\b|\baa-(teardown|disable|complain)\b|\bauditctl\s+(-e\s*0|-D)\b`, "setenforce", "aa-", "auditctl"),
			pattern("a history that is cleared", `\bhistory\s+-c\b|\bunset\s+HISTFILE\b|HISTFILE=/dev/null|HISTSIZE=0\b`, "history", "HIST"),
			pattern("logs that are removed", `\b(rm|shred|truncate)\s.*(/var/log/(audit|syslog|auth|messages|secure|wtmp|btmp|lastlog)|\.bash_history)`, "rm", "shred", "truncate"),
		},
	},
	{
		id: "process-persistence-arguments", severity: High, techniques: []Technique{"T1053.003", "T1098.004", "T1574.006"}, benign: []string{causeOperator, causeBuild},
		title:   "A command line makes something stay",
		meaning: "The arguments write to files from which programs are started or users let in. Setting a machine up does that once; in a running pod it is odd.",
		what: []namedPattern{
			pattern("a library that every program loads", `/etc/ld\.so\.preload`, "/etc/ld.so.preload"),
			pattern("keys that let users in", `>\s*\S*\.ssh/authorized_keys`, "authorized_keys"),
			pattern("a task of cron", `\|\s*crontab\s+-|>\s*/etc/cron\S*|>\s*/var/spool/cron/`, "cron"),
			pattern("a unit of systemd", `>\s*/(etc|usr/lib|lib|run)/systemd/system/\S+`, "/systemd/system/"),
			pattern("users or their rights", `>\s*/etc/(passwd|shadow|sudoers(\.d/\S+)?)\b`, "/etc/"),
		},
	},
	{
		id: "process-attack-tool", severity: High, techniques: []Technique{"T1046", "T1613", "T1572"}, benign: []string{"a test of security that was ordered"},
		title:   "A tool of attackers runs",
		meaning: "The program has the name of a tool that looks for ways out of containers, for other machines, or for passwords, or that tunnels. A name proves nothing, but these have few other uses.",
		what: []namedPattern{
			pattern("a tool against clusters", `^(\S*/)?(peirates|deepce(\.sh)?|kdigger|kubeletctl|amicontained|botb|cdk(_linux\w*)?|kubesploit|kube-hunter|traitor)(\s|$)`, "peirates", "deepce", "kdigger", "kubeletctl", "amicontained", "botb", "cdk", "kubesploit", "kube-hunter", "traitor"),
			pattern("a scanner of networks", `^(\S*/)?(nmap|masscan|zmap|rustscan|fscan|zgrab2?|naabu|pnscan)(\s|$)`, "map", "masscan", "scan", "zgrab", "naabu"),
			pattern("a tunnel", `^(\S*/)?(chisel|frpc|frps|ngrok|gost|ligolo\S*|gs-netcat|rathole|pwncat\S*|iox|sliver\S*)(\s|$)`, "chisel", "frp", "ngrok", "gost", "ligolo", "gs-netcat", "rathole", "pwncat", "iox", "sliver"),
			pattern("a tool for passwords", `^(\S*/)?(mimipenguin\S*|hydra|john|hashcat|lazagne|linpeas(\.sh)?|pspy\d*|LinEnum\.sh)(\s|$)`, "mimipenguin", "hydra", "john", "hashcat", "lazagne", "linpeas", "pspy", "LinEnum"),
		},
	},
	{
		id: "process-network-tool", severity: Low, techniques: []Technique{"T1105", "T1046"}, pods: true, benign: []string{"the image is made of it"},
		title:   "A tool for networks runs in a pod",
		meaning: "A client or listener for everything runs, such as nc or curl. Images have such tools for probes and jobs, and intruders use what is there.",
		what: []namedPattern{
			pattern("a tool for connections", `^(\S*/)?(nc|ncat|netcat|socat|telnet|tcpdump|tshark|curl|wget)(\.\w+)?(\s|$)`, "nc", "netcat", "socat", "telnet", "tcpdump", "tshark", "curl", "wget"),
			pattern("a tool for clusters", `^(\S*/)?(kubectl|crictl|ctr|nerdctl|docker|podman|etcdctl|helm)(\s|$)`, "kubectl", "crictl", "ctr", "nerdctl", "docker", "podman", "etcdctl", "helm"),
			pattern("a tool for namespaces", `^(\S*/)?(nsenter|unshare|capsh|bpftool|gdb|strace|ltrace)(\s|$)`, "nsenter", "unshare", "capsh", "bpftool", "gdb", "trace"),
		},
	},
	{
		id: "process-miner-name", severity: High, techniques: []Technique{"T1496.001"},
		title:   "A miner runs",
		meaning: "The program has the name of a miner. Somebody uses the node's processors for money.",
		what:    []namedPattern{pattern("a miner", `^(\S*/)?(xmrig\S*|xmr-stak\S*|minerd|cpuminer\S*|ethminer|t-rex|lolMiner|nbminer|phoenixminer|cgminer|bfgminer|ccminer|kinsing|kdevtmpfsi|srbminer\S*|verus-?miner|nheqminer|teamredminer)(\s|$)`, "xmr", "minerd", "miner", "t-rex", "kinsing", "kdevtmpfsi", "nheqminer")},
	},
	{
		id: "process-ssh-server", severity: Medium, techniques: []Technique{"T1021.004"}, pods: true, benign: []string{"a bastion, or a server for git"},
		title:   "A server for SSH runs in a pod",
		meaning: "A pod lets users in by SSH, past the cluster's own ways. Few pods are made for that.",
		what:    []namedPattern{pattern("a server for SSH", `^(\S*/)?(sshd(-session)?|dropbear|tinysshd)(:|\s|$)`, "sshd", "dropbear")},
	},
}
