// Package memmap says what the physical memory of a machine is used for: the resources that
// /proc/iomem lists, and the classes of the pages of RAM.
//
// [ParseIOMem] reads the text of /proc/iomem, [SystemRAM] selects the RAM among the
// resources. Package linux finds both in an image: its Kernel.IOMem yields resources, and
// its Pages is a [PageClassifier].
package memmap
