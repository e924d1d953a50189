package symbols

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// ErrNoBuildID is the reason for an ELF file that has no build id.
var ErrNoBuildID = errors.New("no build id")

// Limits on what is read of ELF files.
const (
	maxSections = 1 << 16  // a kernel has less than a hundred
	maxNotes    = 64 << 10 // bytes of one section of notes
	maxNames    = 1 << 20  // bytes of the names of sections
	maxRodata   = 32 << 20 // bytes of .rodata that are searched for the banner
)

// BuildID returns the build id of an ELF file in lower-case hexadecimal: what ld --build-id
// puts into the note .note.gnu.build-id (NT_GNU_BUILD_ID of elf.h). Where there are no
// sections it is looked for by the program headers.
//
// It reads some hundred bytes in a few places, so that r can be a file elsewhere. The
// error wraps ErrNoBuildID, says how the file is malformed, or is that of r.
func BuildID(r io.ReaderAt, size int64) (string, error) {
	e, err := readELF(r, size)
	if err != nil {
		return "", fmt.Errorf("symbols: %w", err)
	}
	id, err := e.buildID()
	if err != nil {
		return "", fmt.Errorf("symbols: %w", err)
	}
	return id, nil
}

// An elfFile is what there is to know of an ELF file without reading much of it.
type elfFile struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	head  elf.Header64
}

var errELF = errors.New("malformed ELF file")

// readELF reads the header of a 64-bit ELF file.
func readELF(r io.ReaderAt, size int64) (*elfFile, error) {
	b := make([]byte, binary.Size(elf.Header64{}))
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%w: %w", errELF, err)
	}
	e := &elfFile{r: r, size: size, order: binary.LittleEndian}
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		e.order = binary.BigEndian
	}
	if !bytes.HasPrefix(b, []byte(elf.ELFMAG)) || elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%w: no 64-bit ELF header", errELF)
	}
	_, err := binary.Decode(b, e.order, &e.head)
	return e, err
}

// read reads n bytes at off, of a file that must have them.
func (e *elfFile) read(off, n uint64) ([]byte, error) {
	if off > uint64(e.size) || n > uint64(e.size)-off || n > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d bytes at %#x, beyond its end", errELF, n, off)
	}
	b := make([]byte, n)
	if read, err := e.r.ReadAt(b, int64(off)); read < len(b) {
		return nil, fmt.Errorf("%w: %w", errELF, err)
	}
	return b, nil
}

// table reads the headers of sections or of segments: count of entries of the size of T.
func table[T any](e *elfFile, off uint64, count, size uint16) ([]T, error) {
	var one T
	if int(size) != binary.Size(one) || int(count) > maxSections {
		return nil, fmt.Errorf("%w: %d headers of %d bytes", errELF, count, size)
	}
	b, err := e.read(off, uint64(count)*uint64(size))
	if err != nil {
		return nil, err
	}
	list := make([]T, count)
	_, err = binary.Decode(b, e.order, list)
	return list, err
}

// sections returns the headers of the sections, by name. Where several have one name the
// first counts.
func (e *elfFile) sections() (map[string]elf.Section64, error) {
	if e.head.Shoff == 0 {
		return nil, nil
	}
	list, err := table[elf.Section64](e, e.head.Shoff, e.head.Shnum, e.head.Shentsize)
	if err != nil {
		return nil, err
	}
	if int(e.head.Shstrndx) >= len(list) || list[e.head.Shstrndx].Size > maxNames {
		return nil, fmt.Errorf("%w: names of sections in section %d", errELF, e.head.Shstrndx)
	}
	names, err := e.read(list[e.head.Shstrndx].Off, list[e.head.Shstrndx].Size)
	if err != nil {
		return nil, err
	}
	byName := map[string]elf.Section64{}
	for _, s := range list {
		name, _, _ := bytes.Cut(names[min(int(s.Name), len(names)):], []byte{0})
		if _, ok := byName[string(name)]; !ok {
			byName[string(name)] = s
		}
	}
	return byName, nil
}

// buildID finds the note in its own section, in .notes where the kernel's linker script
// puts it, or in a segment of notes.
func (e *elfFile) buildID() (string, error) {
	sections, err := e.sections()
	if err != nil {
		return "", err
	}
	for _, name := range []string{".note.gnu.build-id", ".notes"} {
		s, ok := sections[name]
		if !ok || elf.SectionType(s.Type) != elf.SHT_NOTE {
			continue
		}
		if id, err := e.buildIDAt(s.Off, s.Size); id != "" || err != nil {
			return id, err
		}
	}
	if e.head.Phoff == 0 {
		return "", ErrNoBuildID
	}
	segments, err := table[elf.Prog64](e, e.head.Phoff, e.head.Phnum, e.head.Phentsize)
	if err != nil {
		return "", err
	}
	for _, p := range segments {
		if elf.ProgType(p.Type) != elf.PT_NOTE {
			continue
		}
		if id, err := e.buildIDAt(p.Off, p.Filesz); id != "" || err != nil {
			return id, err
		}
	}
	return "", ErrNoBuildID
}

// buildIDAt finds the build id among n bytes of notes at off; it is empty where there is
// none.
func (e *elfFile) buildIDAt(off, n uint64) (string, error) {
	b, err := e.read(off, min(n, maxNotes))
	if err != nil {
		return "", err
	}
	return findBuildID(b, e.order), nil
}

// findBuildID finds the build id among ELF notes (elf(5), "Notes"): entries of three
// numbers, a name and a descriptor, each padded to 4 bytes.
func findBuildID(b []byte, order binary.ByteOrder) string {
	const (
		header      = 12
		noteBuildID = 3 // NT_GNU_BUILD_ID
	)
	for len(b) >= header {
		name, desc, typ := uint64(order.Uint32(b)), uint64(order.Uint32(b[4:])), order.Uint32(b[8:])
		b = b[header:]
		nameEnd := (name + 3) &^ 3
		end := nameEnd + (desc+3)&^3
		if nameEnd+desc > uint64(len(b)) {
			return ""
		}
		if typ == noteBuildID && string(b[:name]) == "GNU\x00" {
			if id := hex.EncodeToString(b[nameEnd : nameEnd+desc]); isBuildID(id) {
				return id
			}
		}
		b = b[min(end, uint64(len(b))):]
	}
	return ""
}

// banners returns the banners in a kernel's read-only data.
func (e *elfFile) banners(ctx context.Context) ([]string, error) {
	sections, err := e.sections()
	if err != nil {
		return nil, err
	}
	s, ok := sections[".rodata"]
	if !ok || elf.SectionType(s.Type) == elf.SHT_NOBITS { // of a file of debug information alone
		return nil, nil
	}
	var found []string
	for off := uint64(0); off < min(s.Size, maxRodata) && len(found) == 0; off += scanChunk {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b, err := e.read(s.Off+off, min(s.Size-off, scanChunk+maxBanner))
		if err != nil {
			return nil, err
		}
		for text := range banners(b) {
			found = keep(found, text)
		}
	}
	return found, nil
}

// precheck holds a candidate against the image before it is converted. Only an ELF file
// that is not compressed can be; what says nothing against it passes.
func (k *Kernel) precheck(ctx context.Context, c *Candidate) error {
	if k == nil { // there is none to hold it against
		return nil
	}
	if err := k.CheckELF(ctx, c.Content, c.Size); errors.Is(err, ErrMismatch) || ctx.Err() != nil {
		return err
	}
	return nil
}

// CheckELF holds a vmlinux, or its debug information in a file of its own, against what
// the image says about its kernel, without reading much of it: some hundred bytes for the
// build id, and where that differs up to some megabytes for the banner. For VMCOREINFO of
// some kernels has the build id of something else, and a file with the banner of the
// image is right whatever its build id is.
//
// The error is a *MismatchError, or says why the file could not be read, or that it has
// nothing to compare: that one wraps ErrNoBuildID.
func (k *Kernel) CheckELF(ctx context.Context, r io.ReaderAt, size int64) error {
	want, err := k.BuildID(ctx)
	if err != nil {
		return err
	}
	e, err := readELF(r, size)
	if err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	have, err := e.buildID()
	switch {
	case err != nil && !errors.Is(err, ErrNoBuildID):
		return fmt.Errorf("symbols: %w", err)
	case have != "" && have == want:
		return nil
	}
	of, err := e.banners(ctx)
	if err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	if len(of) > 0 {
		return k.checkBanners(ctx, of)
	}
	if have == "" || want == "" {
		return fmt.Errorf("symbols: %w", ErrNoBuildID)
	}
	return &MismatchError{What: "build id", Image: want, File: have}
}

// checkBanners looks for any of a file's banners in memory.
func (k *Kernel) checkBanners(ctx context.Context, file []string) error {
	notes, placed, err := k.readNotes(ctx)
	if err != nil {
		return err
	}
	if placed && !slices.ContainsFunc(file, func(b string) bool { return releaseOf(b) == notes.Release() }) {
		return &MismatchError{What: "release", Image: notes.Release(), File: releaseOf(file[0])}
	}
	image, err := k.Banners(ctx)
	if err != nil {
		return err
	}
	for _, b := range file {
		if slices.Contains(image, b) {
			return nil
		}
	}
	return checkBanner(image, strings.Join(file, " or "))
}
