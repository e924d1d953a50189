package btfconv

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// Options are the settings of Convert. A nil pointer means the zero value.
type Options struct {
	// Banner is the text of linux_banner, which /proc/version shows. A database
	// without it can't be told from that of another kernel. "" leaves it out.
	Banner string
	// Base is the BTF of the kernel, where that to convert is of a module, which is
	// split from it. The database then has the types of both. nil: not split.
	Base io.ReaderAt
	// KASLRShift is subtracted from the symbols' addresses, as they are to be those
	// that the kernel was linked with. 0 means the difference between _text and where
	// almost all kernels link it, 0xffffffff81000000, or 0 where phys_startup_64, which
	// System.map has, says that the kernel is linked elsewhere.
	KASLRShift uint64
}

// Convert makes a symbol database of BTF and a list of symbols, of one kernel.
//
// btf is raw BTF, as /sys/kernel/btf/vmlinux has it, or an ELF file with a section
// .BTF, such as vmlinux. symbols is text: System.map, or /proc/kallsyms as root
// reads it; the symbols of modules are left out, and of several with one name a
// global one is kept, else the one at the lowest address. nil symbols give a
// database of types only.
//
// A record of the BTF that is damaged, or newer than this package, costs that type and
// the members that are of it; [isf.File.Lost] lists them, as a [vmem.Gap] each that wraps
// ErrDamaged or ErrUnknown. If hardly anything is left it is an error: then it may not be what it was
// taken for, such as the BTF of a module without its base.
// Errors wrap ErrDamaged or ErrNotFound, or are those of reading.
func Convert(btf io.ReaderAt, symbols io.Reader, opts *Options) (*isf.File, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	t, err := readTypes(btf, o.Base)
	if err == nil && t.recovered && t.left() < len(t.data)/btfRecordSize/minLeft {
		err = damaged("type section", 0, "%d types are left", t.left())
	}
	if err != nil {
		return nil, fmt.Errorf("btfconv: %w", err)
	}
	c, vars := convertTypes(t)
	if symbols != nil {
		list, err := parseSymbols(symbols)
		if err != nil {
			return nil, fmt.Errorf("btfconv: %w", err)
		}
		if hasSymbol(list, "init_task") && !hasType(&c, "task_struct") {
			c.Lost = append(c.Lost, errNoTask)
		}
		c.Symbols = typedSymbols(newSymbolTable(list, nil), &kernelImage{shift: o.shift(list)}, vars, &c)
	}
	setBanner(&c, o.Banner)
	f, err := isf.New(c)
	if err != nil {
		return nil, fmt.Errorf("btfconv: %w: %w", ErrDamaged, err)
	}
	return f, nil
}

// minLeft is one of how many 12 bytes of types has to be a type that is not lost: of BTF that is
// whole, half of them are.
const minLeft = 16

// errNoTask is what is wrong with BTF that is not the kernel's own, such as that of a module
// or of a BPF program.
var errNoTask = fmt.Errorf("btfconv: struct task_struct in the BTF: %w: give /sys/kernel/btf/vmlinux, or the .BTF section of the vmlinux", ErrNotFound)

func hasType(c *isf.Contents, name string) bool {
	return slices.ContainsFunc(c.Types, func(u isf.UserType) bool { return u.Name == name })
}

// shift returns what to subtract from addresses.
func (o *Options) shift(symbols []kernelSymbol) uint64 {
	if o.KASLRShift != 0 {
		return o.KASLRShift
	}
	addr := map[string]uint64{}
	for i := range symbols {
		switch name := symbols[i].name; name {
		case "_text", "startup_64", "phys_startup_64":
			addr[name] = symbols[i].addr
		}
	}
	if phys, ok := addr["phys_startup_64"]; ok && addr["startup_64"] != 0 {
		return addr["startup_64"] - startKernelMap - phys
	}
	if addr["_text"] < linkedText {
		return 0
	}
	return addr["_text"] - linkedText
}

// readTypes reads BTF, and the BTF it is split from.
func readTypes(btf, base io.ReaderAt) (*btfTypes, error) {
	var parent *btfTypes
	if base != nil {
		b, err := readFile(base)
		if err != nil {
			return nil, err
		}
		if parent, err = parseBTF(b, nil, btfPlace{}); err != nil {
			return nil, err
		}
	}
	b, err := readFile(btf)
	if err != nil {
		return nil, err
	}
	return parseBTF(b, parent, btfPlace{})
}

// readFile returns the BTF of an ELF file, or a raw one.
func readFile(r io.ReaderAt) ([]byte, error) {
	head := make([]byte, btfHeaderSize+8)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return readELF(r)
	}
	h, err := parseBTFHeader(head[:n])
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(r, 0, int64(h.total())))
}

// errDistilled: BTF that is split from an excerpt of the kernel's (since 6.11, for modules
// that are not built with the kernel), and not from that itself.
var errDistilled = errors.New("BTF that is split from a distilled base (.BTF.base), which is not supported")

func readELF(r io.ReaderAt) ([]byte, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if f.Section(".BTF.base") != nil { // against the whole kernel's, its numbers mean other types
		return nil, errDistilled
	}
	section := f.Section(".BTF")
	if section == nil {
		return nil, fmt.Errorf("ELF section .BTF: %w", ErrNotFound)
	}
	return io.ReadAll(io.LimitReader(section.Open(), maxBTFSize))
}

// setBanner sets the text of linux_banner, which ends with a newline and NUL.
func setBanner(c *isf.Contents, banner string) {
	if banner == "" {
		return
	}
	for i := range c.Symbols {
		if c.Symbols[i].Name == "linux_banner" {
			c.Symbols[i].ConstantData = append(bytes.TrimRight([]byte(banner), "\n\x00"), "\n\x00"...)
		}
	}
}
