package pagecache

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
)

// A fileTruth is what the guest's kernel said of a file: a line of the lab's truth/files.
type fileTruth struct {
	Path, Target               []byte
	FSType                     string
	Mount                      uint64
	Dev, Rdev                  uint64
	Ino, Nlink                 uint64
	Mode, UID, GID             uint32
	Size, Blocks               int64
	Atime, Mtime, Ctime, Btime [2]int64
	Xattrs                     map[string][]byte
	Pages                      [][2]int64
	Cached, SHA256             string
	PID, FD                    int
	Range                      string
}

// device is a number of stat(2) as the kernel has it.
func device(st uint64) Device {
	major := st>>8&0xfff | st>>32&^0xfff
	minor := st&0xff | st>>12&^0xff
	return Device(major<<20 | minor)
}

func readTruth(t *testing.T, name string) (all []fileTruth) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l fileTruth
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// fileNodes opens the nodes whose truth has files.
func fileNodes(t *testing.T) (all []*node) {
	t.Helper()
	if !testimages.Have() {
		t.Skip("whole nodes are read where NODELENS_IMAGES is set")
	}
	for _, img := range testimages.All(t) {
		if _, err := os.Stat(filepath.Join(img.Truth, "files")); img.Truth == "" || err != nil {
			continue
		}
		all = append(all, nodes.Open(t, img))
	}
	if len(all) == 0 {
		t.Skip("no image whose truth has files")
	}
	return all
}

// TestFiles compares every file of the truth with what is read of it, and directories the other way, too.
func TestFiles(t *testing.T) {
	for _, n := range fileNodes(t) {
		t.Run(n.Name, func(t *testing.T) {
			for _, g := range n.set.Gaps() {
				t.Error(g)
			}
			names, err := filepath.Glob(filepath.Join(n.Truth, "files", "[0-9]*.json"))
			if err != nil || len(names) == 0 {
				t.Fatal(names, err)
			}
			total := 0
			for _, name := range names {
				pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".json"))
				if err != nil {
					t.Fatal(err)
				}
				c := &comparison{t: t, f: n.fs(t, int32(pid)), pid: pid}
				c.all(readTruth(t, name))
				total += c.files
			}
			t.Logf("%d files in %d mount namespaces", total, len(names))
		})
	}
}

// A comparison is of the files of one mount namespace.
type comparison struct {
	t     *testing.T
	f     *FS
	pid   int
	files int
	wrong int

	longLinks int
}

// moving are files that the node itself writes while the truth is taken.
var moving = []string{"/var/log/labnode.log", "/var/log/journal", "/run/log/journal", "/run/systemd", "/run/udev", "/var/log/wtmp", "/usr/local/bin/nodetruth", "/node-logs"}

func (c *comparison) all(truth []fileTruth) {
	children := map[string][]string{}
	for i := range truth {
		w := &truth[i]
		path := string(w.Path)
		dir, name := filepath.Split(path)
		if d := strings.TrimSuffix(dir, "/"); name != "" {
			children[d] = append(children[d], name)
		}
		if slices.ContainsFunc(moving, func(m string) bool { return strings.HasPrefix(path, m) }) {
			continue
		}
		c.files++
		f, err := c.f.Find(path, false)
		if err != nil {
			c.error("%q: %v", path, err)
			continue
		}
		if int(f.MountID) != int(w.Mount) {
			continue // another was mounted over it since: not what was looked at
		}
		c.file(f, w)
	}
	c.directories(truth, children)
}

func (c *comparison) error(format string, args ...any) {
	if c.wrong++; c.wrong < 25 {
		c.t.Errorf("process %d: "+format, append([]any{c.pid}, args...)...)
	}
}

// directories finds names that the truth does not have.
func (c *comparison) directories(truth []fileTruth, children map[string][]string) {
	for i := range truth {
		w := &truth[i]
		path := string(w.Path)
		if w.Mode&modeType != modeDir || w.FSType == "ext4" || slices.ContainsFunc(moving, func(m string) bool { return strings.HasPrefix(path, m) }) {
			continue
		}
		dir, err := c.f.Find(path, false)
		if err != nil || int(dir.MountID) != int(w.Mount) {
			continue
		}
		all, gaps := c.f.List(context.Background(), dir)
		if len(gaps) > 0 {
			c.error("%q: %v", path, gaps[0])
		}
		for _, f := range all {
			name := filepath.Base(f.Path)
			if f.MountID == dir.MountID && !slices.Contains(children[strings.TrimSuffix(path, "/")], name) {
				c.error("%q has %q, which the truth has not", path, name)
			}
		}
	}
}

// A shown is what is compared of a file.
type shown struct {
	Device, Rdev               Device
	Ino, Links                 uint64
	Mode, UID, GID             uint32
	Size, Blocks               int64
	Atime, Mtime, Ctime, Btime time.Time
	Target                     string
	Xattrs                     map[string]string
	Pages                      [][2]int64
	Cached, SHA256             string
}

func stampOf(t [2]int64) time.Time { return time.Unix(t[0], t[1]).UTC() }

// bornAt is stampOf of what not all file systems have.
func bornAt(t [2]int64) time.Time {
	if t == [2]int64{} {
		return time.Time{}
	}
	return stampOf(t)
}

func (c *comparison) file(f *File, w *fileTruth) {
	got := shown{
		Device: f.Device, Rdev: f.Rdev, Ino: f.Number, Links: uint64(f.Links), Mode: f.Mode, UID: f.UID, GID: f.GID, Size: f.Size, Blocks: int64(f.Blocks),
		Atime: f.Atime, Mtime: f.Mtime, Ctime: f.Ctime, Btime: f.Btime,
	}
	want := shown{
		Device: device(w.Dev), Rdev: device(w.Rdev), Ino: w.Ino, Links: w.Nlink, Mode: w.Mode, UID: w.UID, GID: w.GID, Size: w.Size, Blocks: w.Blocks,
		Atime: stampOf(w.Atime), Mtime: stampOf(w.Mtime), Ctime: stampOf(w.Ctime), Btime: bornAt(w.Btime), Target: string(w.Target),
	}
	if f.IsLink() {
		target, err := f.Target()
		switch {
		case errors.Is(err, ErrNotCached) && w.FSType == "ext4" && w.Size >= 60:
			c.longLinks++ // the kernel reads it past the page cache of the link
			want.Target = ""
		case err != nil:
			c.error("%q: %v", w.Path, err)
		}
		got.Target = target
		if got.Atime.After(want.Atime) {
			want.Atime = got.Atime // the truth read it again in another mount namespace
		}
	}
	if w.FSType == "tmpfs" {
		got.Xattrs, want.Xattrs = attributesOf(c, f, w)
	}
	if f.IsRegular() && w.Size > 0 && w.FSType != "hugetlbfs" {
		c.content(f, w, &got, &want)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		c.error("%q of %s (-want +got):\n%s", w.Path, w.FSType, diff)
	}
}

// attributesOf returns extended attributes, without those that are made up when they are asked for.
func attributesOf(c *comparison, f *File, w *fileTruth) (got, want map[string]string) {
	all, err := f.Xattrs()
	if err != nil {
		c.error("%q: %v", w.Path, err)
	}
	got, want = map[string]string{}, map[string]string{}
	for k, v := range all {
		got[k] = string(v)
	}
	for k, v := range w.Xattrs {
		want[k] = string(v)
	}
	return got, want
}

func (c *comparison) content(f *File, w *fileTruth, got, want *shown) {
	content, err := f.Content(c.t.Context())
	if err != nil {
		c.error("%q: %v", w.Path, err)
		return
	}
	for _, g := range content.Gaps {
		c.error("%q: %v", w.Path, g)
	}
	want.Pages, want.Cached, want.SHA256 = w.Pages, w.Cached, w.SHA256
	cached := sha256.New()
	for _, e := range content.Cached() {
		first, end := e.Offset/4096, (e.Offset+e.Size+4095)/4096
		got.Pages = append(got.Pages, [2]int64{first, end - first})
		b := make([]byte, e.Size)
		if n, err := content.ReadAt(b, e.Offset); n < len(b) {
			c.error("%q: %v", w.Path, err)
		}
		cached.Write(b)
	}
	got.Cached = hex.EncodeToString(cached.Sum(nil))
	if content.Whole() {
		b := make([]byte, content.Size)
		if n, err := content.ReadAt(b, 0); n < len(b) {
			c.error("%q: %v", w.Path, err)
		}
		sum := sha256.Sum256(b)
		got.SHA256 = hex.EncodeToString(sum[:])
	}
}

// TestNameless compares files without a name, and who holds them, with what the guest's /proc said.
func TestNameless(t *testing.T) {
	for _, n := range fileNodes(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got, want []string
			digests := map[string]string{}
			all, gaps := n.set.Nameless(t.Context())
			for _, g := range gaps {
				t.Error(g)
			}
			line := func(pid int, how string, device Device, ino uint64, size int64, path string) string {
				return fmt.Sprintf("%d %s %v %d %d %q", pid, how, device, ino, size, path)
			}
			for _, f := range all {
				for _, h := range f.Holders {
					how := h.How
					switch how {
					case "fd":
						how += " " + strconv.Itoa(h.FD)
					case "map":
						how += fmt.Sprintf(" %x-%x", uint64(h.Range.Start), uint64(h.Range.Last())+1)
					}
					l := line(int(h.PID), how, f.Device, f.Number, f.Size, f.Path)
					got = append(got, l)
					if c, err := n.set.Content(t.Context(), &f.Inode); err == nil && c.Whole() && f.FSType != "hugetlbfs" {
						b := make([]byte, c.Size)
						k, _ := c.ReadAt(b, 0)
						sum := sha256.Sum256(b[:k])
						digests[l] = hex.EncodeToString(sum[:])
					}
				}
			}
			for _, w := range readTruth(t, filepath.Join(n.Truth, "files", "nameless.json")) {
				how := w.Range
				switch {
				case w.FD >= 0:
					how = "fd " + strconv.Itoa(w.FD)
				case strings.Contains(w.Range, "-"):
					how = "map " + w.Range
				}
				if !deleted(string(w.Path)) && w.Nlink != 0 || w.FSType == "" {
					continue
				}
				l := line(w.PID, how, device(w.Dev), w.Ino, w.Size, string(w.Path))
				want = append(want, l)
				if w.SHA256 != "" && w.FSType != "hugetlbfs" && digests[l] != w.SHA256 {
					t.Errorf("%s: contents %s, want %s", l, digests[l], w.SHA256)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
