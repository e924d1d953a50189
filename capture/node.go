package capture

import (
	"io/fs"
	"strings"

	"github.com/nodelens/nodelens/internal/sysfile"
)

// A Node says which machine an image is of. What the machine does not tell is empty.
type Node struct {
	Name      string            `json:"name"`           // as whoever captured calls it: Options.Node
	Hostname  string            `json:"hostname"`       // of the capturing process's UTS namespace: in a pod, often the pod's
	Release   string            `json:"kernel_release"` // as uname -r
	Version   string            `json:"kernel_version"` // the text of /proc/version: the banner
	CmdLine   string            `json:"kernel_command_line"`
	BootID    string            `json:"boot_id"`
	MachineID string            `json:"machine_id"`
	OSRelease map[string]string `json:"os_release"` // the assignments of /etc/os-release
}

// readNode reads who the machine is, under its root directory.
func readNode(root fs.FS, name string) Node {
	n := Node{
		Name:      name,
		Hostname:  sysfile.Line(root, "proc/sys/kernel/hostname"),
		Release:   sysfile.Line(root, "proc/sys/kernel/osrelease"),
		Version:   sysfile.Line(root, "proc/version"),
		CmdLine:   sysfile.Line(root, "proc/cmdline"),
		BootID:    sysfile.Line(root, "proc/sys/kernel/random/boot_id"),
		MachineID: sysfile.Line(root, "etc/machine-id"),
	}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} { // os-release(5)
		if n.OSRelease = parseOSRelease(sysfile.Line(root, name)); len(n.OSRelease) > 0 {
			break
		}
	}
	return n
}

// parseOSRelease reads assignments as os-release(5) has them: values may be quoted as a
// shell's are.
func parseOSRelease(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = unquote(value)
	}
	return values
}

func unquote(s string) string {
	n := len(s)
	if n < 2 || s[0] != s[n-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	if s[0] == '\'' {
		return s[1 : n-1]
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(s[1 : n-1])
}
