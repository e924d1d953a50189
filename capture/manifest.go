package capture

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// Schema names the form of a Manifest in JSON.
const Schema = "nodelens/capture/v1"

// magicManifest is that of the skippable frame that holds a manifest.
const magicManifest = 0x184D2A5E

// A Manifest says how an image was captured, and keeps what image formats have no place
// for. In JSON addresses are hexadecimal strings, sizes are bytes, times RFC 3339.
type Manifest struct {
	Schema string `json:"schema"` // Schema
	Tool   string `json:"tool"`   // who captured: Options.Tool
	Node   Node   `json:"node"`
	Image  Image  `json:"image"`

	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	Order Order     `json:"order"`

	Headers    []kcore.Segment `json:"program_headers"` // of /proc/kcore, in its order
	VMCoreInfo string          `json:"vmcoreinfo"`      // the text, or empty where the kernel gave none
	IOMem      string          `json:"iomem"`           // the text of /proc/iomem

	RAM     []Extent    `json:"ram"`      // System RAM, of /proc/iomem
	Edges   []Extent    `json:"edges"`    // of RAM, less than a page: not in the image, nor used by the kernel
	Pieces  []Piece     `json:"pieces"`   // what was read when, in the order of reading
	Missing []Missing   `json:"missing"`  // RAM that the image lacks though nothing was to be left out there
	LeftOut []ClassSize `json:"left_out"` // what was left out as asked: all RAM that is neither in the image nor in Missing
	Kept    []ClassSize `json:"kept"`     // what was read, of captures that leave something out
	Late    uint64      `json:"late"`     // bytes of Kept that came into use while the rest of their piece was read, and were read after it
	Notes   []string    `json:"notes"`    // what else went other than it should
}

// An Image is the file that was written.
type Image struct {
	Format Format `json:"format"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in lower-case hexadecimal; empty where writing failed
	Memory uint64 `json:"memory"` // bytes of memory that it holds
}

// An Extent is a range of physical memory.
type Extent struct {
	Start vmem.PhysAddr `json:"start"`
	Size  uint64        `json:"size"`
}

// A Piece is memory that was read in one go.
type Piece struct {
	Extent
	Pass   string    `json:"pass"`   // which pages of it were read
	Memory uint64    `json:"memory"` // bytes of it that went into the image
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
}

// Missing is RAM that could not be captured.
type Missing struct {
	Extent
	Reason string `json:"reason"`
}

// A ClassSize is how much memory of a class was left out, or kept. The class is the one
// that the pages had when that was decided.
type ClassSize struct {
	Class memmap.PageClass `json:"class"`
	Pages uint64           `json:"pages"`
	Bytes uint64           `json:"bytes"`
}

// classSizes lists what was counted by class.
func classSizes(pages *[pageClasses]uint64) []ClassSize {
	sizes := []ClassSize{}
	for class, n := range pages {
		if n > 0 {
			sizes = append(sizes, ClassSize{memmap.PageClass(class), n, n * pageSize})
		}
	}
	return sizes
}

// Whole reports whether the image has all that was to be captured.
func (m *Manifest) Whole() bool { return len(m.Missing) == 0 && len(m.Notes) == 0 }

// seal enters what was written.
func (m *Manifest) seal(out *meter) {
	m.Image.Bytes, m.Image.SHA256 = out.n, out.sum()
}

// miss records that r could not be captured, joined to what was missed right before for
// the same reason.
func (m *Manifest) miss(r vmem.Range[vmem.PhysAddr], reason string) {
	if n := len(m.Missing); n > 0 {
		last := &m.Missing[n-1]
		if last.Reason == reason && last.Start+vmem.PhysAddr(last.Size) == r.Start {
			last.Size += r.Size
			return
		}
	}
	m.Missing = append(m.Missing, Missing{Extent{r.Start, r.Size}, reason})
}

func extentsOf(ranges []vmem.Range[vmem.PhysAddr]) []Extent {
	extents := make([]Extent, 0, len(ranges))
	for _, r := range ranges {
		extents = append(extents, Extent{r.Start, r.Size})
	}
	return extents
}

// encodeFrame returns the manifest in a skippable frame. It hashes what comes before.
func (m *Manifest) encodeFrame() ([]byte, error) {
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	le := binary.LittleEndian
	encoded = text.EscapeJSON(encoded)
	head := le.AppendUint32(le.AppendUint32(nil, magicManifest), uint32(len(encoded)))
	return append(head, encoded...), nil
}
