package checkpoint

import "io"

// A Format is a compression format, or one compressed file of it.
type Format interface {
	// NewDecoder returns a decoder of the size bytes of r that begins at a place from
	// which decoding can go on: at the beginning of the file if at is nil.
	NewDecoder(r io.ReaderAt, size int64, at *State) (Decoder, error)
}

// A Saver is a Format whose states can be kept in files.
type Saver interface {
	// AppendState appends to b the Rest of a State that a Decoder of the format made.
	AppendState(b []byte, rest any) ([]byte, error)
	// ParseState returns the Rest that AppendState has appended as b.
	ParseState(b []byte) (rest any, err error)
}

// A Decoder decodes a compressed file, forwards only. It needs not be safe for
// concurrent use.
type Decoder interface {
	// Next decodes the next piece of the content, MaxPiece bytes at most, and returns
	// it. The slice is valid until the next call. At the end of the content the error
	// is io.EOF; what is wrong with the file is a *FormatError, or a *Mismatch that is
	// only a doubt and after which Next may be called again.
	Next() ([]byte, error)

	// State returns what it takes to go on behind the piece that Next returned last,
	// or nil where decoding can't be taken up. What it returns is not changed later.
	State() *State
}

// MaxPiece is how many bytes a Decoder returns at once, at most.
const MaxPiece = 1 << 20

// A State is all that a Decoder needs to go on from a place in a file.
type State struct {
	// Window is the end of the content before the place, as far as what follows may
	// refer to it; empty where what follows is independent of it.
	Window []byte
	// Rest is what else the format needs, such as its place in the file and its tables.
	// It is small against the window.
	Rest any
}

// An Indexed Decoder's file says itself where decoding can begin.
type Indexed interface {
	// Index returns those places in ascending order, the first of them the beginning,
	// and the size of the content. It returns ok = false where the file has no index or
	// one that is wrong.
	Index() (places []Place, size int64, ok bool)
}

// A Place is where decoding can begin without a window.
type Place struct {
	Offset int64 // of the content
	State  State
}

// A FormatError says where a file does not follow its format, or can't be read.
type FormatError struct {
	Offset int64 // in the compressed file
	Err    error
}

// A Mismatch is a checksum that does not fit the content that was decoded before it,
// since the last checksum or the beginning.
type Mismatch struct {
	Offset int64  // of the checksum in the compressed file
	What   string // such as CRC-32
	Size   int64  // how many bytes of content the checksum is of
}
