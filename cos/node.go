package cos

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/linux"
)

// A Node is a node whose memory image is open, and whose kernel was found. It is safe for
// concurrent use.
type Node struct {
	image  *image.File
	kernel *image.Kernel
	owned  bool // the image is to be closed

	provenance Provenance // but for the kernel's clock
	notes      []string   // on the provenance
}

// OpenNode opens a memory image and finds the kernel in it. The caller must Close the Node.
// It fails where AnalyzeNode does.
func OpenNode(ctx context.Context, img Image, opts *Options) (*Node, error) {
	if opts == nil {
		opts = new(Options)
	}
	settings := opts.image()
	n := &Node{owned: img.mem == nil}
	var err error
	if n.image, err = img.open(ctx, settings); err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	if n.kernel, err = image.OpenKernel(ctx, n.image, settings); err != nil {
		if _, told := errors.AsType[*image.Error](err); !told {
			err = fmt.Errorf("%w%s", err, notWhole(n.image))
		}
		return nil, cmp.Or(fmt.Errorf("cos: %w", err), n.Close())
	}
	if err := n.trace(ctx, opts); err != nil {
		return nil, cmp.Or(fmt.Errorf("cos: %w", err), n.Close())
	}
	return n, nil
}

// trace finds out where the image is from.
func (n *Node) trace(ctx context.Context, opts *Options) (err error) {
	n.provenance, n.notes = provenance(&n.image.Info, opts)
	if !opts.Hash || n.provenance.Size == 0 || n.provenance.Image == "" {
		return nil
	}
	note, err := n.provenance.hash(ctx, opts.Progress)
	if note != "" {
		n.notes = append(n.notes, note)
	}
	return err
}

// open opens the image, unless the caller has.
func (i Image) open(ctx context.Context, opts *image.Options) (*image.File, error) {
	switch m := i.mem.(type) {
	case nil:
		return image.Open(ctx, i.name, opts)
	case *image.File:
		return m, nil
	default:
		return &image.File{Memory: m}, nil
	}
}

// Report reads what ran on the node. Of an image that stays as it is, every report is the
// same, but for damage that reading has met since.
func (n *Node) Report(ctx context.Context) (*NodeReport, error) {
	r, err := report(ctx, n.kernel.Kernel)
	if err != nil {
		return nil, err
	}
	n.complete(r)
	return r, nil
}

// Kernel returns the node's kernel.
func (n *Node) Kernel() *linux.Kernel { return n.kernel.Kernel }

// Image says what the image was found to be. Of memory that the caller has opened it is
// empty, unless that is an [image.File].
func (n *Node) Image() image.Info { return n.image.Info }

// Close releases the image, unless the caller has opened it.
func (n *Node) Close() error {
	if !n.owned {
		return nil
	}
	return n.image.Close()
}
