package variednode

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// A Kind says what is the matter with an image.
type Kind string

// The kinds of images.
const (
	Sound   Kind = "sound"
	Damaged Kind = "damaged" // parts are overwritten or missing
	Hostile Kind = "hostile" // names are made to do harm
)

// A Node is an image that was made, and what is in it.
type Node struct {
	Path     string
	Kind     Kind
	Hostname string // any bytes but NUL
	Process  string // what the process is called that is Process in the base; likewise
}

// hostile are host names and names of processes that do harm where they get out of text.
var hostile = []struct{ hostname, process string }{
	{"node'); DROP TABLE nodes;--\x1b[2J\xff\xfe", "\xed\xa0\x80\x1b]0;x\x07\xff\\x41"},
	{"<script>\u202e\n\xc0\xaf=cmd|'/c calc'!A0\\", "../../\n\xff{{.}}"},
}

// Plan returns what the i-th of many images is: of each ten one is damaged, of each 25 one hostile, and of each five one has a process whose name is not UTF-8.
func Plan(i int) Node {
	n := Node{Kind: Sound, Hostname: fmt.Sprintf("node-%04d", i), Process: fmt.Sprintf("httpd-%d", i%7)}
	switch {
	case i%10 == 3:
		n.Kind = Damaged
	case i%25 == 7:
		h := hostile[i/25%len(hostile)]
		n.Kind, n.Hostname, n.Process = Hostile, h.hostname, h.process
	case i%5 == 1:
		n.Process = fmt.Sprintf("caf\xe9-%d", i%7)
	}
	return n
}

// Make writes the i-th image into a directory, as Plan has it.
func (b *Base) Make(dir string, i int) (n Node, err error) {
	n = Plan(i)
	n.Path = filepath.Join(dir, fmt.Sprintf("node-%04d.lime.lz4", i))
	f, err := os.OpenFile(n.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	patches := append(fill(b.hostname, n.Hostname, MaxHostname+1), fill(b.comm, n.Process, MaxProcess+1)...)
	if n.Kind == Damaged {
		patches = append(patches, b.damage(i)...)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(b.write(w, patches), w.Flush()); err != nil {
		return n, err
	}
	if n.Kind == Damaged && i/10%3 == 1 {
		return n, f.Truncate(int64(len(b.file)) / 5 * 4)
	}
	return n, nil
}

// fill returns the patches that put a name to offsets, with NULs up to size bytes.
func fill(offsets []int64, name string, size int) []patch {
	field := make([]byte, size)
	copy(field[:size-1], name)
	var patches []patch
	for _, at := range offsets {
		patches = append(patches, patch{at, field})
	}
	return patches
}

// How much damage there is.
const (
	pageSize  = 4 << 10
	badPages  = 60
	lostBytes = 8 << 20
)

// damage returns what is overwritten in a damaged image: pages with random bytes, or an area with zeros; what is cut off has none.
func (b *Base) damage(i int) []patch {
	r := rand.New(rand.NewPCG(uint64(i), 1)) //nolint:gosec // the same each time
	switch i / 10 % 3 {
	case 0:
		var patches []patch
		for range badPages {
			page := make([]byte, pageSize)
			for j := range page {
				page[j] = byte(r.Uint32())
			}
			patches = append(patches, patch{r.Int64N(b.size/pageSize) * pageSize, page})
		}
		return patches
	case 1:
		return nil
	}
	return []patch{{b.size / 4 / pageSize * pageSize, make([]byte, lostBytes)}} // among the kernel's objects: losses further up can be of files alone
}
