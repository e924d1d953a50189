package cos

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/internal/cosbucket"
)

// ErrNotCOS is the reason that ParseImageName gives for a name that isn't the name
// of a Container-Optimized OS image.
var ErrNotCOS = errors.New("not the name of a Container-Optimized OS image")

// An ImageName is what the name of a Container-Optimized OS disk image says.
type ImageName struct {
	Channel   string // dev, beta or stable; empty for images that don't say, as all of GKE's today
	Arch      string // amd64 or arm64
	Milestone int    // such as 113
	Build     string // such as 18244.291.9: the BUILD_ID of /etc/os-release
}

// imageName matches both Google's own images, cos-stable-113-18244-291-9, and
// GKE's, gke-1309-gke1046000-cos-113-18244-291-9-c-pre. What follows the build
// is not fixed: dates, c for containerd, cgpv1 for cgroup v1, nvda, pre.
var imageName = regexp.MustCompile(`(?:^|-)cos-((?:(?:dev|beta|stable|arm64)-)*)(\d{2,3})-(\d+)-(\d+)-(\d+)(?:-|$)`)

// ParseImageName reads the name of a disk image, such as the sourceImage of a GKE
// node's boot disk; the path or URL in front of it may be there or not. The error
// wraps [ErrNotCOS].
func ParseImageName(name string) (ImageName, error) {
	m := imageName.FindStringSubmatch(path.Base(name))
	if m == nil {
		return ImageName{}, fmt.Errorf("cos: %q: %w", name, ErrNotCOS)
	}
	milestone, err := strconv.Atoi(m[2])
	if err != nil {
		return ImageName{}, fmt.Errorf("cos: %q: %w", name, err)
	}
	image := ImageName{Arch: "amd64", Milestone: milestone, Build: strings.Join(m[3:], ".")}
	for word := range strings.SplitSeq(strings.TrimSuffix(m[1], "-"), "-") {
		switch word {
		case "":
		case "arm64":
			image.Arch = word
		default:
			image.Channel = word
		}
	}
	return image, nil
}

// VmlinuxURLs returns where Google publishes the kernel of that build with its
// DWARF, in the order in which to try: beside the build's other files, and under
// the board, as newer builds have it for some files and those for arm64 for all; first in
// the bucket for the Americas, then in those for Europe, and for Asia and Australia.
// Nothing is fetched: package symbols/remote does that.
func (n ImageName) VmlinuxURLs() []string {
	var urls []string
	for _, bucket := range cosbucket.Buckets("") {
		for _, path := range cosbucket.Vmlinux(n.Build, n.Arch) {
			urls = append(urls, bucket+"/"+path)
		}
	}
	return urls
}
