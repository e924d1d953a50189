package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/bolt"
)

// A Container is what containerd's database has of a container: of one that runs, has ended, or was never started. What is not
// known is zero. Labels and Annotations are as they were asked for, and may hold secrets.
type Container struct {
	ID       string
	Sandbox  bool
	Image    string // the name it was made from
	ImageRef string // the digest of the image's configuration, as the CRI plugin found it
	Created  time.Time
	// Recorded says that the CRI plugin's own record, which has all that follows, was read.
	Recorded bool
	// Attempt counts how often the kubelet had made the container, or the sandbox, before.
	Attempt     uint32
	LogPath     string // of the file that its output goes to
	Labels      map[string]string
	Annotations map[string]string
	IPs         []string // of a sandbox with a network of its own, the first one first
	Handler     string   // the runtime handler of a sandbox; empty: the usual one
}

// Databases returns where containerd's database can be, without the leading slash: the usual place, and those of open files
// that are one.
func Databases(open []string) []string {
	all := []string{"var/lib/containerd" + databasePath}
	for _, name := range open {
		if name = strings.TrimPrefix(name, "/"); isMetadataPath("/"+name) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// Containers reads the containers of all of containerd's namespaces out of its database. It returns what could be read together with an error that
// joins what could not.
func Containers(r io.ReaderAt, size int64) ([]Container, error) {
	var all []Container
	var lost []error
	for id, bucket := range containerBuckets(r, size, &lost) {
		if len(all) == maxClaims {
			lost = append(lost, fmt.Errorf("%w: more than %d containers", bolt.ErrBudget, maxClaims))
			break
		}
		if !claim.IsContainerID(id) {
			continue
		}
		c := Container{ID: id}
		if err := c.read(bucket); err != nil {
			lost = append(lost, fmt.Errorf("container %s: %w", id, err))
		}
		all = append(all, c)
	}
	return all, joinLost(lost)
}

// read reads the bucket of one container.
func (c *Container) read(b bolt.Bucket) error {
	var lost []error
	for item, err := range b.Items() {
		switch string(item.Key) {
		case "createdat":
			if ns := createdAt(item.Value); ns != 0 {
				c.Created = time.Unix(0, ns).UTC()
			}
		case "image":
			c.Image = name(item.Value)
		}
		if err != nil {
			lost = append(lost, err)
		}
	}
	for name, child := range subBuckets(b, &lost) {
		if name == "extensions" {
			lost = append(lost, c.readRecord(child))
		}
	}
	return joinLost(lost)
}

// readRecord takes what the CRI plugin keeps of the container.
func (c *Container) readRecord(b bolt.Bucket) error {
	var lost []error
	for item, err := range b.Items() {
		if err != nil {
			lost = append(lost, err)
			continue
		}
		key := string(item.Key)
		if key != containerExtension && key != sandboxExtension {
			continue
		}
		r, err := parseRecord(item.Value)
		if err != nil {
			lost = append(lost, err)
			continue
		}
		c.Recorded, c.Sandbox = true, key == sandboxExtension
		c.ImageRef, c.LogPath, c.Handler = r.ImageRef, r.LogPath, r.RuntimeHandler
		c.Attempt, c.Labels, c.Annotations = r.Config.Metadata.Attempt, r.Config.Labels, r.Config.Annotations
		if r.IP != "" {
			c.IPs = append([]string{r.IP}, r.AdditionalIPs...)
		}
	}
	return joinLost(lost)
}

// StatusPath returns where the CRI plugin keeps the status of a container, beside a database at name.
func StatusPath(name, id string) string {
	return path.Join(strings.TrimSuffix(name, databasePath), "io.containerd.grpc.v1.cri/containers", id, "status")
}

// A Status is the status of a container as the CRI plugin last wrote it down (internal/cri/store/container/status.go of containerd).
type Status struct {
	PID      uint32 // of its first process, in the initial PID namespace; 0 where none was started
	Created  time.Time
	Started  time.Time // zero: it was not
	Finished time.Time // zero: it was not
	ExitCode int32     // of its first process, where Finished is set
	Reason   string    // such as OOMKilled; where none was written down, what containerd says then: Completed or Error
}

// ErrStatus says that a file is no status of a container.
var ErrStatus = errors.New("no status of a container")

// MaxStatus bounds the file of a status, in bytes.
const MaxStatus = 1 << 20

// ParseStatus decodes the file at StatusPath.
func ParseStatus(text []byte) (*Status, error) {
	var s struct {
		Version                          string
		Pid                              uint32
		CreatedAt, StartedAt, FinishedAt int64
		ExitCode                         int32
		Reason                           string
	}
	if len(text) > MaxStatus {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrStatus, len(text))
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatus, err)
	}
	if s.Version != "v1" {
		return nil, fmt.Errorf("%w: version %.20q", ErrStatus, s.Version)
	}
	at := func(ns int64) (t time.Time) {
		if ns > 0 {
			t = time.Unix(0, ns).UTC()
		}
		return t
	}
	if s.Reason == "" && s.FinishedAt > 0 { // as toCRIContainerStatus of internal/cri/server/container_status.go has it
		s.Reason = "Completed"
		if s.ExitCode != 0 {
			s.Reason = "Error"
		}
	}
	return &Status{PID: s.Pid, Created: at(s.CreatedAt), Started: at(s.StartedAt), Finished: at(s.FinishedAt), ExitCode: s.ExitCode, Reason: s.Reason}, nil
}
