package btfconv

import (
	"bytes"
	"context"
	"strings"
)

const bannerStart = "Linux version "

// banner finds linux_banner, and reads it. It is the text that fits init_uts_ns:
// there is one more, without the time of the build, from the first pass of linking
// (init/version.c).
func (f *finder) banner(ctx context.Context) {
	if va, ok := f.find("linux_banner"); ok {
		f.report.setBanner(f.image.bannerAt(va))
		return
	}
	version := f.version()
	if version == "" {
		return
	}
	for pa := range scanFor(ctx, f.mem, f.report.image, []byte(bannerStart)) {
		va, _ := f.image.virtual(pa)
		if text := f.image.bannerAt(va); text != "" && strings.HasSuffix(text, version+"\n") {
			f.found("linux_banner", va, "its text")
			f.report.setBanner(text)
			return
		}
	}
}

// setBanner sets the banner and the release that it says, if there is one.
func (r *Report) setBanner(text string) {
	if text != "" {
		r.Banner = strings.TrimSuffix(text, "\n")
		r.Release, _, _ = strings.Cut(strings.TrimPrefix(text, bannerStart), " ")
	}
}

// version returns init_uts_ns.name.version, as uname -v has it.
func (f *finder) version() string {
	uts, ok := f.find("init_uts_ns")
	off, ok2 := f.layouts.offset("uts_namespace", "name.version")
	if !ok || !ok2 {
		return ""
	}
	b := f.image.window(uts+off, 65) // __NEW_UTS_LEN + 1
	n := bytes.IndexByte(b, 0)
	return string(b[:max(n, 0)])
}

// bannerAt returns the banner at an address of the image, the text up to NUL, or
// "" if there is none. linux_proc_banner has the same start, but %s for the rest.
func (k *kernelImage) bannerAt(va uint64) string {
	b := k.window(va, 1024)
	n := bytes.IndexByte(b, 0)
	if n <= len(bannerStart) || !bytes.HasPrefix(b, []byte(bannerStart)) || b[n-1] != '\n' {
		return ""
	}
	if c := b[len(bannerStart)]; c < '0' || c > '9' {
		return ""
	}
	return string(b[:n])
}
