package beam

import (
	"context"
	"errors"
	"strings"

	sdk "github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn3x1[context.Context, string, []byte, error](&writeFn{})
}

// Write writes the results of [Analyze] into a directory, which may be any that Beam has a filesystem for: a pipeline imports those that it
// needs, such as filesystem/gcs for gs://. The directory then is what [fleet.Results] reads. A file is written anew where it is there already, with the same result.
func Write(s sdk.Scope, dir string, results sdk.PCollection) {
	sdk.ParDo0(s.Scope("nodelens.Write"), &writeFn{Dir: dir}, results)
}

// A writeFn writes each file that it is given.
type writeFn struct{ Dir string }

// ProcessElement writes one file.
func (f *writeFn) ProcessElement(ctx context.Context, name string, content []byte) (err error) {
	fs, err := filesystem.New(ctx, f.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	w, err := fs.OpenWrite(ctx, strings.TrimRight(f.Dir, "/")+"/"+name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return errors.Join(err, w.Close())
}
