package swap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Options are the settings of Open. A nil pointer means the zero value.
type Options struct {
	// Modules are the modules of the kernel, of which zram and zsmalloc can be. Nil: they are read if there is a swap area on zram.
	Modules *module.Set
	// Files are the contents of swap areas, by the number that a swap entry has: what the disk holds, from the header on. Pages of these are read
	// if they are not in memory.
	Files map[uint8]io.ReaderAt
}

// An Area is a swap area that is in use, as a line of /proc/swaps.
type Area struct {
	Number      uint8    // that swap entries have
	Name        string   // its path
	File        bool     // it is a file; otherwise a device
	Pages       uint64   // that can be used
	Used        uint64   // pages that are in use
	Priority    int16    //
	Compression []string // what zram compresses by; of several, the first is for all pages, and others for some that were compressed anew
	Address     vmem.VirtAddr
}

// A Reader reads swapped pages of one kernel. It is immutable and safe for concurrent use.
type Reader struct {
	k     *linux.Kernel
	mem   *vmem.AddressSpace
	views views
	areas [vmem.SwapTypeCount]*area
	gaps  []vmem.Gap
	pages *linux.Pages
}

// An area is a swap area, and what its pages are read from.
type area struct {
	Area
	info  infoStruct
	zram  *zram
	file  io.ReaderAt
	err   error // why its content can't be read, if it is neither
	start uint64

	spaces   vmem.VirtAddr // address spaces of its swap cache
	cacheErr error         // why these are not known, where the kernel has them
}

// Bits of swap_info_struct.flags (include/linux/swap.h).
const (
	swpUsed   = 1 << 0
	swpDevice = 1 << 6
)

// Open reads which swap areas a kernel has. What was lost of them is among [Reader.Gaps]. The error is the context's own, or a [vmem.Gap] where
// the kernel's types or its table of swap areas are lost; a kernel without swap has no areas.
func Open(ctx context.Context, k *linux.Kernel, opts *Options) (*Reader, error) {
	var o Options // the caller's own stays as it is
	if opts != nil {
		o = *opts
	}
	r := &Reader{k: k, mem: k.Space(), views: bindViews(k.Symbols())}
	_, noType := k.Symbols().UserType("swap_info_struct")
	if _, noTable := k.Symbol("swap_info"); noType != nil && noTable != nil {
		return r, nil //nolint:nilerr // a kernel without CONFIG_SWAP has neither
	}
	array, typ, err := k.Objects().Symbol("swap_info")
	if err == nil {
		err = r.views.err
	}
	if err != nil {
		return nil, vmem.NewGap("swap areas", vmem.Place{}, err)
	}
	r.pages, _ = k.Pages() // what needs them says so
	count := uint64(vmem.SwapTypeCount)
	if typ != nil && typ.Count > 0 {
		count = min(count, typ.Count)
	}
	for i := range count {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("swap: %w", err)
		}
		at, err := r.mem.Uint64(array + vmem.VirtAddr(8*i))
		switch {
		case err == nil && at == 0:
			continue
		case err == nil && !x86.IsObject(vmem.VirtAddr(at)):
			if typ == nil || typ.Count == 0 {
				return r, nil // how long the array is is not known: here are other things
			}
			err = corrupt("swap_info_struct pointer %#x", at)
		}
		if err == nil {
			err = r.open(ctx, uint8(i), vmem.VirtAddr(at), &o)
		}
		if err != nil {
			r.lose(fmt.Sprintf("swap area %d", i), array+vmem.VirtAddr(8*i), err)
		}
	}
	return r, ctx.Err()
}

func (r *Reader) lose(object string, at vmem.VirtAddr, err error) {
	r.gaps = append(r.gaps, vmem.NewGap(object, vmem.KernelPlace(at), err))
}

// open reads the swap area of a number, unless it is not in use.
func (r *Reader) open(ctx context.Context, number uint8, at vmem.VirtAddr, opts *Options) (err error) {
	a := &area{Area: Area{Number: number, Address: at}, file: opts.Files[number]}
	if a.info, err = r.views.info.Load(r.mem, at); err != nil || a.info.Flags&swpUsed == 0 || a.info.Max == 0 {
		return err
	}
	r.areas[number] = a
	a.Pages, a.Priority, a.File = uint64(a.info.Pages), a.info.Priority, a.info.Flags&swpDevice == 0
	if a.Used, err = r.used(at); err != nil {
		r.lose(fmt.Sprintf("use of swap area %d", number), at, err)
	}
	if a.Name, err = r.name(a.info.File); err != nil {
		r.lose(fmt.Sprintf("name of swap area %d", number), at, err)
	}
	if a.spaces, a.cacheErr = r.findCache(a); a.cacheErr != nil {
		r.lose("cache of swap area "+a.label(), at, a.cacheErr)
	}
	a.err = fmt.Errorf("%w: to %s, which is not in the image", vmem.ErrSwapped, a.label())
	if !a.File {
		if err := r.openDevice(ctx, a, opts); err != nil {
			a.err = err
			r.lose("device of swap area "+a.label(), a.info.Device, err)
		}
	}
	return ctx.Err()
}

// label names the area.
func (a *area) label() string {
	if a.Name == "" {
		return fmt.Sprintf("swap area %d", a.Number)
	}
	return a.Name
}

// offlist is a bit of inuse_pages that says that the area takes no more pages (SWAP_USAGE_OFFLIST_BIT of mm/swapfile.c).
const offlist = 1 << 30

func (r *Reader) used(at vmem.VirtAddr) (uint64, error) {
	if r.views.used != nil {
		n, err := r.views.used.Load(r.mem, at)
		return uint64(n), err
	}
	n, err := r.views.usedNow.Load(r.mem, at)
	return uint64(n) &^ offlist, err
}

func (r *Reader) name(file vmem.VirtAddr) (string, error) {
	mnt, err := r.views.mnt.Load(r.mem, file)
	if err != nil {
		return "", err
	}
	dentry, err := r.views.dentry.Load(r.mem, file)
	if err != nil {
		return "", err
	}
	return r.k.Path(mnt, dentry)
}

// sectors is how many sectors a page has on a device.
const sectors = vmem.PageSize / 512

// openDevice finds the device of zram that an area is on, if it is one.
func (r *Reader) openDevice(ctx context.Context, a *area, opts *Options) error {
	at, err := r.views.bdDisk.Load(r.mem, a.info.Device)
	if err != nil {
		return err
	}
	disk, err := r.views.disk.Load(r.mem, at)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(disk.Name[:]), "zram") {
		return nil
	}
	if r.views.start.Ok() {
		sector, err := r.views.start.Load(r.mem, a.info.Device)
		if err != nil || sector%sectors != 0 {
			return corrupt("a partition that begins at sector %d (%v)", sector, err)
		}
		a.start = sector / sectors
	}
	if opts.Modules == nil {
		if opts.Modules, err = module.Open(ctx, r.k, nil); err != nil {
			return err
		}
	}
	a.zram, err = r.openZram(opts.Modules, disk.Private)
	if err == nil {
		a.Compression = a.zram.names()
	}
	return err
}

// Areas returns the swap areas that are in use, by number.
func (r *Reader) Areas() (all []Area) {
	for _, a := range r.areas {
		if a != nil {
			all = append(all, a.Area)
		}
	}
	return all
}

// Gaps returns what was lost of the swap areas.
func (r *Reader) Gaps() []vmem.Gap { return r.gaps }

// Readable reports whether a page is somewhere from where ReadPage reads: nil, or the error that this would give. It does not
// decompress it.
func (r *Reader) Readable(number uint8, offset uint64) error {
	var p place
	return r.find(number, offset, &p)
}

// ReadPage reads a page into p, which is vmem.PageSize long. The error wraps [vmem.ErrSwapped] where the page is not in the image,
// [kstruct.ErrUnsupported] where it is, in a form that can't be read, and [kstruct.ErrCorrupt] where what should be it is something else.
func (r *Reader) ReadPage(p []byte, number uint8, offset uint64) error {
	if len(p) != vmem.PageSize {
		return fmt.Errorf("swap: a page of %d bytes", len(p))
	}
	var at place
	err := r.find(number, offset, &at)
	if err == nil {
		err = r.read(p, &at)
	}
	if err != nil {
		return fmt.Errorf("swap: page %d of area %d: %w", offset, number, err)
	}
	return nil
}

// A place is where a page is.
type place struct {
	kind   placeKind
	phys   vmem.PhysAddr // cached
	word   uint64        // filled: what it is filled with
	zram   *zram
	slot   slotStruct
	object object
	file   io.ReaderAt
	offset int64 // in the file
}

type placeKind uint8

const (
	cached placeKind = iota
	filled
	compressed
	inFile
)

// find finds out where a page is: in the order in which the kernel looks (swap_read_folio of mm/page_io.c).
func (r *Reader) find(number uint8, offset uint64, p *place) error {
	var a *area
	if int(number) < len(r.areas) {
		a = r.areas[number]
	}
	if a == nil {
		return fmt.Errorf("%w: swap area %d is not known", vmem.ErrSwapped, number)
	}
	if offset >= uint64(a.info.Max) || offset == 0 {
		return corrupt("page %d of a swap area of %d pages", offset, a.info.Max)
	}
	if ok, err := r.findInMemory(a, offset, p); err != nil || ok {
		return err
	}
	if err := r.mayBeInZswap(); err != nil {
		return err
	}
	switch {
	case a.zram != nil:
		return r.findInZram(a.zram, a.start+offset, p)
	case a.file != nil:
		p.kind, p.file, p.offset = inFile, a.file, int64(offset)*vmem.PageSize
		return nil
	}
	return a.err
}

// mayBeInZswap says so if zswap has pages: it takes them before the swap area does, and what that has in their place is of another time.
func (r *Reader) mayBeInZswap() error {
	at, err := r.k.Symbol("zswap_stored_pages")
	if err != nil {
		return nil //nolint:nilerr // there is no zswap
	}
	n, err := r.mem.Uint64(at)
	if err == nil && n == 0 {
		return nil
	}
	return fmt.Errorf("%w: it may be in zswap, which is not read", kstruct.ErrUnsupported)
}

// read reads the page at a place.
func (r *Reader) read(p []byte, at *place) error {
	switch at.kind {
	case cached:
		_, err := r.k.Physical().ReadAt(p, int64(at.phys))
		return err
	case filled:
		fill(p, at.word)
		return nil
	case inFile:
		n, err := at.file.ReadAt(p, at.offset)
		if n == len(p) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: the swap file that is given ends before", vmem.ErrSwapped)
		}
		return err
	}
	return r.readCompressed(p, at)
}

// fill fills a page with a word.
func fill(p []byte, word uint64) {
	var b [8]byte
	for i := range b {
		b[i] = byte(word >> (8 * i))
	}
	copy(p, bytes.Repeat(b[:], len(p)/len(b)))
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}
