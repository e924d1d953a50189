package beam

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	sdk "github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/nodelens/nodelens/fleet"
)

func init() {
	register.DoFn4x1[context.Context, string, func(string, []byte), func(string, []byte), error](&AnalyzeFn{})
	register.Emitter2[string, []byte]()
}

// counters are the metrics of a pipeline.
var counters = map[fleet.Status]sdk.Counter{
	fleet.Whole:    sdk.NewCounter("nodelens", "whole"),
	fleet.NotWhole: sdk.NewCounter("nodelens", "not-whole"),
	fleet.Failed:   sdk.NewCounter("nodelens", "failed"),
}

// An AnalyzeFn has a child process analyse each image. Its fields travel to the workers.
type AnalyzeFn struct {
	// Limits are those of a child. A worker has a child for each of its threads.
	Limits fleet.Limits
	// Attempts is how many children an image is given at most; 0: 3.
	Attempts int
	// Results is a directory that all workers have mounted, in which results are kept: what has one is not analysed again, also when Beam
	// does a bundle anew. Empty: results are in the collections alone.
	Results string
}

// ProcessElement analyses the image that line, one of a [fleet.Manifest], names. Both collections have the name of a file of [fleet.Results], and its content. It returns
// an error only where no child can be started, or nothing can be written: that is no image's fault.
func (f *AnalyzeFn) ProcessElement(ctx context.Context, line string, report, failure func(string, []byte)) error {
	var it fleet.Item
	if err := json.Unmarshal([]byte(line), &it); err != nil {
		return fmt.Errorf("beam: not a line of a manifest: %w", err)
	}
	result, name, content, err := f.analyze(ctx, it)
	if err != nil {
		return err
	}
	counters[result.Status].Inc(ctx, 1)
	if result.Status == fleet.Failed {
		failure(name, content)
	} else {
		report(name, content)
	}
	return nil
}

// analyze returns the result of an image, and the file that it is in.
func (f *AnalyzeFn) analyze(ctx context.Context, it fleet.Item) (result *fleet.Result, name string, content []byte, err error) {
	child, err := command()
	if err != nil {
		return nil, "", nil, err
	}
	dir := f.Results
	if dir == "" {
		if dir, err = os.MkdirTemp("", "nodelens-fleet-"); err != nil {
			return nil, "", nil, err
		}
		defer os.RemoveAll(dir)
	}
	results, err := fleet.OpenResults(dir)
	if err != nil {
		return nil, "", nil, err
	}
	r := &fleet.Runner{Command: child, Analyser: analyser, Results: results, Limits: f.Limits, Attempts: f.Attempts}
	if result, _, err = r.Do(ctx, it); err != nil {
		return nil, "", nil, err
	}
	path := results.File(result)
	content, err = os.ReadFile(path)
	return result, filepath.Base(path), content, err
}

// Analyze has images analysed of which lines, a collection of string, has a manifest's. Its outputs are collections of KV<string, []byte>, of what gave a report, whole or not, and of what
// did not: see [AnalyzeFn.ProcessElement].
//
// Lines are shuffled before, or a runner would give all of them to one worker; so lines of a manifest, with the signatures of URLs that are in them, are in the
// runner's storage for a while.
func Analyze(s sdk.Scope, fn *AnalyzeFn, lines sdk.PCollection) (reports, failures sdk.PCollection) {
	s = s.Scope("nodelens.Analyze")
	return sdk.ParDo2(s, fn, sdk.Reshuffle(s, lines))
}
