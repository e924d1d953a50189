// Nodelens answers questions about a node whose memory was imaged: what is wrong, what ran in which pod, who talked to whom.
//
//	nodelens IMAGE                 what is wrong, and what there is
//	nodelens COMMAND IMAGE ...     one question
//
// nodelens --help lists the commands, and nodelens COMMAND --help says what each prints, with examples. docs/responder.md
// goes through a case.
//
// It exits with 0 if the answer is whole, with 3 if something was lost on the way to it, with 1 if there is no answer, with 2 if it
// was called wrongly, and with 130 if it was interrupted.
package main

import (
	"context"
	"io"
	"os"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/command"
)

func main() { command.Main(run, os.Interrupt) }

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return newApp(stdout, stderr, stored{}).run(ctx, args)
}

// Images are where the images of nodes are from.
type images interface {
	// open opens the image of a node; close releases it.
	open(ctx context.Context, name string, opts *cos.Options) (n *cos.Node, close func() error, err error)
	// report returns what ran on a node: what is kept of a report serves as well.
	report(ctx context.Context, name string, opts *cos.Options) (*cos.NodeReport, error)
}

// stored are images in files and on servers.
type stored struct{}

func (stored) open(ctx context.Context, name string, opts *cos.Options) (*cos.Node, func() error, error) {
	n, err := cos.OpenNode(ctx, cos.File(name), opts)
	if err != nil {
		return nil, nil, err
	}
	return n, n.Close, nil
}

func (stored) report(ctx context.Context, name string, opts *cos.Options) (*cos.NodeReport, error) {
	return cos.AnalyzeNode(ctx, cos.File(name), opts)
}
