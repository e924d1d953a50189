package capture

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/memmap"
)

// iomemName is the map of physical addresses in the root directory.
const iomemName = "proc/iomem"

// fixIOMem says what to change where the kernel hides addresses.
const fixIOMem = "add CAP_SYS_ADMIN, in the node's own user namespace"

// readIOMem reads /proc/iomem of a machine.
func readIOMem(root fs.FS) (text string, resources []memmap.Resource, err error) {
	b, err := fs.ReadFile(root, iomemName)
	if err != nil {
		return "", nil, fmt.Errorf("capture: %w", err)
	}
	resources, err = memmap.ParseIOMem(b)
	if errors.Is(err, memmap.ErrHidden) {
		err = &kcore.Refusal{Err: err, Fix: fixIOMem}
	}
	return string(b), resources, err
}
