package kcore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/nodelens/nodelens/memmap"
)

// iomemName is the map of physical addresses in the root directory.
const iomemName = "proc/iomem"

// readIOMem reads /proc/iomem of a machine.
func readIOMem(root fs.FS) (text string, resources []memmap.Resource, err error) {
	b, err := fs.ReadFile(root, iomemName)
	if err != nil {
		return "", nil, fmt.Errorf("kcore: %w", err)
	}
	resources, err = memmap.ParseIOMem(b)
	if errors.Is(err, memmap.ErrHidden) {
		err = &Refusal{Err: err, Fix: fixIOMem}
	}
	return string(b), resources, err
}
