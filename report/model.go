package report

// A page is the data that stands in the page, for its script. All strings are printable: see internal/text.
//
// What the first view takes stands before the script; the rest comes behind it, in parts that are parsed when they are first needed. So the
// page can be read before a browser has read all of it.
type page struct {
	Title    string   `json:"title"`
	Hostname string   `json:"hostname"`
	Whole    bool     `json:"whole"`
	Captured int64    `json:"captured,omitempty"` // times are in milliseconds since 1970; 0: not known
	Booted   int64    `json:"booted,omitempty"`
	About    []fact   `json:"about"`
	Notes    []string `json:"notes"`
	Judged   bool     `json:"judged"` // rules were run

	Findings   []pageFinding   `json:"findings"`
	NotChecked []pageUnchecked `json:"notChecked"`
	Pods       []podName       `json:"pods"`
	Containers []containerName `json:"containers"`
	Sections   map[string]bool `json:"sections"` // those that the report has
	Cut        []string        `json:"cut"`      // what was left out of the page
	Totals     totals          `json:"totals"`
	Latest     int64           `json:"latest,omitempty"` // when the last process was started

	rest pageRest
}

// Totals say how much there is in the parts.
type totals struct {
	Processes int `json:"processes"`
	Sockets   int `json:"sockets"`
	Flows     int `json:"flows"`
	Files     int `json:"files"`
	Open      int `json:"open"` // open files that have a path
	Kernel    int `json:"kernel"`
	Events    int `json:"events"`
	Gaps      int `json:"gaps"`
}

// A pageRest is what is in the parts.
type pageRest struct {
	Strings    []string // those that recur, by number
	Pods       []pagePod
	Containers []pageContainer
	Processes  []pageProcess
	Sockets    []pageSocket
	Flows      []pageFlow
	Files      []pageFile
	Kernel     []pageKernel
	Events     []pageEvent // but for starts of processes, which the script makes of these
	Gaps       []pageGap
}

// A part is one of the parts, in an element of that name.
type part struct {
	Name string
	Data any
}

// parts returns the parts. A member may be null where there is nothing.
func (r *pageRest) parts() []part {
	return []part{
		{"pods", map[string]any{"pods": r.Pods, "containers": r.Containers, "gaps": r.Gaps}},
		{"processes", map[string]any{"strings": r.Strings, "processes": r.Processes}},
		{"network", map[string]any{"sockets": r.Sockets, "flows": r.Flows}},
		{"files", map[string]any{"files": r.Files}},
		{"kernel", map[string]any{"kernel": r.Kernel}},
		{"events", map[string]any{"events": r.Events}},
	}
}

// A fact is a name, what it is, and if it is worse than it should be.
type fact struct {
	Name  string `json:"n"`
	Value string `json:"v"`
	Bad   bool   `json:"bad,omitempty"`
}

// A pageFinding is something that is wrong. Pod, Container and PID are of what it is about: -1 for none.
type pageFinding struct {
	Rule       string         `json:"rule"`
	Title      string         `json:"title"`
	Severity   int            `json:"severity"` // 0 info to 4 critical
	Confidence string         `json:"confidence"`
	Meaning    string         `json:"meaning,omitempty"`
	Why        string         `json:"why,omitempty"`
	Next       string         `json:"next,omitempty"`
	Benign     []string       `json:"benign,omitempty"`
	Accepted   string         `json:"accepted,omitempty"` // why, where somebody accepts it
	Attack     []string       `json:"attack,omitempty"`
	Evidence   []pageEvidence `json:"evidence,omitempty"`
	Pod        int            `json:"pod"`
	Container  int            `json:"container"`
	PID        int32          `json:"pid"`
	Comm       string         `json:"comm,omitempty"` // of the process
}

type pageEvidence struct {
	Object  string `json:"object"`
	Address string `json:"address,omitempty"`
	Field   string `json:"field,omitempty"`
	Value   string `json:"value"`
}

// A pageUnchecked is a rule that could not be followed, and why.
type pageUnchecked struct {
	Rule  string `json:"rule"`
	Title string `json:"title"`
	Why   string `json:"why"`
}

type podName struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// A pagePod is the rest of what a page has of a pod.
type pagePod struct {
	Facts      []fact   `json:"facts"`
	IPs        []string `json:"ips,omitempty"`
	Host       bool     `json:"host,omitempty"` // it is in the node's network
	Containers []int    `json:"containers"`
	Start      int64    `json:"start,omitempty"` // of its first process
	Gaps       []int    `json:"gaps,omitempty"`
}

type containerName struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Pod     int    `json:"pod"` // -1 if it is of none
	Sandbox bool   `json:"sandbox,omitempty"`
}

// A pageContainer is the rest of what a page has of a container.
type pageContainer struct {
	Image string   `json:"image,omitempty"`
	Facts []fact   `json:"facts"`
	Tags  []string `json:"tags,omitempty"`
}

type pageProcess struct {
	PID       int32   `json:"pid"`
	PPID      int32   `json:"ppid"`
	Comm      string  `json:"comm"`
	Args      string  `json:"args,omitempty"`
	Exe       int     `json:"exe"` // numbers of strings, as of Cwd and State
	Cwd       int     `json:"cwd"`
	State     int     `json:"state"`
	Kernel    bool    `json:"kernel,omitempty"`
	UID       *uint32 `json:"uid,omitempty"`
	EUID      *uint32 `json:"euid,omitempty"` // where it differs
	GID       *uint32 `json:"gid,omitempty"`
	Start     int64   `json:"start,omitempty"`
	Threads   int     `json:"threads,omitempty"`
	Container int     `json:"container"` // -1 for none
	Pod       int     `json:"pod"`
	Cgroup    int     `json:"cgroup"` // numbers of strings
	Space     int     `json:"ns"`
	Security  int     `json:"security"`
	Env       []int   `json:"env,omitempty"`
	FDs       []int   `json:"fds,omitempty"`
	Paths     []int   `json:"paths,omitempty"` // of each of FDs
	Inner     []int32 `json:"inner,omitempty"`
	Hidden    string  `json:"hidden,omitempty"` // by which view it was found, where it is not in all
	Address   string  `json:"address"`
	Gaps      []int   `json:"gaps,omitempty"`
}

type pageSocket struct {
	Protocol string  `json:"protocol"`
	State    string  `json:"state,omitempty"`
	Local    string  `json:"local,omitempty"`
	Remote   string  `json:"remote,omitempty"`
	Pod      int     `json:"pod"`
	PeerPod  int     `json:"peer"`
	PIDs     []int32 `json:"pids,omitempty"`
	FDs      []int   `json:"fds,omitempty"`
	Inode    uint64  `json:"inode,omitempty"`
	NetNS    uint32  `json:"netns,omitempty"`
	Note     string  `json:"note,omitempty"`
	Address  string  `json:"address"`
}

// A pageFlow is an entry of connection tracking.
type pageFlow struct {
	Protocol string `json:"protocol"`
	State    string `json:"state,omitempty"`
	From     string `json:"from"`
	To       string `json:"to"`
	Real     string `json:"real,omitempty"` // where translation sent it
	Pod      int    `json:"pod"`
	PeerPod  int    `json:"peer"`
	Start    int64  `json:"start,omitempty"`
	Address  string `json:"address"`
}

// A pageFile is a file without a name.
type pageFile struct {
	Path    string  `json:"path,omitempty"`
	FS      string  `json:"fs"`
	Size    int64   `json:"size"`
	Cached  int64   `json:"cached"`
	Mode    string  `json:"mode"`
	PIDs    []int32 `json:"pids,omitempty"`
	How     string  `json:"how,omitempty"`
	Pod     int     `json:"pod"`
	Changed int64   `json:"changed,omitempty"`
	Inode   uint64  `json:"inode"`
	Address string  `json:"address"`
}

// A pageKernel is a module, a BPF program or a hook.
type pageKernel struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Text    string `json:"text,omitempty"`
	Pod     int    `json:"pod"`
	Bad     bool   `json:"bad,omitempty"`
	Address string `json:"address"`
}

type pageEvent struct {
	Time int64  `json:"t"`
	Kind string `json:"k"`
	Text string `json:"x"`
	PID  int32  `json:"pid,omitempty"`
	Pod  int    `json:"pod"`
}

type pageGap struct {
	Object string `json:"object"`
	Place  string `json:"place,omitempty"`
	Reason string `json:"reason"`
	Why    string `json:"why"`
	Count  int    `json:"count,omitempty"` // of the same kind, where they are told once
	PID    int32  `json:"pid,omitempty"`
}
