package checkpoint

import "fmt"

func (e *FormatError) Error() string {
	return fmt.Sprintf("file offset %#x: %v", e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *FormatError) Unwrap() error { return e.Err }

func (e *Mismatch) Error() string {
	return fmt.Sprintf("file offset %#x: %s does not fit the content", e.Offset, e.What)
}
