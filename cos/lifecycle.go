package cos

import (
	"errors"
	"io/fs"
	"time"

	"github.com/nodelens/nodelens/cos/containerd"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// A Lifecycle is what the runtime wrote down of a container, by its database and by the status beside it, as far as they are in
// the page cache. What is not known is zero.
type Lifecycle struct {
	ImageRef string    `json:"imageRef" jsonx:"null"` // the digest of the image's configuration
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started"`  // of containers, not of sandboxes
	Finished time.Time `json:"finished"` // as is this
	ExitCode *int32    `json:"exitCode"` // of its first process; nil where Finished is zero
	Reason   string    `json:"reason" jsonx:"null"`
	// Attempt counts how often the kubelet had made it before, which is how often it was restarted; nil where that is not known.
	Attempt     *uint32  `json:"attempt"`
	LogPath     string   `json:"logPath" jsonx:"null"` // of the file that its output goes to
	Labels      []Secret `json:"labels"`
	Annotations []Secret `json:"annotations"`          // that it was asked to have; those of its specification are in Spec
	IPs         []string `json:"ips"`                  // of a sandbox that has a network of its own
	Handler     string   `json:"handler" jsonx:"null"` // the runtime handler of a sandbox; empty: the usual one
}

// databases reads what containerd's databases, and the files beside them, have of containers.
func (r *containerReader) databases() {
	if r.files == nil {
		return
	}
	var open []string
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		if p.PodUID != "" {
			continue // which may have files of any name
		}
		for _, f := range p.FDs {
			open = append(open, f.Path)
		}
	}
	for _, name := range containerd.Databases(open) {
		r.database(name)
	}
}

// database reads a database, and the status of each container that it has.
func (r *containerReader) database(name string) {
	content, err := r.content(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.lose("/"+name, err)
		}
		return
	}
	all, err := containerd.Containers(content, content.Size)
	if err != nil {
		r.lose("/"+name, err)
	}
	for i := range all {
		if r.ctx.Err() != nil {
			return
		}
		r.recorded(&all[i], name)
	}
}

func (r *containerReader) content(name string) (*pagecache.Content, error) {
	f, err := r.files.Find(name, true)
	if err != nil {
		return nil, err
	}
	return f.Content(r.ctx)
}

// recorded adds what was written down of a container.
func (r *containerReader) recorded(of *containerd.Container, database string) {
	c := r.container(of.ID)
	c.Sandbox = c.Sandbox || of.Sandbox
	for label, to := range map[string]*string{
		"io.kubernetes.pod.uid": &c.PodUID, "io.kubernetes.pod.namespace": &c.Namespace, "io.kubernetes.pod.name": &c.Pod, "io.kubernetes.container.name": &c.Name,
	} {
		if *to == "" { // else the kernel's account, or what all sources say together
			*to = of.Labels[label]
		}
	}
	if c.Image == "" {
		c.Image = of.Image
	}
	c.Lifecycle = &Lifecycle{
		ImageRef: of.ImageRef, Created: of.Created, LogPath: of.LogPath, IPs: of.IPs, Handler: of.Handler,
		Labels: r.seal.settings(of.Labels), Annotations: r.seal.settings(of.Annotations),
	}
	if of.Recorded {
		c.Lifecycle.Attempt = &of.Attempt
	}
	if of.Sandbox {
		return
	}
	text := r.text(containerd.StatusPath(database, of.ID), containerd.MaxStatus)
	if text == nil {
		return
	}
	s, err := containerd.ParseStatus(text)
	if err != nil {
		r.lose("/"+containerd.StatusPath(database, of.ID), err)
		return
	}
	l := c.Lifecycle
	l.Created, l.Started, l.Finished, l.Reason = s.Created, s.Started, s.Finished, s.Reason
	if !s.Finished.IsZero() {
		l.ExitCode = &s.ExitCode
	}
}
