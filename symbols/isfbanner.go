package symbols

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/unpack"
)

// isISF reports whether a file holds ISF, by its name.
func isISF(name string) bool {
	name = strings.ToLower(name)
	for _, packed := range []string{"", ".xz", ".gz", ".bz2", ".zst"} {
		if strings.HasSuffix(name, ".json"+packed) || strings.HasSuffix(name, ".isf"+packed) {
			return true
		}
	}
	return false
}

// isfFiles returns the ISF files of a directory and of the directory linux in it, those
// with the release in their name first.
func isfFiles(dir string, entries []string, release string) []string {
	all := slices.Clone(entries)
	if linux, err := readDir(filepath.Join(dir, "linux")); err == nil {
		for _, name := range linux {
			all = append(all, path.Join("linux", name))
		}
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !isISF(name) })
	if release != "" {
		slices.SortStableFunc(all, func(a, b string) int {
			return boolInt(strings.Contains(b, release)) - boolInt(strings.Contains(a, release))
		})
	}
	return all
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// offerISF yields those of the ISF files that have a banner which is in memory.
func (d directory) offerISF(ctx context.Context, k *Kernel, names []string, yield func(*Candidate, error) bool) {
	if len(names) == 0 {
		return
	}
	banners, err := k.Banners(ctx)
	if err != nil {
		yield(nil, err)
		return
	}
	for i, name := range names {
		k.progress("looking through symbol files", int64(i), int64(len(names)))
		full := filepath.Join(string(d), name)
		banner, err := fileBanner(ctx, full)
		switch {
		case ctx.Err() != nil:
			yield(nil, ctx.Err())
			return
		case errors.Is(err, fs.ErrNotExist), err == nil && !slices.Contains(banners, banner):
			continue
		case err != nil:
			if !yield(&Candidate{Name: full}, reason(err)) {
				return
			}
		case !offer(full, yield):
			return
		}
	}
}

func fileBanner(ctx context.Context, name string) (string, error) {
	f, _, err := openRegular(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readBanner(ctx, f)
}

// encodedStart is how base64 writes the start of a banner.
const encodedStart = "TGludXggdmVyc2lvbi"

// pieceSize is how much of an ISF file is searched at a time, in bytes.
const pieceSize = 256 << 10

// maxISF bounds how much of an unpacked ISF file is searched for its banner, in bytes.
const maxISF = 2 << 30

// readBanner finds the banner of an ISF file without parsing it: the first text in base64
// that begins as a banner does, for the format has no other place for one than the
// constant data of linux_banner. It is empty where there is none.
func readBanner(ctx context.Context, r io.Reader) (string, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(unpack.HeadSize)
	if err != nil {
		return "", err
	}
	z, err := unpack.NewReader(b, unpack.Format(head))
	if err != nil {
		return "", err
	}
	defer z.Close()
	return searchBanner(ctx, z)
}

// searchBanner searches unpacked ISF for a banner.
func searchBanner(ctx context.Context, r io.Reader) (string, error) {
	buf := make([]byte, 0, pieceSize)
	for total := int64(0); total < maxISF; {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		n, err := fill(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if text, ok := encodedBanner(buf); ok {
			return text, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", nil
		case err != nil:
			return "", err
		}
		total += int64(n)
		tail := buf[max(0, len(buf)-2*maxBanner):] // a banner may begin here
		buf = buf[:copy(buf[:cap(buf)], tail)]
	}
	return "", nil
}

// fill reads until b is full, or an error comes. Unlike io.ReadFull it leaves apart that
// r ends, and that a file behind it ends too early.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// encodedBanner returns the banner in base64 that stands whole in b, between quotes.
func encodedBanner(b []byte) (string, bool) {
	i := bytes.Index(b, []byte(`"`+encodedStart))
	if i < 0 {
		return "", false
	}
	text, _, ok := bytes.Cut(b[i+1:], []byte(`"`))
	if !ok {
		return "", false
	}
	raw, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return "", false
	}
	banner, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimRight(banner, "\x00"), true
}
