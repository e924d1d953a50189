package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kernelFiles is what the kernel says of itself outside of /proc/PID: the file that it goes to, and the file or
// directory that it is read from. Which of them exist depends on the kernel and its configuration.
var kernelFiles = [][2]string{
	{"ioports", "/proc/ioports"},
	{"config.gz", "/proc/config.gz"},
	{"crypto", "/proc/crypto"},
	{"consoles", "/proc/consoles"},
	{"execdomains", "/proc/execdomains"},
	{"softirqs", "/proc/softirqs"},
	{"timer_list", "/proc/timer_list"},
	{"tty/drivers", "/proc/tty/drivers"},
	{"tty/ldiscs", "/proc/tty/ldiscs"},
	{"input/handlers", "/proc/bus/input/handlers"},
	{"input/devices", "/proc/bus/input/devices"},
	{"enabled_functions", "/sys/kernel/tracing/enabled_functions"},
	{"touched_functions", "/sys/kernel/tracing/touched_functions"},
	{"kprobe_events", "/sys/kernel/tracing/kprobe_events"},
	{"kprobe_profile", "/sys/kernel/tracing/kprobe_profile"},
	{"uprobe_events", "/sys/kernel/tracing/uprobe_events"},
	{"dynamic_events", "/sys/kernel/tracing/dynamic_events"},
	{"set_event", "/sys/kernel/tracing/set_event"},
	{"current_tracer", "/sys/kernel/tracing/current_tracer"},
	{"available_events", "/sys/kernel/tracing/available_events"},
	{"kprobes_list", "/sys/kernel/debug/kprobes/list"},
	{"kprobes_blacklist", "/sys/kernel/debug/kprobes/blacklist"},
	{"lsm", "/sys/kernel/security/lsm"},
	{"lockdown", "/sys/kernel/security/lockdown"},
	{"vulnerabilities", "/sys/devices/system/cpu/vulnerabilities"},
	{"kexec_loaded", "/sys/kernel/kexec_loaded"},
	{"kexec_crash_loaded", "/sys/kernel/kexec_crash_loaded"},
	{"livepatch", "/sys/kernel/livepatch"},
	{"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource"},
	{"notes", "/sys/kernel/notes"},
	{"uevent_helper", "/sys/kernel/uevent_helper"},
	{"binfmt_misc", "/proc/sys/fs/binfmt_misc"},
	{"module", "/sys/module"},
}

// bpfCommands is what bpftool says of the node: the files, as run takes them.
var bpfCommands = [][]string{
	{"bpftool_prog.json", "bpftool", "-j", "-f", "prog"},
	{"bpftool_map.json", "bpftool", "-j", "-f", "map"},
	{"bpftool_link.json", "bpftool", "-j", "-f", "link"},
	{"bpftool_btf.json", "bpftool", "-j", "btf"},
	{"bpftool_cgroup.json", "bpftool", "-j", "cgroup", "tree"},
	{"bpftool_cgroup_effective.json", "bpftool", "-j", "cgroup", "tree", "effective"},
	{"bpftool_perf.json", "bpftool", "-j", "perf"},
	{"bpftool_struct_ops.json", "bpftool", "-j", "struct_ops"},
}

// kernel adds what the kernel was made to do: its settings, probes, modules and BPF.
func (a *archive) kernel() {
	const dir = "truth/kernel/"
	for _, f := range kernelFiles {
		a.tree(dir+f[0], f[1])
	}
	a.add(dir+"sysctl", sysctls("/proc/sys"))
	for _, c := range bpfCommands {
		out := a.run(dir, c)
		switch c[0] {
		case "bpftool_prog.json":
			a.dumps(dir+"prog/", ids(out))
			for _, id := range ids(out) {
				a.program(dir+"prog/", id)
			}
		case "bpftool_map.json":
			for _, id := range ids(out) {
				name := fmt.Sprint(id)
				a.run(dir+"map/", []string{name + ".json", "bpftool", "-j", "map", "dump", "id", name})
			}
		}
	}
}

// ids returns the numbers that bpftool gave what it listed.
func ids(listed []byte) []uint32 {
	var all []struct{ ID uint32 }
	_ = json.Unmarshal(listed, &all) // what is no JSON lists none
	var out []uint32
	for _, o := range all {
		out = append(out, o.ID)
	}
	return out
}

// tree adds a file, or all files of a directory, as they are.
func (a *archive) tree(to, from string) {
	_ = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		// AppArmor's revision is read once: who reads on waits until there is another.
		if err == nil && d.Type().IsRegular() && d.Name() != "revision" {
			a.copy(to+strings.TrimPrefix(path, from), path)
		}
		return nil // what cannot be listed is not there
	})
}

// sysctls returns all settings of a directory as lines NAME = VALUE, with the name as a path; a newline of the value is
// written \n, a backslash \\. What cannot be read is a line NAME ! ERROR.
func sysctls(dir string) []byte {
	var out []byte
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && readable(d) && !strings.HasPrefix(path, "/proc/sys/fs/binfmt_misc/") {
			out = append(out, sysctl(strings.TrimPrefix(path, dir+"/"), path)...)
		}
		return nil // what cannot be listed is not there
	})
	return out
}

func readable(d fs.DirEntry) bool {
	info, err := d.Info()
	return err == nil && info.Mode()&0o444 != 0
}

func sysctl(name, path string) string {
	value, err := os.ReadFile(path)
	if err != nil {
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err
		}
		return fmt.Sprintf("%s ! %v\n", name, err)
	}
	text := strings.ToValidUTF8(strings.TrimSuffix(string(value), "\n"), "\uFFFD")
	return fmt.Sprintf("%s = %s\n", name, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(text))
}
