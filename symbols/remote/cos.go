package remote

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/internal/cosbucket"
	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/symbols"
)

// COS is where Google publishes the kernels of Container-Optimized OS, each as
// BUILD/vmlinux with DWARF, some with BUILD/vmlinux.md5. A mirror has the same paths.
type COS struct {
	// Build is the build of the node's image, such as 18244.291.9, which is in the name
	// of the image: see ParseImageName of package cos. Empty: each build is tried whose
	// /etc/os-release is in memory.
	Build string

	// Arch is amd64 or arm64. Empty: amd64.
	Arch string

	// Zone is that of the machine that fetches, such as europe-west1-b, for the nearest
	// bucket to be asked first. Empty: the one in the United States is.
	Zone string

	// Buckets are the URLs below which builds are, without a slash at the end. Nil: the
	// three public ones, https://storage.googleapis.com/cos-tools, cos-tools-eu and
	// cos-tools-asia.
	Buckets []string

	// Client fetches. Nil: the zero Client.
	Client *Client
}

// String implements [symbols.Source].
func (s *COS) String() string { return "Container-Optimized OS's bucket" }

// Find implements [symbols.Source]: it yields the vmlinux of the build, from the first
// place that has one of the right kernel.
func (s *COS) Find(ctx context.Context, k *symbols.Kernel) iter.Seq2[*symbols.Candidate, error] {
	return func(yield func(*symbols.Candidate, error) bool) {
		builds := []string{s.Build}
		if s.Build == "" {
			var err error
			if builds, err = k.COSBuilds(ctx); err != nil {
				yield(nil, err)
				return
			}
		}
		for _, build := range builds {
			if !s.offer(ctx, k, build, yield) {
				return
			}
		}
	}
}

// offer yields the vmlinux of one build. Where no place has it, that is yielded.
func (s *COS) offer(ctx context.Context, k *symbols.Kernel, build string, yield func(*symbols.Candidate, error) bool) bool {
	c := s.Client.get()
	buckets := s.Buckets
	if buckets == nil {
		buckets = cosbucket.Buckets(s.Zone)
	}
	paths := cosbucket.Vmlinux(build, s.Arch)
	places, failed := len(buckets)*len(paths), false
	for _, bucket := range buckets {
		if c.absent(bucket, build) {
			continue
		}
		d, errs := c.fetchFirst(ctx, k, bucket, paths)
		for _, err := range errs {
			if failed = true; !yield(&symbols.Candidate{Name: err.name}, err.error) {
				return false
			}
			// What is of another kernel here is so in each bucket: they have the same files.
			if errors.Is(err, symbols.ErrMismatch) {
				paths = slices.DeleteFunc(paths, func(p string) bool { return shown(bucket+"/"+p) == err.name })
			}
		}
		switch {
		case d != nil:
			defer d.discard()
			return yield(&symbols.Candidate{Name: shown(d.url), Content: d.file, Size: d.done}, nil)
		case len(errs) == 0:
			c.setAbsent(bucket, build)
		}
	}
	return failed || yield(&symbols.Candidate{}, fmt.Errorf("%w: build %s has no vmlinux in %d places", symbols.ErrNothing, build, places))
}

// A placeError is why what is in a place can't be had.
type placeError struct {
	error
	name string
}

func (e *placeError) Unwrap() error { return e.error }

// fetchFirst fetches the first vmlinux of the right kernel that a bucket has at any of the
// paths; nil if there is none. A bucket that can't be read is not asked for more.
func (c *Client) fetchFirst(ctx context.Context, k *symbols.Kernel, bucket string, paths []string) (d *download, errs []*placeError) {
	for _, path := range paths {
		url := bucket + "/" + path
		d, err := c.fetchChecked(ctx, k, url)
		switch {
		case err == nil:
			return d, errs
		case isMissing(err):
			continue
		}
		errs = append(errs, &placeError{err, shown(url)})
		if !errors.Is(err, symbols.ErrMismatch) {
			break
		}
	}
	return nil, errs
}

// fetchChecked fetches a vmlinux, unless what the server shows of it is of another kernel.
func (c *Client) fetchChecked(ctx context.Context, k *symbols.Kernel, url string) (*download, error) {
	if err := c.check(ctx, k, url); err != nil {
		return nil, err
	}
	d, err := c.fetch(ctx, url, k)
	if err != nil {
		return nil, err
	}
	if err := d.checkMD5(ctx); err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// check holds what little it takes of a vmlinux on a server against the image. Where the
// server sends whole files only, the whole file tells.
func (c *Client) check(ctx context.Context, k *symbols.Kernel, url string) error {
	r, err := httprange.Open(ctx, url, &httprange.Options{
		Client: c.HTTP, BlockSize: checkBlock, ReadAhead: 1, CacheBytes: checkCache, Retries: maxTries - 1,
	})
	if errors.Is(err, httprange.ErrNoRanges) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if err := k.CheckELF(ctx, r, r.Size()); errors.Is(err, symbols.ErrMismatch) || ctx.Err() != nil {
		return err
	}
	return nil // what can't be told from a few bytes, the whole file tells
}

// What is read of a file at least, and how much of it is kept, in bytes.
const (
	checkBlock = 4 << 10
	checkCache = 8 << 20
)
