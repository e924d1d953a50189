package containerd

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/bolt"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Labels that the kubelet and containerd's CRI plugin give to containers
// (internal/cri/labels/labels.go of containerd).
const (
	labelUID       = "io.kubernetes.pod.uid"
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelContainer = "io.kubernetes.container.name"
	labelKind      = "io.cri-containerd.kind"
	kindSandbox    = "sandbox"
)

// Extensions by which the CRI plugin keeps its own record of containers and sandboxes.
const (
	containerExtension = "io.cri-containerd.container.metadata"
	sandboxExtension   = "io.cri-containerd.sandbox.metadata"
)

// mappedFile is a file as far as a process has it mapped at start, as an io.ReaderAt.
type mappedFile struct {
	mm    *linux.MM
	start vmem.VirtAddr
	size  int64
}

func (f mappedFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	n, err := f.mm.ReadVirt(p[:min(int64(len(p)), f.size-off)], f.start+vmem.VirtAddr(off))
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

const (
	// maxName bounds names, labels and images, in bytes.
	maxName = 1 << 12
	// maxRecord bounds the records of the CRI plugin, in bytes.
	maxRecord = 4 << 20
	// maxClaims bounds the containers of a database.
	maxClaims = 1 << 16
)

// name returns the value of an item that is a name. One that is too long is none.
func name(value []byte) string {
	if len(value) > maxName {
		return ""
	}
	return string(value)
}

// liveTries is how often the database of a running machine is read, if not all of it can be:
// it may have changed on the way.
const liveTries = 3

// databaseClaims are what the database says that the process has mapped, which is
// containerd. Of a process whose memory can't be read it is the report that says so.
func databaseClaims(ctx context.Context, p *claim.Process, live bool) (claims []claim.Claim, err error) {
	if p.Task == nil {
		return nil, nil
	}
	for try := 0; try == 0 || live && err != nil && try < liveTries; try++ {
		mm, mmErr := p.Task.MM()
		if mmErr != nil {
			return nil, nil //nolint:nilerr // a gap of the process already
		}
		claims, err = metadataClaims(ctx, p.PID, mm)
	}
	return claims, err
}

// metadataClaims are what containerd's database says, as far as the process, which is
// containerd, has it mapped.
func metadataClaims(ctx context.Context, pid int32, mm *linux.MM) ([]claim.Claim, error) {
	var file mappedFile
	for vma, err := range mm.VMAs(ctx) {
		// bbolt maps the whole of its file, from the start on, to read from.
		if err == nil && vma.Offset == 0 && isMetadataPath(vma.Path) && int64(vma.Range.Size) > file.size {
			file = mappedFile{mm: mm, start: vma.Range.Start, size: int64(vma.Range.Size)}
		}
	}
	if file.mm == nil {
		return nil, errors.New("containerd has its database not mapped")
	}
	claims, err := readMetadata(file, file.size)
	for i := range claims {
		claims[i].Origin = claim.FromMetadata
	}
	if err != nil {
		claims = append(claims, carveMetadata(file, file.size)...)
	}
	for i := range claims {
		claims[i].PID = pid
	}
	return claims, err
}

// containerBuckets yields the containers of all namespaces in containerd's database, whose schema core/metadata/buckets.go
// of containerd describes, by ID. What can't be read is appended to lost.
func containerBuckets(r io.ReaderAt, size int64, lost *[]error) iter.Seq2[string, bolt.Bucket] {
	return func(yield func(string, bolt.Bucket) bool) {
		db, err := bolt.Open(r, size)
		if err != nil {
			*lost = append(*lost, err)
			return
		}
		version, err := db.Root().Lookup("v1")
		if err != nil {
			*lost = append(*lost, err)
			return
		}
		for _, namespace := range subBuckets(version, lost) {
			containers, err := namespace.Lookup("containers")
			if err != nil {
				if !errors.Is(err, bolt.ErrNotFound) {
					*lost = append(*lost, err)
				}
				continue
			}
			for id, bucket := range subBuckets(containers, lost) {
				if !yield(id, bucket) {
					return
				}
			}
		}
	}
}

// readMetadata reads the containers out of containerd's database. It returns what could
// be read together with an error that joins what could not.
func readMetadata(r io.ReaderAt, size int64) ([]claim.Claim, error) {
	var claims []claim.Claim
	var lost []error
	for id, bucket := range containerBuckets(r, size, &lost) {
		c, err := metadataClaim(bucket)
		c.ContainerID = id
		if c.IsSandbox {
			c.SandboxID = id
		}
		if err != nil {
			lost = append(lost, fmt.Errorf("container %s: %w", id, err))
		}
		if len(claims) == maxClaims {
			lost = append(lost, fmt.Errorf("%w: more than %d containers", bolt.ErrBudget, maxClaims))
			break
		}
		if c.PodUID != "" && claim.IsContainerID(id) {
			claims = append(claims, c)
		}
	}
	return claims, joinLost(lost)
}

// subBuckets yields the buckets in b by name, and appends to lost what can't be read.
func subBuckets(b bolt.Bucket, lost *[]error) iter.Seq2[string, bolt.Bucket] {
	return func(yield func(string, bolt.Bucket) bool) {
		for item, err := range b.Items() {
			if err == nil && !item.IsBucket {
				continue
			}
			var child bolt.Bucket
			if err == nil {
				child, err = b.Bucket(item)
			}
			if err != nil {
				*lost = append(*lost, err)
				continue
			}
			if !yield(string(item.Key), child) {
				return
			}
		}
	}
}

// metadataClaim reads the bucket of one container.
func metadataClaim(b bolt.Bucket) (claim.Claim, error) {
	var c claim.Claim
	var lost []error
	for item, err := range b.Items() {
		switch string(item.Key) {
		case "createdat":
			c.Created = createdAt(item.Value)
		case "image":
			c.Image = name(item.Value)
		case "sandboxid":
			c.SandboxID = name(item.Value)
		}
		if err != nil {
			lost = append(lost, err)
		}
	}
	for name, child := range subBuckets(b, &lost) {
		switch name {
		case "labels":
			lost = append(lost, setLabels(&c, child))
		case "extensions":
			lost = append(lost, setExtensions(&c, child))
		}
	}
	return c, joinLost(lost)
}

func setLabels(c *claim.Claim, b bolt.Bucket) error {
	var lost []error
	for item, err := range b.Items() {
		value := name(item.Value)
		switch string(item.Key) {
		case labelUID:
			c.PodUID = value
		case labelNamespace:
			c.Namespace = value
		case labelPod:
			c.Pod = value
		case labelContainer:
			c.Container = value
		case labelKind:
			c.IsSandbox = value == kindSandbox
		}
		if err != nil {
			lost = append(lost, err)
		}
	}
	return joinLost(lost)
}

// setExtensions takes the sandbox from the CRI plugin's own record of a container,
// since containerd has the key sandboxid only from 1.7 on.
func setExtensions(c *claim.Claim, b bolt.Bucket) error {
	var lost []error
	for item, err := range b.Items() {
		if err != nil {
			lost = append(lost, err)
		}
		if string(item.Key) != containerExtension || c.SandboxID != "" {
			continue
		}
		r, err := parseRecord(item.Value)
		if err != nil {
			lost = append(lost, err)
		}
		c.SandboxID = r.SandboxID
	}
	return joinLost(lost)
}

// A record is what the CRI plugin keeps of a container or a sandbox, as far as it is
// of use here (internal/cri/store/container/metadata.go and sandbox/metadata.go of
// containerd; Config is that of the request that the kubelet made).
type record struct {
	ID     string
	Config struct {
		Metadata struct {
			Name      string `json:"name"`
			Attempt   uint32 `json:"attempt"`
			UID       string `json:"uid"`       // of sandboxes, as is
			Namespace string `json:"namespace"` // this
		} `json:"metadata"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}

	// Of containers.
	SandboxID, ImageRef, LogPath string

	// Of sandboxes.
	IP             string
	AdditionalIPs  []string
	RuntimeHandler string
}

// parseRecord decodes the value of an extension: JSON in a google.protobuf.Any.
func parseRecord(value []byte) (record, error) {
	if len(value) > maxRecord {
		return record{}, fmt.Errorf("%w: record of a container of %d bytes", bolt.ErrBudget, len(value))
	}
	var versioned struct{ Metadata record }
	if err := json.Unmarshal(anyValue(value), &versioned); err != nil {
		return record{}, fmt.Errorf("record of a Container: %w", err)
	}
	return versioned.Metadata, nil
}

// carveMetadata finds the records in all pages of the database that can be read. Each
// is of a container that there is, or was.
func carveMetadata(r io.ReaderAt, size int64) []claim.Claim {
	var claims []claim.Claim
	for item := range bolt.Carve(r, size) {
		if len(claims) == maxClaims {
			break
		}
		key := string(item.Key)
		if key != containerExtension && key != sandboxExtension {
			continue
		}
		r, err := parseRecord(item.Value)
		if err != nil || !claim.IsContainerID(r.ID) {
			continue
		}
		if c := r.claim(key == sandboxExtension); c.PodUID != "" {
			claims = append(claims, c)
		}
	}
	return claims
}

func (r record) claim(isSandbox bool) claim.Claim {
	m, labels := r.Config.Metadata, r.Config.Labels
	c := claim.Claim{Origin: claim.FromMetadataPage, ContainerID: r.ID, IsSandbox: isSandbox}
	if isSandbox {
		c.PodUID, c.Namespace, c.Pod, c.SandboxID = m.UID, m.Namespace, m.Name, r.ID
		return c
	}
	c.PodUID, c.Namespace, c.Pod = labels[labelUID], labels[labelNamespace], labels[labelPod]
	c.Container, c.SandboxID = m.Name, r.SandboxID
	return c
}

// createdAt decodes what time.Time.MarshalBinary wrote.
func createdAt(b []byte) int64 {
	var t time.Time
	if err := t.UnmarshalBinary(b); err != nil {
		return 0
	}
	return t.UnixNano()
}

// joinLost makes one error of those that are not nil: one of them and how many more
// there are. A page that is merely not present is not the one if there are others.
func joinLost(lost []error) error {
	lost = slices.DeleteFunc(lost, func(err error) bool { return err == nil })
	if len(lost) == 0 {
		return nil
	}
	worst := max(0, slices.IndexFunc(lost, func(err error) bool { return !errors.Is(err, vmem.ErrNotPresent) }))
	if len(lost) == 1 {
		return lost[worst]
	}
	return fmt.Errorf("%w, and %d more", lost[worst], len(lost)-1)
}

// anyValue returns field 2, the value, of a message google.protobuf.Any.
func anyValue(b []byte) []byte {
	for len(b) > 0 {
		const lengthDelimited = 2
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag&7 != lengthDelimited {
			return nil
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return nil
		}
		field := b[n+m:][:size]
		if tag>>3 == 2 {
			return field
		}
		b = b[n+m+int(size):]
	}
	return nil
}
