package report

// A page is the data that stands in the page, for its script. All strings are printable: see internal/text.
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
	Pods       []pagePod       `json:"pods"`
	Containers []pageContainer `json:"containers"`
	Processes  []pageProcess   `json:"processes"`
	Sockets    []pageSocket    `json:"sockets"`
	Flows      []pageFlow      `json:"flows"`
	Files      []pageFile      `json:"files"`
	Kernel     []pageKernel    `json:"kernel"`
	Events     []pageEvent     `json:"events"`
	Gaps       []pageGap       `json:"gaps"`
	Sections   map[string]bool `json:"sections"` // those that the report has
	Cut        []string        `json:"cut"`      // what was left out of the page
	Strings    []string        `json:"strings"`  // those that recur, by number
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

type pagePod struct {
	UID        string   `json:"uid"`
	Namespace  string   `json:"namespace,omitempty"`
	Name       string   `json:"name,omitempty"`
	Facts      []fact   `json:"facts"`
	IPs        []string `json:"ips,omitempty"`
	Host       bool     `json:"host,omitempty"` // it is in the node's network
	Containers []int    `json:"containers"`
	Start      int64    `json:"start,omitempty"` // of its first process
	Gaps       []int    `json:"gaps,omitempty"`
}

type pageContainer struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Image   string   `json:"image,omitempty"`
	Pod     int      `json:"pod"` // -1 if it is of none
	Sandbox bool     `json:"sandbox,omitempty"`
	Facts   []fact   `json:"facts"`
	Tags    []string `json:"tags,omitempty"`
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
