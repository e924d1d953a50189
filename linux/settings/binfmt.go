package settings

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Format is a handler of a binary format, which exec tries one after the other: struct
// linux_binfmt.
type Format struct {
	Name    string        `json:"name"` // of the function that loads a program, as its symbol has it
	Load    vmem.VirtAddr `json:"load"`
	Address vmem.VirtAddr `json:"address"`
}

// A binaryFormat is struct linux_binfmt (include/linux/binfmts.h).
type binaryFormat struct {
	Load vmem.VirtAddr `kernel:"load_binary"`
}

// readFormats reads the list formats of fs/exec.c, which is static.
func (r *reader) readFormats() {
	const object = "binary formats"
	head, ok := r.symbol(object, "formats")
	if !ok {
		return
	}
	w := r.k.Objects().Walk(r.ctx, &kstruct.WalkOptions{Object: object, Nodes: 4096})
	for at, err := range w.Entries(w.List(head), "linux_binfmt", "lh") {
		var f binaryFormat
		if err == nil {
			err = r.views.format.Read(r.k.Space(), at, &f)
		}
		if err != nil {
			r.lose(object, at, cmp.Or(r.views.formatErr, err))
			continue
		}
		r.out.BinaryFormats = append(r.out.BinaryFormats, Format{Name: r.opts.Symbols.Describe(f.Load), Load: f.Load, Address: at})
	}
}

// A MiscFormat is a format that was registered with binfmt_misc, and what runs it.
type MiscFormat struct {
	Name        string        `json:"name"`
	Enabled     bool          `json:"enabled"`
	Interpreter string        `json:"interpreter"`
	Flags       string        `json:"flags"` // P, O, C and F as the file of the format shows them
	Extension   string        `json:"extension" jsonx:"null"`
	Offset      int32         `json:"offset"`             // of the magic number
	Magic       string        `json:"magic" jsonx:"null"` // in hexadecimal
	Mask        string        `json:"mask" jsonx:"null"`
	Address     vmem.VirtAddr `json:"address"`
}

// The bits of the flags of an entry (fs/binfmt_misc.c).
const (
	miscEnabled  = 1 << 0
	miscMagic    = 1 << 1
	miscPreserve = 1 << 31
	miscOpen     = 1 << 30
	miscCred     = 1 << 29
	miscFile     = 1 << 28
)

// The offsets in Node of fs/binfmt_misc.c, a structure without a name, which so has no types; they have been
// these since 2.6.
const (
	miscFlagsAt  = 16
	miscOffsetAt = 24
	miscSizeAt   = 28
	miscMagicAt  = 32
	miscMaskAt   = 40
	miscInterpAt = 48
	miscNameAt   = 56
	miscSize     = 64
	maxMagic     = 128 // BINPRM_BUF_SIZE is 256 at most
)

// readMiscFormats reads the formats of binfmt_misc: its list entries, or since 6.7 that of the initial
// user namespace, where it has been mounted there.
func (r *reader) readMiscFormats() {
	const object = "binfmt_misc"
	head, ok := r.miscFormats(object)
	if !ok {
		return
	}
	w := r.k.Objects().Walk(r.ctx, &kstruct.WalkOptions{Object: object, Nodes: 65536})
	for at, err := range w.List(head) {
		var f MiscFormat
		if err == nil {
			f, err = r.miscFormat(at)
		}
		if err != nil {
			r.lose(object, at, err)
			continue
		}
		r.out.BinfmtMisc = append(r.out.BinfmtMisc, f)
	}
	slices.SortStableFunc(r.out.BinfmtMisc, func(a, b MiscFormat) int { return strings.Compare(a.Name, b.Name) })
}

// miscFormats returns the head of the list.
func (r *reader) miscFormats(object string) (vmem.VirtAddr, bool) {
	types := r.k.Symbols()
	if f, err := types.Field("user_namespace", "binfmt_misc"); err == nil {
		at, ok := r.symbol(object, "init_user_ns")
		if !ok {
			return 0, false
		}
		p, err := r.k.Space().Uint64(at + vmem.VirtAddr(f.Offset))
		if err != nil {
			r.lose(object, at, err)
			return 0, false
		}
		return vmem.VirtAddr(p), p != 0 // struct binfmt_misc begins with its list
	}
	if r.opts.Modules.Find("binfmt_misc") != nil {
		at, err := r.opts.Modules.Symbol("binfmt_misc", "entries")
		if err != nil {
			r.lose(object, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
		}
		return at, err == nil
	}
	if _, err := r.k.Symbol("load_misc_binary"); err != nil {
		return 0, false // neither built in nor loaded
	}
	return r.symbol(object, "entries")
}

// miscFormat reads an entry.
func (r *reader) miscFormat(at vmem.VirtAddr) (f MiscFormat, err error) {
	space := r.k.Space()
	b := make([]byte, miscSize)
	if _, err := space.ReadVirt(b, at); err != nil {
		return f, err
	}
	pointer := func(off int) vmem.VirtAddr { return vmem.VirtAddr(load(b[off:], 8)) }
	flags := load(b[miscFlagsAt:], 8)
	f = MiscFormat{Address: at, Enabled: flags&miscEnabled != 0, Offset: int32(load(b[miscOffsetAt:], 4))} //nolint:gosec // an int
	for _, l := range []struct {
		bit    uint64
		letter string
	}{{miscPreserve, "P"}, {miscOpen, "O"}, {miscCred, "C"}, {miscFile, "F"}} {
		if flags&l.bit != 0 {
			f.Flags += l.letter
		}
	}
	if f.Name, err = space.CString(pointer(miscNameAt), 256); err != nil {
		return f, err
	}
	if f.Interpreter, err = space.CString(pointer(miscInterpAt), maxText); err != nil {
		return f, err
	}
	if flags&miscMagic == 0 {
		f.Extension, err = space.CString(pointer(miscMagicAt), 256)
		return f, err
	}
	size := load(b[miscSizeAt:], 4)
	if size > maxMagic {
		return f, fmt.Errorf("%w: a magic number of %d bytes", kstruct.ErrCorrupt, size)
	}
	magic := make([]byte, size)
	if _, err := space.ReadVirt(magic, pointer(miscMagicAt)); err != nil {
		return f, err
	}
	f.Magic = hex.EncodeToString(magic)
	if mask := pointer(miscMaskAt); mask != 0 {
		_, err = space.ReadVirt(magic, mask)
		f.Mask = hex.EncodeToString(magic)
	}
	return f, err
}
