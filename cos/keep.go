package cos

import (
	"fmt"
	"slices"
	"time"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/keep"
)

// A Keep says where [AnalyzeNode] keeps what it read of an image, so that the next report of the same image, with any sections that were
// read before, is there at once: it is the same, but for what Provenance says of the program.
//
// What is kept is never trusted: see package internal/keep. It is used only for the same file, by the same program with the same options, and it has no
// more secrets than a report has by default. Nothing is kept of what may be another the next time: of a running machine, of an image on a server
// or one that lost something itself, of one whose symbols are not all its own, and of reports with options that show or compare more than the image has.
type Keep struct {
	// Dir is the directory, which is made for the user alone where it is missing.
	Dir string
	// Program tells the program from others, and from other builds of it. Empty: nothing is kept.
	Program string
	// Own reports whether what [Kernel].Symbols says means that the image's own symbols were taken, and no others before or besides.
	Own func(symbols string) bool
}

// How much is kept, in bytes: of all reports together, and of one part of a report.
const (
	maxKept    = 1 << 30
	maxKeptOne = 256 << 20
)

// kept is where the parts of the reports of one image are.
type kept struct {
	dir      keep.Dir
	name     string // of the image
	identity string
	opts     *Options
}

// keptOf returns where reports of an image are kept; nil if none are.
func keptOf(img Image, opts *Options) *kept {
	if opts == nil || opts.Keep == nil || opts.Keep.Dir == "" || opts.Keep.Program == "" || opts.Keep.Own == nil || img.name == "" || image.IsURL(img.name) || opts.wantsMore() {
		return nil
	}
	id, err := keep.Identity(img.name)
	if err != nil {
		return nil // opening it will tell
	}
	return &kept{keep.Dir{Path: opts.Keep.Dir, Most: maxKept, One: maxKeptOne}, img.name, id, opts}
}

// wantsMore reports whether a report is of more than the image, or shows what is else hidden.
func (o *Options) wantsMore() bool {
	return o.Symbols != nil || o.SymbolFile != "" || o.Vmlinux != "" || o.ModuleFiles != "" || o.Hash || o.Secrets || o.SecretKey != nil
}

// key returns the key of a part of a report.
func (k *kept) key(part string) string {
	o := k.opts
	return fmt.Sprintf("report\n%s\n%s\n%s\n%q %s\n%q %d %+v", part, Schema, o.Keep.Program, k.name, k.identity, o.Format, o.TaskScan, o.Limits)
}

// basePart is the name of the part that every report has. Those of sections have their names.
const basePart = ""

// A keptBase is what every report has.
type keptBase struct {
	Image  keptImage  `json:"image"`
	Clock  time.Time  `json:"clock"`
	From   string     `json:"from"`
	Notes  []string   `json:"notes"` // of opening the kernel
	Report NodeReport `json:"report"`
}

// A keptImage is an [image.Info].
type keptImage struct {
	Name        string   `json:"name"`
	Size        int64    `json:"size"`
	Format      string   `json:"format"`
	Compression string   `json:"compression"`
	ETag        string   `json:"etag"`
	Notes       []string `json:"notes"`
}

// load returns the report if all parts of it are kept; nil if one is not.
func (k *kept) load() *NodeReport {
	if k == nil {
		return nil
	}
	var base keptBase
	if !k.get(basePart, &base) {
		return nil
	}
	p := &parts{base: base.Report}
	for i, name := range sectionNames {
		if k.opts.Sections&(1<<i) == 0 {
			continue
		}
		p.sections[i] = new(section)
		if !k.get(name, p.sections[i]) {
			return nil
		}
	}
	info := image.Info(base.Image)
	origin, notes := provenance(&info, k.opts)
	return p.report(&frame{provenance: origin, clock: base.Clock, from: base.From, notes: slices.Concat(info.Notes, notes, base.Notes)})
}

func (k *kept) get(part string, v any) bool {
	b := k.dir.Get(k.key(part))
	return b != nil && jsonx.Unpack(b, v) == nil
}

// save keeps a report that was read, if it will be the same the next time. It is a cache: what can't be kept is read again.
func (k *kept) save(n *Node, p *parts) {
	if k == nil {
		return
	}
	f := n.frame()
	if len(f.gaps)+len(n.kernel.Symbols().Lost()) > 0 || n.kernel.Live() || p.drawn || !k.opts.Keep.Own(f.from) {
		return
	}
	if id, err := keep.Identity(k.name); err != nil || id != k.identity {
		return // it was written to meanwhile
	}
	k.put(basePart, keptBase{keptImage(n.image.Info), f.clock, f.from, n.kernel.Notes, p.base})
	for i, s := range p.sections {
		if s != nil {
			k.put(sectionNames[i], s)
		}
	}
}

func (k *kept) put(part string, v any) {
	if b, err := jsonx.Pack(v); err == nil {
		_ = k.dir.Put(k.key(part), b)
	}
}
