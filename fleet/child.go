package fleet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/vmem"
)

// errChanged says that an image is not the one that it was.
var errChanged = errors.New("the image changed while it was analysed")

// Child does one unit of work: it is told on standard input by a [Runner] which, analyses the image, and writes the result. It returns the status to exit with.
// The process ends where standard input does: then whoever started it is gone. Its limits are those of the whole process, so the program
// does nothing else.
func Child(ctx context.Context, a *Analyser, stdin io.Reader, stdout, stderr io.Writer) int {
	start := time.Now()
	in := bufio.NewReader(stdin)
	t, err := readTask(in)
	if err != nil {
		return fail(stderr, err)
	}
	if err := t.Limits.apply(); err != nil {
		return fail(stderr, err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // however it ends
		os.Exit(ExitTryAgain)
	}()
	c := &child{task: t, analyser: a, start: start, stdout: stdout}
	r, err := c.work(ctx)
	if err != nil {
		return fail(stderr, err)
	}
	return r.Exit()
}

// fail says why there is no result.
func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, text.Message(err))
	if poison(err) {
		return ExitPoison
	}
	return ExitTryAgain
}

// A child is the work on one task.
type child struct {
	*task
	analyser *Analyser
	start    time.Time
	stdout   io.Writer
}

// work makes the result, or finds it made already.
func (c *child) work(ctx context.Context) (*Result, error) {
	results, err := OpenResults(c.Out)
	if err != nil {
		return nil, err
	}
	id, err := identify(ctx, c.Item)
	if err != nil {
		return nil, err
	}
	had, err := results.have(c.Item, key(c.Item, id, c.By))
	if err != nil {
		return nil, err
	}
	kept := had != nil && had.Done() && (had.Status != Failed || !c.Redo)
	if err := writeLine(c.stdout, subject{Image: id, Had: kept}); err != nil {
		return nil, err
	}
	if kept {
		return had, nil
	}
	report, found, err := c.analyser.run(ctx, c.Item)
	if err != nil {
		return nil, err
	}
	if err := c.verify(ctx, id, report); err != nil {
		return nil, err
	}
	return c.deliver(results, id, report, found)
}

// verify returns an error where the report is not the one that can be had of the image.
func (c *child) verify(ctx context.Context, id Identity, report *cos.NodeReport) error {
	if !id.Live {
		now, err := identify(ctx, c.Item)
		if err != nil {
			return err
		}
		if now.Digest() != id.Digest() {
			return errChanged
		}
	}
	if c.Last || !image.IsURL(c.Item.Path()) {
		return nil
	}
	for _, g := range report.Gaps {
		if r := vmem.ReasonOf(g.Err); r == "input-output" || r == "canceled" {
			return fmt.Errorf("the server gave no answer: %w", g)
		}
	}
	return nil
}

// deliver writes the result.
func (c *child) deliver(results *Results, id Identity, report *cos.NodeReport, found *findings.Result) (*Result, error) {
	r := newResult(c.Item, id, c.By, c.Attempt)
	r.take(report, found)
	r.Usage = usage(time.Since(c.start))
	return r, results.write(r, report, found)
}
