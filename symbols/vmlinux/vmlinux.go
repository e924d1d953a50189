// Package vmlinux lets package symbols read the DWARF of a vmlinux: plain, compressed,
// or in a package of a distribution. It links package dwarfconv.
//
//	opts := &symbols.Options{Converters: []symbols.Converter{vmlinux.Converter}}
package vmlinux

import (
	"bytes"
	"context"
	"debug/elf"
	"io"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/symbols"
)

// Converter converts a vmlinux by [dwarfconv.Convert].
var Converter symbols.Converter = converter{}

type converter struct{}

func (converter) String() string { return "vmlinux" }

// Detect knows ELF files and packages in the forms of Debian and of RPM. Boot images are among what it knows, for
// dwarfconv says what to take instead.
func (converter) Detect(head []byte) bool {
	for _, magic := range []string{elf.ELFMAG, "!<arch>\n", "\xed\xab\xee\xdb"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return bootImage(head)
}

// bootImage reports whether the file is a bzImage (Documentation/arch/x86/boot.rst, "The
// Real-Mode Kernel Header"). The magic number is beyond what is seen here; the one of
// the boot sector is not.
func bootImage(head []byte) bool {
	return len(head) >= 512 && head[510] == 0x55 && head[511] == 0xaa
}

func (converter) Convert(ctx context.Context, r io.ReaderAt, size int64, opts *symbols.ConvertOptions) (*isf.File, error) {
	return dwarfconv.Convert(ctx, r, size, &dwarfconv.Options{
		Name: opts.Name, TempDir: opts.TempDir, Progress: opts.Progress,
	})
}
