package vmem

// A Live memory may be that of a machine that runs: it changes while it is read, and what
// was read is soon out of date.
type Live interface {
	Memory

	// Live reports whether the machine runs.
	Live() bool
}

// A Lossy memory knows what of it was lost.
type Lossy interface {
	Memory

	// Gaps returns what the image says that it has and does not. It may grow as damage
	// is met in reading.
	Gaps() []Gap
}

// An Eliding memory is that of an image format that leaves out memory of zeros, such as
// AVML's.
type Eliding interface {
	Memory

	// Elided returns the memory that was left out because it holds only zeros, given the
	// ranges of RAM of the machine. See [WithZeros].
	Elided(ram []Range[PhysAddr]) []Range[PhysAddr]
}

// An Excluding memory is that of an image format that says which memory was left out on
// purpose, such as ELF cores.
type Excluding interface {
	Memory

	// Excluded returns the memory that was left out.
	Excluded() []Range[PhysAddr]
}

// A Wrapper is a memory that stands in front of another, and has each byte of that one at
// the same address. What the other says of itself is true of the wrapper too.
type Wrapper interface {
	Memory

	// Unwrap returns the memory behind.
	Unwrap() Memory
}

// As returns the first memory that is a T: m, or one that it wraps. T is an interface as a
// rule, such as [Live] or [Lossy].
func As[T any](m Memory) (T, bool) {
	for m != nil {
		if t, ok := m.(T); ok {
			return t, true
		}
		w, ok := m.(Wrapper)
		if !ok {
			break
		}
		m = w.Unwrap()
	}
	var none T
	return none, false
}
