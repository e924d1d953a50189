package main

import (
	"context"
	"path/filepath"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A vmlinux is a file with DWARF that gives the symbols.
type vmlinux struct {
	name     string
	progress func(stage string, done, total int64)
}

// Symbols implements [image.SymbolSource].
func (v *vmlinux) Symbols(ctx context.Context, _ vmem.Memory) (*isf.File, string, error) {
	f, err := dwarfconv.ConvertFile(ctx, v.name, &dwarfconv.Options{Progress: v.progress})
	return f, "vmlinux " + filepath.Base(v.name), err
}
