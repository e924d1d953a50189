package fleet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"runtime"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/internal/version"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
)

// DefaultSections are what is read of each image: all but the mappings of processes, which are half of a report.
const DefaultSections = cos.AllSections &^ cos.SectionMaps

// An Analyser says how images are analysed. A program gives the same one to its [Runner] and to the [Child]ren that this starts. Its zero value analyses by the defaults.
type Analyser struct {
	// Version is that of the program: results of another are made anew. Empty: see [ProgramVersion].
	Version string
	// Settings are, in the program's words, what Options and Run depend on: results of others are made anew.
	Settings string
	// Options returns how to open the image of an item. Nil: [cos.Options] with DefaultSections. What the item says of its image goes over it.
	Options func(it Item) *cos.Options
	// Run analyses the image of an item. Nil: [cos.OpenNode] with Options, its report, and the findings of the catalogue.
	Run func(ctx context.Context, it Item) (*cos.NodeReport, *findings.Result, error)
}

// analysis returns what results name the analyser by.
func (a *Analyser) analysis() Analysis {
	return Analysis{Version: cmp.Or(a.Version, ProgramVersion()), Settings: a.Settings}
}

// ProgramVersion returns the version of this program: that of its main module, and where that is no released one, a digest of the program's file.
func ProgramVersion() string {
	if v := version.Program(); v != "" && v != "(devel)" {
		return v + " " + runtime.Version()
	}
	return "devel " + executableDigest()
}

// executableDigest returns the beginning of the SHA-256 of the program's file.
func executableDigest() string {
	name, err := os.Executable()
	if err != nil {
		return "of unknown content"
	}
	f, err := os.Open(name)
	if err != nil {
		return "of unknown content"
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "of unknown content"
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// run analyses the image of an item.
func (a *Analyser) run(ctx context.Context, it Item) (*cos.NodeReport, *findings.Result, error) {
	if a.Run != nil {
		return a.Run(ctx, it)
	}
	node, err := cos.OpenNode(ctx, cos.File(it.Path()), a.options(it))
	if err != nil {
		return nil, nil, err
	}
	defer node.Close()
	report, err := node.Report(ctx)
	if err != nil {
		return nil, nil, err
	}
	found, err := findings.Run(ctx, findings.NewNode(report, node), nil)
	return report, found, err
}

// options returns how to open the image of an item.
func (a *Analyser) options(it Item) *cos.Options {
	opts := &cos.Options{Sections: DefaultSections}
	if a.Options != nil {
		opts = a.Options(it)
	}
	if it.ISF != "" {
		opts.SymbolFile, opts.SymbolSource, opts.Symbols = it.ISF, nil, nil
	}
	if it.Raw {
		opts.Format = image.FormatRaw
	}
	return opts
}

// permanent are reasons that are there the next time as well.
var permanent = []error{
	image.ErrFormat, image.ErrNotFile, image.ErrTruncated,
	linux.ErrNoKernel, linux.ErrOtherKernel, kstruct.ErrUnsupported,
	httprange.ErrNoRanges, httprange.ErrDowngrade, fs.ErrPermission,
}

// poison reports whether an image gives no report, however often it is tried.
func poison(err error) bool {
	for _, reason := range permanent {
		if errors.Is(err, reason) {
			return true
		}
	}
	if _, ok := errors.AsType[*btfconv.MissingError](err); ok {
		return true
	}
	status, ok := errors.AsType[*httprange.StatusError](err)
	return ok && status.StatusCode() >= 400 && status.StatusCode() < 500 &&
		status.StatusCode() != http.StatusRequestTimeout && status.StatusCode() != http.StatusTooManyRequests
}
