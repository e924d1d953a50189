package fleet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/nodelens/nodelens/internal/text"
)

// ErrChild says that no child could be started.
var ErrChild = errors.New("no child process")

// A Runner has children analyse images. It is safe for concurrent use once it is set up.
type Runner struct {
	// Command is the program and its arguments that end in [Child], with the same Analyser.
	Command  []string
	Analyser *Analyser
	Results  *Results
	Limits   Limits

	Attempts    int           // how many children an item is given at most; 0: 3
	Pause       time.Duration // before the second attempt, longer before later ones; 0: a second
	Parallel    int           // how many children run at a time; 0: one for each processor
	RetryFailed bool          // failures are tried again that are final otherwise

	// Progress, if not nil, is told of each item that has its result, one at a time.
	Progress func(p Progress)
}

// A Progress is an item that has its result.
type Progress struct {
	Index  int // in the manifest
	Result *Result
	Had    bool // the result was there already
	Done   int  // items so far
	Of     int
}

// An ending is how a child ended.
type ending struct {
	subject
	status int // exit status; -1 where a signal ended it
	signal string
	usage  Usage
	late   bool // it went over the deadline
	stderr *tail
}

// Do has one item analysed, unless it has a result that is final. An error means that there is none: no child could be
// started, the result can't be written or ctx is done; what is wrong with an image is a result.
func (r *Runner) Do(ctx context.Context, it Item) (result *Result, had bool, err error) {
	if err := it.check(); err != nil {
		return nil, false, err
	}
	by, attempts := r.Analyser.analysis(), cmp.Or(r.Attempts, 3)
	for n := 1; ; n++ {
		t := &task{Item: it, Out: r.Results.dir, By: by, Limits: r.Limits, Attempt: n, Last: n >= attempts, Redo: r.RetryFailed}
		end, err := r.child(ctx, t)
		if err != nil {
			return nil, false, err
		}
		result, err := r.settle(t, end)
		if err != nil || result.Done() || n >= attempts {
			return result, end.Had, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(time.Duration(n) * cmp.Or(r.Pause, time.Second)):
		}
	}
}

// child runs a child to its end.
func (r *Runner) child(ctx context.Context, t *task) (*ending, error) {
	whole := ctx
	if t.Limits.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Limits.Deadline)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, r.Command[0], r.Command[1:]...)
	alone(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = 5 * time.Second // for who has its pipes and is not of its group
	cmd.Env = append(os.Environ(), "GOTRACEBACK=single")
	end := &ending{stderr: &tail{}}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &bounded{w: &said, left: maxTask}, end.stderr
	in, err := cmd.StdinPipe() // open until the child has ended
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChild, err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChild, err)
	}
	go func() { _ = writeLine(in, t) }() // a child that does not read it says why
	err = cmd.Wait()
	if whole.Err() != nil {
		return nil, whole.Err()
	}
	if cmd.ProcessState == nil {
		return nil, fmt.Errorf("%w: %w", ErrChild, err)
	}
	end.late = ctx.Err() != nil
	end.status, end.signal = cmd.ProcessState.ExitCode(), signalOf(cmd.ProcessState)
	end.usage = usageOfEnded(time.Since(start), cmd.ProcessState)
	end.subject = parseSubject(said.Bytes())
	return end, nil
}

// bounded takes the first bytes of what is written, and drops the others.
type bounded struct {
	w    io.Writer
	left int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n, err := b.w.Write(p[:min(len(p), b.left)])
	b.left -= n
	return len(p), err
}

// settle makes a result of how a child ended: the one that it wrote, or a failure, which is written if nothing more is to be tried.
func (r *Runner) settle(t *task, end *ending) (*Result, error) {
	result, err := r.Results.have(t.Item, key(t.Item, end.Image, t.By))
	if err != nil || result != nil && (end.Had || result.Status != Failed) {
		return result, err
	}
	failed := newResult(t.Item, end.Image, t.By, t.Attempt)
	failed.Status, failed.Failure, failed.Usage = Failed, end.failure(t.Limits), end.usage
	if !failed.Done() && !t.Last {
		return failed, nil
	}
	if result != nil && !result.Done() {
		failed.Attempts += result.Attempts // of earlier runs
	}
	return failed, r.Results.write(failed, nil, nil)
}

// failure says why there is no report.
func (e *ending) failure(l Limits) *Failure {
	f := &Failure{Stderr: e.stderr.String()}
	switch {
	case e.late:
		f.Cause, f.Reason = CauseDeadline, fmt.Sprintf("it was not done in %v", l.Deadline)
	case e.status == exitCPU, l.CPU > 0 && e.signal != "" && e.usage.CPU >= l.CPU:
		f.Cause, f.Reason = CauseCPU, fmt.Sprintf("it took all of %v of CPU time", l.CPU)
	case e.signal != "":
		f.Cause, f.Reason = CauseKilled, "the analyser was ended by the signal "+e.signal
	case l.Memory > 0 && e.stderr.short():
		f.Cause, f.Reason = CauseMemory, "it needs more memory than "+text.Size(l.Memory)
	case e.stderr.crash != "":
		f.Cause, f.Reason = CausePanic, "the analyser crashed: "+e.stderr.crash
	case e.status == ExitPoison:
		f.Cause, f.Reason = CausePoison, e.stderr.last()
	case e.status == ExitWhole || e.status == ExitNotWhole:
		f.Cause, f.Reason = CauseError, "the analyser left no result"
	default:
		f.Cause, f.Reason = CauseError, cmp.Or(e.stderr.last(), fmt.Sprintf("the analyser ended with status %d", e.status))
	}
	return f
}
