package vmem

import "fmt"

// A Gap is a part of an image that is lost: memory that the image says it has and
// does not. It is an error, and wraps the reason.
type Gap struct {
	Range  Range[PhysAddr] // the memory; empty where the image does not say which it was
	Offset int64           // where in the image, in bytes from its start
	Err    error           // why
}

// Error returns the memory, the place in the image and the reason.
func (g *Gap) Error() string {
	if g.Range.Size == 0 {
		return fmt.Sprintf("image offset %#x: %v", g.Offset, g.Err)
	}
	return fmt.Sprintf("physical memory %v, image offset %#x: %v", g.Range, g.Offset, g.Err)
}

// Unwrap returns the reason.
func (g *Gap) Unwrap() error { return g.Err }
