package truth

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Process is what /proc says of one thread group. What is compared with it has the
// same form.
type Process struct {
	PID, PPID    int32
	Comm         string
	Args, Env    []string
	Exe, Cwd     string // empty where the link leads nowhere
	State        string // see StateClass
	KernelThread bool
	UID, GID     uint32 // real
	StartTicks   int64  // since boot, see TicksPerSecond
	Threads      []Thread
	Cgroups      []Cgroup
	Namespaces   map[string]uint32 // inode numbers by name: pid, net, mnt, uts, ipc, user, cgroup, time; without those it has no more
	NSPIDs       []int32           // line NSpid of status
	FDs          []FD
	Mounts       []Mount
}

// A Thread is one task of a process. In the truth, the name is empty and the start time
// 0 where they are not known.
type Thread struct {
	TID        int32
	Comm       string
	StartTicks int64
}

// A Cgroup is a line of /proc/PID/cgroup.
type Cgroup struct {
	Hierarchy         int
	Controllers, Path string
}

// An FD is an open file and what its link says.
type FD struct {
	FD   int
	Path string
}

// A Mount is a line of /proc/PID/mountinfo.
type Mount struct {
	ID, Parent              int32
	Root, MountPoint        string
	FSType, Source, Options string // options of the super block
}

// StateClass returns the class of a state's letter. Letters of one class change into
// one another at any moment.
func StateClass(letter byte) string {
	switch letter {
	case 'R', 'S', 'D', 'I':
		return "running or sleeping"
	case 'T', 't':
		return "stopped"
	}
	return string(letter)
}

// errGone: the process ended while it was looked at.
var errGone = errors.New("gone")

// A folder is the directory of one process. The first error sticks; what does not
// exist is empty.
type folder struct {
	dir string
	err error
}

func (f *folder) read(name string) string {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil && !os.IsNotExist(err) && f.err == nil {
		f.err = err
	}
	return string(data)
}

// line returns what the file holds but for the newline at its end.
func (f *folder) line(name string) string { return strings.TrimSuffix(f.read(name), "\n") }

func (f *folder) number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil && f.err == nil {
		f.err = err
	}
	return n
}

func readProcess(dir string) (Process, error) {
	f := &folder{dir: dir}
	stat := statFields(f.read("stat"))
	status := fields(f.read("status"))
	if stat == nil || status["Tgid"] == "" {
		return Process{}, errGone
	}
	p := Process{
		Comm: f.line("comm"), Exe: f.line("exe"), Cwd: f.line("cwd"),
		Args: Split(f.read("cmdline")), Env: Split(f.read("environ")),
		Namespaces: f.namespaces(), Threads: f.threads(), Cgroups: f.cgroups(), FDs: f.fds(), Mounts: f.mounts(),
	}
	p.PID = int32(f.number(status["Tgid"]))
	p.PPID = int32(f.number(status["PPid"]))
	p.State = StateClass(status["State"][0])
	p.UID, p.GID = uint32(f.first(status["Uid"])), uint32(f.first(status["Gid"]))
	for word := range strings.FieldsSeq(status["NSpid"]) {
		p.NSPIDs = append(p.NSPIDs, int32(f.number(word)))
	}
	p.KernelThread = f.number(stat[statFlags])&0x200000 != 0 // PF_KTHREAD
	p.StartTicks = f.number(stat[statStart])
	if i := slices.IndexFunc(p.Threads, func(t Thread) bool { return t.TID == p.PID }); i >= 0 {
		p.Threads[i].Comm, p.Threads[i].StartTicks = p.Comm, p.StartTicks
	}
	return p, f.err
}

// Indices of what statFields returns: proc_pid_stat(5) counts from 1, and from 3 on
// behind the name.
const (
	statFlags = 9 - 3
	statStart = 22 - 3
)

// statFields returns the fields of /proc/PID/stat behind the name, which can hold
// anything; nil if there are too few.
func statFields(stat string) []string {
	all := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(all) <= statStart {
		return nil
	}
	return all
}

// fields reads lines NAME:\tVALUE.
func fields(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		m[name] = strings.TrimSpace(value)
	}
	return m
}

func (f *folder) first(words string) int64 {
	word, _, _ := strings.Cut(words, "\t")
	return f.number(word)
}

// Split cuts strings that NULs end, as in /proc/PID/cmdline.
func Split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\x00"), "\x00")
}

var namespaceNames = []string{"pid", "net", "mnt", "uts", "ipc", "user", "cgroup", "time"}

func (f *folder) namespaces() map[string]uint32 {
	m := map[string]uint32{}
	for line := range strings.Lines(f.read("ns")) {
		name, link, _ := strings.Cut(strings.TrimSpace(line), " ")
		inum := strings.TrimSuffix(strings.TrimPrefix(link, name+":["), "]")
		if inum != "" && slices.Contains(namespaceNames, name) {
			m[name] = uint32(f.number(inum))
		}
	}
	return m
}

func (f *folder) threads() []Thread {
	var all []Thread
	for word := range strings.FieldsSeq(f.read("tasks")) {
		t := Thread{TID: int32(f.number(word)), Comm: f.line("task/" + word + "/comm")}
		if stat := statFields(f.read("task/" + word + "/stat")); stat != nil {
			t.StartTicks = f.number(stat[statStart])
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Thread) int { return int(a.TID - b.TID) })
	return all
}

func (f *folder) cgroups() []Cgroup {
	var all []Cgroup
	for line := range strings.Lines(f.read("cgroup")) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 {
			all = append(all, Cgroup{int(f.number(parts[0])), parts[1], parts[2]})
		}
	}
	return all
}

// fdLine matches the first line of an entry of the file fd.
var fdLine = regexp.MustCompile(`^[0-9]+ `)

func (f *folder) fds() []FD {
	var entries []string
	if exact := f.read("fd.nul"); exact != "" {
		entries = Split(exact)
	} else {
		for line := range strings.Lines(f.read("fd")) {
			if last := len(entries) - 1; last >= 0 && !fdLine.MatchString(line) {
				entries[last] += line // of a path with a newline in it
				continue
			}
			entries = append(entries, line)
		}
		for i := range entries {
			entries[i] = strings.TrimSuffix(entries[i], "\n")
		}
	}
	var all []FD
	for _, entry := range entries {
		number, path, _ := strings.Cut(entry, " ")
		all = append(all, FD{int(f.number(number)), path})
	}
	slices.SortFunc(all, func(a, b FD) int { return a.FD - b.FD })
	return all
}

// mounts follows show_mountinfo of the kernel's fs/proc_namespace.c.
func (f *folder) mounts() []Mount {
	var all []Mount
	for line := range strings.Lines(f.read("mountinfo")) {
		words := strings.Fields(line)
		dash := slices.Index(words, "-")
		if dash < 6 || len(words) < dash+4 {
			continue
		}
		all = append(all, Mount{
			ID: int32(f.number(words[0])), Parent: int32(f.number(words[1])),
			Root: unescape(words[3]), MountPoint: unescape(words[4]),
			FSType: words[dash+1], Source: unescape(words[dash+2]), Options: words[dash+3],
		})
	}
	return all
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unescape undoes the kernel's mangle of blanks and backslashes.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(code string) string {
		n, err := strconv.ParseUint(code[1:], 8, 8)
		if err != nil {
			return code
		}
		return string([]byte{byte(n)})
	})
}
