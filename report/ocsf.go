package report

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that [WriteOCSF] writes.
const OCSFVersion = "1.8.0"

// Classes of OCSF, and what is done in them.
const (
	classProcess   = 1007 // Process Activity
	classDetection = 2004 // Detection Finding
	unknown        = 0
	launch         = 1 // of a process
	create         = 1 // of a finding
)

// WriteOCSF writes events of OCSF as JSON Lines: a Detection Finding for each finding, then for each process that is no kernel thread
// a Process Activity, its launch. Times are milliseconds since 1970; a process whose start is not known has the activity Unknown, at the
// time of the capture. Findings that were accepted have the status Suppressed. result may be nil.
func WriteOCSF(w io.Writer, node *cos.NodeReport, result *findings.Result, opts *Options) error {
	l := lines{out: bufio.NewWriterSize(w, 1<<16)}
	o := newOCSF(node, opts)
	if result != nil {
		for i := range result.Findings {
			l.line(o.detection(&result.Findings[i], result.ATTACK))
		}
	}
	for i := range node.Processes {
		if p := &node.Processes[i]; !p.KernelThread {
			l.line(o.activity(p))
		}
	}
	return l.end()
}

type ocsf struct {
	*masker
	node       *cos.NodeReport
	metadata   ocsfMetadata
	device     ocsfDevice
	time       int64
	processes  map[int32]*cos.Process
	pods       map[string]*cos.Pod
	containers map[string]*cos.Container
}

func newOCSF(node *cos.NodeReport, opts *Options) *ocsf {
	o := &ocsf{masker: newMasker(opts), node: node, time: millis(node.Provenance.Captured),
		processes: map[int32]*cos.Process{}, pods: map[string]*cos.Pod{}, containers: map[string]*cos.Container{}}
	o.metadata = ocsfMetadata{Version: OCSFVersion, Profiles: []string{"container", "host"},
		Product: ocsfProduct{Name: "Nodelens", Vendor: "Nodelens", Version: node.Provenance.Version}}
	o.device = ocsfDevice{Hostname: node.Hostname, Type: 1, OS: &ocsfOS{Name: "Linux", Type: 200, Kernel: node.Kernel.Release}} // a server
	for i := range node.Processes {
		o.processes[node.Processes[i].PID] = &node.Processes[i]
	}
	for i := range node.Pods {
		p := &node.Pods[i]
		o.pods[p.UID] = p
		for k := range p.Containers {
			o.containers[p.Containers[k].ID] = &p.Containers[k]
		}
	}
	return o
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	Product  ocsfProduct `json:"product"`
	Profiles []string    `json:"profiles"`
}

type ocsfProduct struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor_name"`
	Version string `json:"version,omitempty"`
}

type ocsfDevice struct {
	Hostname string  `json:"hostname,omitempty"`
	Type     int     `json:"type_id"`
	OS       *ocsfOS `json:"os"`
}

type ocsfOS struct {
	Name   string `json:"name"`
	Type   int    `json:"type_id"`
	Kernel string `json:"kernel_release,omitempty"`
}

// ocsfBase is what every event has.
type ocsfBase struct {
	Activity int          `json:"activity_id"`
	Category int          `json:"category_uid"`
	Class    int          `json:"class_uid"`
	Type     int          `json:"type_uid"`
	Severity int          `json:"severity_id"`
	Time     int64        `json:"time"`
	Message  string       `json:"message"`
	Metadata ocsfMetadata `json:"metadata"`
	Device   ocsfDevice   `json:"device"`
}

func (o *ocsf) base(class, activity, severity int, time int64, message string) ocsfBase {
	return ocsfBase{activity, class / 1000, class, class*100 + activity, severity, time, message, o.metadata, o.device}
}

type ocsfProcess struct {
	PID       *int32         `json:"pid,omitempty"`
	UID       string         `json:"uid,omitempty"`
	Name      string         `json:"name,omitempty"`
	Command   string         `json:"cmd_line,omitempty"`
	Created   int64          `json:"created_time,omitempty"`
	Cwd       string         `json:"working_directory,omitempty"`
	File      *ocsfFile      `json:"file,omitempty"`
	User      *ocsfUser      `json:"user,omitempty"`
	Container *ocsfContainer `json:"container,omitempty"`
	Inner     int32          `json:"namespace_pid,omitempty"`
	Parent    *ocsfProcess   `json:"parent_process,omitempty"`
}

type ocsfFile struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Type int    `json:"type_id"`
}

type ocsfUser struct {
	UID string `json:"uid"`
}

type ocsfContainer struct {
	UID     string     `json:"uid,omitempty"`
	Name    string     `json:"name,omitempty"`
	Image   *ocsfImage `json:"image,omitempty"`
	PodUUID string     `json:"pod_uuid,omitempty"`
}

type ocsfImage struct {
	UID  string `json:"uid,omitempty"`
	Name string `json:"name,omitempty"`
}

// process returns a process, without its parent.
func (o *ocsf) process(p *cos.Process) *ocsfProcess {
	out := &ocsfProcess{PID: &p.PID, Name: p.Comm, Command: text.Words(o.arguments(p.Args), maxArgs), Created: millis(p.StartTime), Cwd: p.Cwd,
		UID: fmt.Sprintf("%d-%d", p.PID, p.StartTime.UnixNano()), Container: o.container(p.ContainerID, p.PodUID)}
	if p.StartTime.IsZero() {
		out.UID = ""
	}
	if p.Exe != "" {
		out.File = &ocsfFile{Name: path.Base(p.Exe), Path: p.Exe, Type: 1} // a regular file
	}
	if p.Cred != nil {
		out.User = &ocsfUser{strconv.FormatUint(uint64(p.Cred.UID), 10)}
	}
	if n := len(p.NamespacedPIDs); n > 1 {
		out.Inner = p.NamespacedPIDs[n-1]
	}
	return out
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (o *ocsf) container(id, pod string) *ocsfContainer {
	if id == "" {
		return nil
	}
	out := &ocsfContainer{UID: id}
	if uuid.MatchString(pod) {
		out.PodUUID = pod // that of a static pod is a digest, and no UUID
	}
	if c := o.containers[id]; c != nil {
		out.Name = c.Name
		if c.Image != "" {
			out.Image = &ocsfImage{UID: c.Image, Name: c.Image}
		}
	}
	return out
}

type ocsfActor struct {
	Process *ocsfProcess `json:"process"`
}

type ocsfActivity struct {
	ocsfBase
	Actor   ocsfActor    `json:"actor"`
	Process *ocsfProcess `json:"process"`
}

// activity returns the launch of a process by its parent.
func (o *ocsf) activity(p *cos.Process) any {
	what, at := launch, millis(p.StartTime)
	if at == 0 {
		what, at = unknown, o.time
	}
	parent := &ocsfProcess{PID: &p.PPID}
	if found := o.processes[p.PPID]; found != nil {
		parent = o.process(found)
	} else if p.PPID == 0 {
		parent.Name = "swapper/0" // the kernel's first task
	}
	process := o.process(p)
	process.Parent = parent
	return &ocsfActivity{o.base(classProcess, what, 1, at, p.Comm+" was launched"), ocsfActor{parent}, process}
}

type ocsfDetection struct {
	ocsfBase
	Finding    ocsfFinding    `json:"finding_info"`
	Confidence int            `json:"confidence_id"`
	Alert      bool           `json:"is_alert"`
	Status     int            `json:"status_id"`
	Comment    string         `json:"comment,omitempty"`
	Evidences  []ocsfEvidence `json:"evidences,omitempty"`
	Resources  []ocsfResource `json:"resources,omitempty"`
}

type ocsfFinding struct {
	UID      string        `json:"uid"`
	Title    string        `json:"title"`
	Desc     string        `json:"desc,omitempty"`
	Analytic *ocsfAnalytic `json:"analytic"`
	Attacks  []ocsfAttack  `json:"attacks,omitempty"`
	Created  int64         `json:"created_time,omitempty"`
}

type ocsfAnalytic struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
	Type int    `json:"type_id"`
}

type ocsfAttack struct {
	Technique    *ocsfTechnique `json:"technique"`
	SubTechnique *ocsfTechnique `json:"sub_technique,omitempty"`
	Version      string         `json:"version,omitempty"`
}

type ocsfTechnique struct {
	UID string `json:"uid"`
}

type ocsfEvidence struct {
	Name      string         `json:"name,omitempty"`
	Process   *ocsfProcess   `json:"process,omitempty"`
	Container *ocsfContainer `json:"container,omitempty"`
	Data      any            `json:"data,omitempty"`
}

// ocsfFact is the data of a piece of evidence, for which OCSF has no members of its own.
type ocsfFact struct {
	Object  string `json:"object"`
	Address string `json:"address,omitempty"`
	Field   string `json:"field"`
	Value   string `json:"value"`
}

type ocsfResource struct {
	UID       string `json:"uid,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Type      string `json:"type"`
}

func (o *ocsf) detection(f *findings.Finding, version string) any {
	d := &ocsfDetection{ocsfBase: o.base(classDetection, create, int(f.Severity)+1, o.time, o.shapes(f.Summary)), Confidence: int(f.Confidence) + 1, // OCSF counts from 1: low, medium, high
		Alert: f.Severity >= findings.High && f.Accepted == nil, Status: 1,
		Finding: ocsfFinding{UID: f.Key, Title: f.Title, Desc: o.shapes(f.Summary), Created: o.time, Analytic: &ocsfAnalytic{f.Rule, f.Title, 1}}}
	if f.Accepted != nil {
		d.Status, d.Comment = 3, f.Accepted.Reason // suppressed
	}
	for _, t := range f.Techniques {
		technique, _, sub := strings.Cut(string(t), ".")
		a := ocsfAttack{Technique: &ocsfTechnique{technique}, Version: version}
		if sub {
			a.SubTechnique = &ocsfTechnique{string(t)}
		}
		d.Finding.Attacks = append(d.Finding.Attacks, a)
	}
	s := &f.Subject
	first := ocsfEvidence{Name: s.String(), Container: o.container(s.ContainerID, s.PodUID)}
	if p := o.processes[s.PID]; p != nil && s.PID != 0 {
		first.Process = o.process(p)
	}
	if first.Process == nil && first.Container != nil {
		first.Data = &ocsfFact{Object: "container", Field: "id", Value: s.ContainerID} // OCSF takes no evidence that is a container alone
	}
	if first.Process != nil || first.Container != nil {
		d.Evidences = append(d.Evidences, first)
	}
	for _, e := range f.Evidence {
		d.Evidences = append(d.Evidences, ocsfEvidence{Name: strings.TrimSpace(e.Type + " " + e.Field), Data: &ocsfFact{e.Type, address(e.Addr), e.Field, o.shapes(e.Value)}})
	}
	if s.PodUID != "" {
		d.Resources = []ocsfResource{{UID: s.PodUID, Name: s.Pod, Namespace: s.Namespace, Type: "Pod"}}
	}
	return d
}
