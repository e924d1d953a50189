package remote

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/nodelens/nodelens/symbols"
)

// Debuginfod are servers that give debug information by build id (debuginfod(8)).
type Debuginfod struct {
	// URLs are the servers, in the order in which to ask. Nil: none; see DebuginfodURLs.
	URLs []string

	// Client fetches. Nil: the zero Client.
	Client *Client
}

// errAbsent says that a server was asked a short while ago.
var errAbsent = fmt.Errorf("%w: the server said so less than %v ago", symbols.ErrNothing, symbols.NegativeAge)

// DebuginfodURLs returns the servers that the user has in DEBUGINFOD_URLS, as the other
// clients of debuginfod read it: separated by spaces, with words such as ima:enforcing
// between them, which are passed over.
func DebuginfodURLs() []string {
	var urls []string
	for word := range strings.FieldsSeq(os.Getenv("DEBUGINFOD_URLS")) {
		if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") {
			urls = append(urls, word)
		}
	}
	return urls
}

// String implements [symbols.Source].
func (s *Debuginfod) String() string { return "debuginfod" }

// Find implements [symbols.Source]: it yields what the servers have for the build id of
// the kernel. Kernels whose VMCOREINFO says none, or another one, can't be found so.
func (s *Debuginfod) Find(ctx context.Context, k *symbols.Kernel) iter.Seq2[*symbols.Candidate, error] {
	return func(yield func(*symbols.Candidate, error) bool) {
		id, err := k.BuildID(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		if id == "" {
			return
		}
		for _, server := range s.URLs {
			if !s.offer(ctx, k, server, id, yield) {
				return
			}
		}
	}
}

// offer yields what one server has. That it has nothing is remembered.
func (s *Debuginfod) offer(ctx context.Context, k *symbols.Kernel, server, id string, yield func(*symbols.Candidate, error) bool) bool {
	c := s.Client.get()
	url := strings.TrimRight(server, "/") + "/buildid/" + id + "/debuginfo"
	if c.absent(server, id) {
		return yield(&symbols.Candidate{Name: shown(url)}, errAbsent)
	}
	d, err := c.fetch(ctx, url, k)
	if isMissing(err) {
		c.setAbsent(server, id)
		err = fmt.Errorf("%w: %w", symbols.ErrNothing, err)
	}
	if err != nil {
		return yield(&symbols.Candidate{Name: shown(url)}, err)
	}
	defer d.discard()
	return yield(&symbols.Candidate{Name: shown(url), Content: d.file, Size: d.done}, nil)
}
