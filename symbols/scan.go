package symbols

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

const (
	// scanChunk is how much of memory is searched at a time, in bytes.
	scanChunk = 1 << 20
	// maxBanner is how long a banner may be, in bytes.
	maxBanner = 1024
	// maxFinds limits how many different banners, and builds, are kept.
	maxFinds = 64
)

// scan reads all memory, once. The caller holds k.mu.
func (k *Kernel) scan(ctx context.Context) error {
	if k.scanned {
		return nil
	}
	k.banners, k.builds = nil, nil
	var done, total int64
	for _, r := range k.mem.Ranges() {
		total += int64(r.Size)
	}
	buf := make([]byte, scanChunk+maxBanner)
	for _, r := range k.mem.Ranges() {
		for off := uint64(0); off < r.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			// What can't be read is a gap of the image, which its reader reports; the search
			// goes on behind its page.
			want := buf[:min(uint64(len(buf)), r.Size-off)]
			n, _ := k.mem.ReadAt(want, int64(r.Start)+int64(off))
			k.search(want[:n])
			step := uint64(scanChunk)
			if n < len(want) {
				step = min(step, uint64(n)&^(vmem.PageSize-1)+vmem.PageSize)
			}
			off += step
			done += int64(step)
			k.progress("searching for the kernel's version", min(done, total), total)
		}
	}
	k.scanned = true
	return nil
}

// search looks for banners that begin in b, and for files that begin in a page of b.
func (k *Kernel) search(b []byte) {
	for text := range banners(b) {
		k.banners = keep(k.banners, text)
	}
	for ; len(b) > 0; b = b[min(len(b), vmem.PageSize):] {
		if build := osRelease(b[:min(len(b), vmem.PageSize)]); build != "" {
			k.builds = keep(k.builds, build)
		}
	}
}

// keep appends s unless it is there.
func keep(list []string, s string) []string {
	if len(list) >= maxFinds || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

const bannerStart = "Linux version "

// banners yields the banners in b: lines that begin with the version and have the number
// and the time of the build, which the banner of a kernel's first link lacks
// (init/version.c). A line that does not end in b is none.
func banners(b []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := bytes.Index(b, []byte(bannerStart))
			if i < 0 {
				return
			}
			b = b[i:]
			line := b[:min(len(b), maxBanner)]
			n := bytes.IndexAny(line, "\n\x00")
			if n > len(bannerStart) && isBanner(line[:n]) && !yield(string(line[:n])) {
				return
			}
			b = b[len(bannerStart):]
		}
	}
}

// isBanner reports whether a line is linux_banner. That of linux_proc_banner has %s in
// place of the release.
func isBanner(line []byte) bool {
	c := line[len(bannerStart)]
	return c >= '0' && c <= '9' && bytes.Contains(line, []byte(" #")) && !bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' })
}

// releaseOf returns the release that a banner says.
func releaseOf(banner string) string {
	release, _, _ := strings.Cut(strings.TrimPrefix(banner, bannerStart), " ")
	return release
}

var (
	cosID    = regexp.MustCompile(`(?m)^ID=cos$`)
	cosBuild = regexp.MustCompile(`(?m)^BUILD_ID=(\d+\.\d+\.\d+)$`)
)

// osRelease returns the build of Container-Optimized OS of whose /etc/os-release b is the
// start: the file is less than a page, so it is at the start of one in the page cache.
func osRelease(page []byte) string {
	if !bytes.Contains(page[:min(len(page), 1024)], []byte("BUILD_ID=")) {
		return ""
	}
	text, _, _ := bytes.Cut(page, []byte{0})
	m := cosBuild.FindSubmatch(text)
	if m == nil || !cosID.Match(text) {
		return ""
	}
	return string(m[1])
}
