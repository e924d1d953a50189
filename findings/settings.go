package findings

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/settings"
)

// A sysctlSign is a setting of the kernel that weakens it.
type sysctlSign struct {
	id, name, title, meaning string
	severity                 Severity
	techniques               []Technique
	bad                      func(value int64) bool
}

func is(bad int64) func(int64) bool     { return func(v int64) bool { return v == bad } }
func below(good int64) func(int64) bool { return func(v int64) bool { return v < good } }

var sysctlSigns = []sysctlSign{
	{"kernel-aslr-off", "kernel/randomize_va_space", "Addresses are not randomised", "The kernel places programs where an attacker can know them, or does so in part. Exploits are easier.", Medium, []Technique{"T1068"}, below(2)},
	{"kernel-unprivileged-bpf", "kernel/unprivileged_bpf_disabled", "Every user may load BPF", "Programs without rights can load BPF programs, by which the kernel was broken into more than once.", Medium, []Technique{"T1068"}, is(0)},
	{"kernel-pointers-shown", "kernel/kptr_restrict", "The kernel shows its addresses", "Files of the kernel show addresses to whoever has rights, in any container. Exploits need them.", Low, []Technique{"T1082"}, is(0)},
	{"kernel-log-readable", "kernel/dmesg_restrict", "Every user may read the kernel's log", "The log has addresses and faults that exploits need.", Low, []Technique{"T1082"}, is(0)},
	{"kernel-ptrace-open", "kernel/yama/ptrace_scope", "Every process may debug the others of its user", "A process that was broken into can read what the others of its user have in memory.", Low, []Technique{"T1055.008"}, is(0)},
	{"kernel-perf-open", "kernel/perf_event_paranoid", "Every user may measure the kernel", "Events of the kernel can be measured without rights, by which addresses and secrets leak.", Low, []Technique{"T1082"}, below(2)},
	{"kernel-links-unprotected", "fs/protected_symlinks", "Links in shared directories are followed", "Programs follow links that others have put into /tmp. Old attacks work again.", Medium, []Technique{"T1068"}, is(0)},
	{"kernel-hardlinks-unprotected", "fs/protected_hardlinks", "Links can be made to others' files", "Users can make hard links to files that they may not read. Old attacks work again.", Low, []Technique{"T1068"}, is(0)},
	{"kernel-setuid-dumps", "fs/suid_dumpable", "Programs with more rights leave core dumps", "A program that is setuid dumps its memory where its user can read it.", Low, []Technique{"T1003.007"}, is(1)},
	{"kernel-low-memory-mapped", "vm/mmap_min_addr", "Memory at address 0 can be mapped", "A null pointer of the kernel can lead to an attacker's memory.", Medium, []Technique{"T1068"}, below(4096)},
	{"kernel-userfaultfd-open", "vm/unprivileged_userfaultfd", "Every user may hold the kernel up at page faults", "Exploits use that to win races.", Low, []Technique{"T1068"}, is(1)},
}

func settingRules() []Rule {
	all := []Rule{}
	for i := range sysctlSigns {
		s := &sysctlSigns[i]
		all = append(all, Rule{ID: s.id, Group: KernelNode, Title: s.title, Meaning: s.meaning + " The setting may be the distribution's.", Severity: s.severity, Techniques: s.techniques,
			Needs: Needs{Sections: cos.SectionKernel}, Next: "nodelens findings IMAGE -o wide", Benign: []string{"the distribution's own setting"}, Check: s.check})
	}
	return append(all, helperRules...)
}

var helperRules = []Rule{
	{
		ID: "kernel-core-pattern", Group: KernelNode, Severity: High, Techniques: []Technique{"T1611", "T1546"},
		Title:   "The kernel starts an unusual program at crashes",
		Meaning: "A program that is none of the known ones runs on the node, as root, whenever a process crashes, wherever that is. It is a well-known way out of a container.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"a collector of crashes"}, Next: "nodelens dmesg IMAGE", Check: perNode(corePattern),
	},
	{
		ID: "kernel-helper-program", Group: KernelNode, Severity: High, Techniques: []Technique{"T1611", "T1546"},
		Title:   "The kernel starts an unusual program by itself",
		Meaning: "The path of a program that the kernel starts on its own, to load modules, for devices or to switch off, is none of the usual ones. Exploits write there to become root.",
		Needs:   Needs{Sections: cos.SectionKernel}, Next: "nodelens dmesg IMAGE", Check: perNode(helperPrograms),
	},
	{
		ID: "kernel-binary-format", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1546"},
		Title:   "An unusual interpreter runs programs",
		Meaning: "A format of programs is registered whose interpreter is none of the known ones. Every program of that format runs by it, with the rights of who starts it.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"an emulator of other processors"}, Next: "nodelens findings IMAGE -o wide", Check: perNode(binaryFormats),
	},
	{
		ID: "kernel-kexec-loaded", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1014"},
		Title:   "Another kernel is loaded, to be started",
		Meaning: "A kernel was loaded that replaces this one without the firmware. Updates do that shortly before they restart.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"an update that is about to restart the node"}, Next: "nodelens dmesg IMAGE", Check: perNode(kexecLoaded),
	},
	{
		ID: "kernel-live-patch", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1014"},
		Title:   "The kernel is live-patched",
		Meaning: "Functions of the kernel were replaced while it ran, by its own means. Vendors mend faults so; nobody else should.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"a vendor's patch"}, Next: "nodelens modules IMAGE", Check: perNode(livePatches),
	},
	{
		ID: "kernel-command-line", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1685"},
		Title:   "The kernel was started with protections off",
		Meaning: "Its command line switches off protections of the kernel or its security modules. Whoever sets nodes up for tests does that.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"a node for tests"}, Next: "nodelens dmesg IMAGE", Check: perNode(commandLine),
	},
	{
		ID: "kernel-no-mandatory-access", Group: KernelNode, Severity: Low, Techniques: []Technique{"T1685"},
		Title:   "No security module confines containers",
		Meaning: "Neither AppArmor nor SELinux is in force, so that a container is kept by capabilities and namespaces alone.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"the distribution has none"}, Next: "nodelens dmesg IMAGE", Check: perNode(noMandatory),
	},
	{
		ID: "kernel-forced-taint", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1068"},
		Title:   "The kernel has met a fault, or was overridden",
		Meaning: "The kernel is marked as having gone on after a fault of its own, a bad page, a soft lockup or a forced operation. Exploits that fail leave that, and bugs.",
		Needs:   Needs{Sections: cos.SectionKernel}, Benign: []string{"a bug, or failing hardware"}, Next: "nodelens dmesg IMAGE", Check: perNode(faultTaint),
	},
}

// sysctl returns a setting of the kernel itself; nil where it is not there.
func (n *Node) sysctl(name string) *settings.Sysctl {
	all := n.Report.Kernel.Settings.Sysctls
	for i := range all {
		if all[i].Name == name && all[i].Namespace == "" {
			return &all[i]
		}
	}
	return nil
}

var (
	knownCore    = regexp.MustCompile(`^/?(core(\.%\w|%\w|[\w.%-])*|/?(tmp|var/(core|crash|lib/systemd/coredump|dumps?))/[\w.%/-]*)$|^\|(/usr)?/(lib|libexec|sbin|share)/(systemd/systemd-coredump|abrt-hook-ccpp|apport/apport|core_collector[\w-]*|crash_reporter)(\s.*)?$|^$`)
	knownProbe   = regexp.MustCompile(`^(/usr)?/s?bin/(modprobe|kmod)$|^/run/current-system/sw/bin/modprobe$|^$`)
	knownOff     = regexp.MustCompile(`^(/usr)?/s?bin/poweroff$|^$`)
	knownUevent  = regexp.MustCompile(`^(/sbin/hotplug|/sbin/mdev)?$`)
	knownInterp  = regexp.MustCompile(`^(/usr(/local)?(/lib\w*)?(/libexec)?)?/(s?bin|lib|libexec)/(qemu-\S+|\S*/qemu-\S+|python[\d.]*|jexec|jarwrapper|wine\S*|mono\S*|cli|llvm-lli\S*|rosetta)$|/rosetta$|^/init$|^/usr/bin/(qemu|python|mono|wine|cli)\S*$|^/run/binfmt/`)
	badArguments = regexp.MustCompile(`^(nokaslr|nosmep|nosmap|nopti|mitigations=off|pti=off|selinux=0|enforcing=0|apparmor=0|security=none|audit=0|module\.sig_enforce=0|lockdown=none|loadpin\.enforce=0|loadpin\.enabled=0|noexec=off|slab_nomerge=0|init=/bin/\w*sh)$`)
)

func ofText(t *settings.Text, what string) Evidence {
	return Evidence{"text", t.Address, what, t.Value}
}

func corePattern(n *Node, found func(Finding)) {
	if t := &n.Report.Kernel.Settings.CorePattern; !knownCore.MatchString(t.Value) {
		severity := Medium
		if strings.HasPrefix(t.Value, "|") {
			severity = High
		}
		found(Finding{Object: "core_pattern", Severity: severity, Confidence: Likely, Evidence: []Evidence{ofText(t, "core_pattern")}, Summary: "core_pattern is " + quote(t.Value)})
	}
}

func helperPrograms(n *Node, found func(Finding)) {
	s := n.Report.Kernel.Settings
	for _, h := range []struct {
		what  string
		text  *settings.Text
		known *regexp.Regexp
	}{{"modprobe_path", &s.ModprobePath, knownProbe}, {"poweroff_cmd", &s.PoweroffCmd, knownOff}, {"uevent_helper", &s.UeventHelper, knownUevent}} {
		if !h.known.MatchString(h.text.Value) {
			found(Finding{Object: h.what, Confidence: Likely, Evidence: []Evidence{ofText(h.text, h.what)}, Summary: h.what + " is " + quote(h.text.Value)})
		}
	}
}

func binaryFormats(n *Node, found func(Finding)) {
	for i := range n.Report.Kernel.Settings.BinfmtMisc {
		m := &n.Report.Kernel.Settings.BinfmtMisc[i]
		if m.Enabled && !knownInterp.MatchString(path.Clean(m.Interpreter)) {
			found(Finding{Object: m.Name, Confidence: Possible, Evidence: []Evidence{{"Node", m.Address, "interpreter", m.Interpreter}, {"Node", m.Address, "flags", m.Flags}}, Summary: quote(m.Name) + " is run by " + quote(m.Interpreter)})
		}
	}
}

func kexecLoaded(n *Node, found func(Finding)) {
	if at := n.Report.Kernel.Settings.KexecImage; at != 0 {
		found(Finding{Object: "kexec_image", Confidence: Certain, Evidence: []Evidence{{"kimage", at, "kexec_image", at.String()}}, Summary: "kexec_image is set"})
	}
}

func livePatches(n *Node, found func(Finding)) {
	for _, name := range n.Report.Kernel.Settings.Livepatches {
		found(Finding{Object: name, Confidence: Certain, Evidence: []Evidence{{"klp_patch", 0, "name", name}}, Summary: "the patch " + quote(name) + " is there"})
	}
}

func commandLine(n *Node, found func(Finding)) {
	t := &n.Report.Kernel.Settings.CommandLine
	for word := range strings.FieldsSeq(t.Value) {
		if badArguments.MatchString(word) {
			found(Finding{Object: word, Confidence: Certain, Evidence: []Evidence{{"text", t.Address, "command line", word}}, Summary: "the command line has " + quote(word)})
		}
	}
}

func noMandatory(n *Node, found func(Finding)) {
	s := n.Report.Kernel.Settings
	if len(s.LSMs) == 0 {
		return // not known
	}
	for _, lsm := range s.LSMs {
		if lsm == "apparmor" || lsm == "selinux" || lsm == "smack" {
			return
		}
	}
	found(Finding{Confidence: Certain, Evidence: []Evidence{{"security_hook_heads", 0, "security modules", strings.Join(s.LSMs, ", ")}}, Summary: "in force are " + strings.Join(s.LSMs, ", ")})
}

// faultTaints are letters of taints that tell of a fault or an override, and what of.
var faultTaints = []struct{ letter, what string }{{"B", "a bad page"}, {"D", "the kernel died, and went on"}, {"L", "a soft lockup"}, {"S", "a forced operation, or a processor out of its specification"}, {"M", "a machine check"}, {"U", "a program asked for it"}}

func faultTaint(n *Node, found func(Finding)) {
	t := &n.Report.Kernel.Settings.Taint
	for _, f := range faultTaints {
		if strings.Contains(t.Letters, f.letter) {
			found(Finding{Object: f.letter, Confidence: Certain, Evidence: []Evidence{{"tainted_mask", t.Address, "letters", t.Letters}}, Summary: "the kernel has the taint " + f.letter + ": " + f.what})
		}
	}
}

// number reads a setting as a number.
func number(c *settings.Sysctl) (int64, error) {
	if c.Value == nil {
		return 0, fmt.Errorf("%s is not known: %s", c.Name, c.Reason)
	}
	return strconv.ParseInt(strings.TrimSpace(*c.Value), 10, 64)
}
