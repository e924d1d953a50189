package remote

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
)

// vmlinuxOf returns the vmlinux that has the build id of a kernel, of those in the
// directories that NODELENS_KERNELS lists (VERSION/usr/lib/debug/boot/vmlinux-*, as
// Debian's linux-image-VERSION-dbg has it). It skips t where there is none.
func vmlinuxOf(t *testing.T, k *symbols.Kernel) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("NODELENS_KERNELS")) {
		names, err := filepath.Glob(filepath.Join(dir, "*", "usr", "lib", "debug", "boot", "vmlinux-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if fitsELF(t, k, name) {
				return name
			}
		}
	}
	t.Skip("NODELENS_KERNELS has no vmlinux of the image's kernel")
	return ""
}

func fitsELF(t *testing.T, k *symbols.Kernel, name string) bool {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	err = k.CheckELF(t.Context(), f, info.Size())
	if err != nil && !errors.Is(err, symbols.ErrMismatch) {
		t.Fatal(err)
	}
	return err == nil
}

// TestKernels: for real images whose own symbols are refused, those of the real vmlinux
// are fetched and kept, the kernel is found with them, and the next time nothing is
// fetched.
func TestKernels(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			mem, err := image.Open(t.Context(), img.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer mem.Close()
			k := symbols.Identify(mem, nil)
			name := vmlinuxOf(t, k)
			id, err := k.BuildID(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t, nil)
			s.serve = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path(build, "vmlinux") && r.URL.Path != "/buildid/"+id+"/debuginfo" {
					return false
				}
				w.Header().Set("ETag", `"kernel"`)
				http.ServeFile(w, r, name)
				return true
			}
			for source, fetch := range map[string]symbols.Source{"bucket": s.bucket(t), "debuginfod": s.debuginfod(t)} {
				t.Run(source, func(t *testing.T) { testKernel(t, mem, s, fetch) })
			}
		})
	}
}

var errOwn = errors.New("the image's own symbols are not wanted")

func testKernel(t *testing.T, mem *image.File, s *server, fetch symbols.Source) {
	own := true
	opts := &symbols.Options{
		Store: symbols.NewStore(t.TempDir()), Fetch: []symbols.Source{fetch}, Converters: converters, TempDir: t.TempDir(),
		Accept: func(ctx context.Context, f *isf.File) error {
			if own {
				own = false
				return errOwn
			}
			_, err := linux.Open(ctx, mem, &linux.Options{Symbols: f})
			return err
		},
	}
	found, err := symbols.Find(t.Context(), mem, opts)
	if err != nil || !strings.Contains(found.From, s.URL) || found.KeepErr != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	t.Logf("%s: %d requests", found, len(s.asked()))
	k := symbols.Identify(mem, nil)
	begin := time.Now()
	for c, err := range opts.Store.Find(t.Context(), k) {
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is there after %v", c.Name, time.Since(begin))
		begin = time.Now()
		if err := k.Check(t.Context(), c.Symbols); err != nil {
			t.Error(err)
		}
		t.Logf("checked in %v", time.Since(begin))
		begin = time.Now()
		if _, err := isf.Open(c.Name); err != nil {
			t.Error(err)
		}
		t.Logf("decoding alone takes %v", time.Since(begin))
	}
	own = true
	again, err := symbols.Find(t.Context(), mem, opts)
	if err != nil || !strings.HasPrefix(again.From, "store "+opts.Store.Dir()) || len(s.asked()) > 0 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}
