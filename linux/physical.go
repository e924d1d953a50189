package linux

import "github.com/nodelens/nodelens/vmem"

// Physical returns the physical memory that the kernel was found in, for what looks at
// memory by the frame, such as page tables.
func (k *Kernel) Physical() *vmem.Physical { return k.phys }

// EncryptionMask returns the bits of a page-table entry that say that the page is encrypted,
// and are no part of its address (sme_mask): 0 where memory is not.
func (k *Kernel) EncryptionMask() uint64 { return k.mask }
