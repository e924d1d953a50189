// Package cosbucket knows where Google publishes the kernels of Container-Optimized OS.
package cosbucket

import (
	"slices"
	"strings"
)

// buckets are the public ones, all with the same files. Each serves a part of the world,
// as cos-kernel of cos/tools chooses them by the zone of the machine; what is in none of
// the parts goes to the first.
var buckets = []struct {
	url   string
	zones []string // prefixes
}{
	{"https://storage.googleapis.com/cos-tools", []string{"us-", "northamerica-", "southamerica-"}},
	{"https://storage.googleapis.com/cos-tools-eu", []string{"europe-"}},
	{"https://storage.googleapis.com/cos-tools-asia", []string{"asia-", "australia-"}},
}

// Buckets returns the URLs of the buckets, without a slash at the end, that of a zone
// such as europe-west1-b first. The zone may be empty.
func Buckets(zone string) []string {
	var urls []string
	for _, b := range buckets {
		urls = append(urls, b.url)
	}
	for i, b := range buckets {
		if zone != "" && slices.ContainsFunc(b.zones, func(prefix string) bool { return strings.HasPrefix(zone, prefix) }) {
			return slices.Concat(urls[i:i+1], urls[:i], urls[i+1:])
		}
	}
	return urls
}

// Vmlinux returns the paths in a bucket that the kernel of a build, with its DWARF, can
// have, in the order in which to try: beside the build's other files, and under the
// board, as newer builds have it for some files and those for arm64 for all. arch is amd64
// or arm64; empty stands for the first.
func Vmlinux(build, arch string) []string {
	if arch != "" && arch != "amd64" {
		return []string{build + "/lakitu-" + arch + "/vmlinux"}
	}
	return []string{build + "/vmlinux", build + "/lakitu/vmlinux"}
}
