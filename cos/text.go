package cos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/internal/unpack"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// addText adds how the kernel's code compares with its vmlinux, where one is given: to a report that has hooks, for a hook in
// code is in no table.
func (a *analysis) addText(ctx context.Context) error {
	if a.vmlinux == "" {
		return nil
	}
	r, gaps, err := a.compareText(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		gaps = append(gaps, vmem.NewGap("kernel text", vmem.Place{}, err))
	}
	a.report.Text = r
	a.lose(gaps)
	return nil
}

func (a *analysis) compareText(ctx context.Context) (*ktext.Report, []vmem.Gap, error) {
	f, err := os.Open(a.vmlinux)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b, err := ktext.NewBuild(f)
	if err != nil {
		return nil, nil, err
	}
	opts := new(ktext.Options)
	if a.moduleFiles != "" {
		if opts.Modules, err = a.moduleSet(ctx); err != nil {
			return nil, nil, err
		}
		opts.File = moduleFiles(a.moduleFiles)
	}
	return ktext.Compare(ctx, a.kernel, b, opts)
}

// errNoFile says that the directory of modules lacks one.
var errNoFile = fmt.Errorf("there is no file of it: %w", fs.ErrNotExist)

// maxModuleFile is the size of a module's file above which it is not read, in bytes.
const maxModuleFile = 256 << 20

// moduleFiles returns what opens the file of a module below a directory, such as /lib/modules/RELEASE: NAME.ko, also
// compressed.
func moduleFiles(dir string) func(*module.Module) (io.ReaderAt, error) {
	paths := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // what can't be read has no modules
		}
		if name, rest, ok := strings.Cut(filepath.Base(path), ".ko"); ok && (rest == "" || rest[0] == '.') && !strings.HasSuffix(rest, ".debug") {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return nil
	})
	return func(m *module.Module) (io.ReaderAt, error) {
		path, ok := paths[m.Name]
		if !ok {
			return nil, errNoFile
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		head := make([]byte, unpack.HeadSize)
		n, err := f.ReadAt(head, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r, err := unpack.NewReader(f, unpack.Format(head[:n]))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		data, err := io.ReadAll(io.LimitReader(r, maxModuleFile))
		return bytes.NewReader(data), err
	}
}
