package variednode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/lz4index"
)

// Of the LZ4 Frame Format.
const (
	magic       = 0x184D2204
	flagVersion = 1 << 6
	flagAlone   = 1 << 5 // blocks are independent
	flagSums    = 1 << 4 // blocks have checksums
	flagSize    = 1 << 3 // the header says the size of the content
	blocks64K   = 4 << 4
	isStored    = 1 << 31
	blockSize   = 64 << 10
)

// errBase says that a file is not what images can be made of.
var errBase = errors.New("not an LZ4 frame of independent blocks of 64 KiB")

// A Base is the image that others are made of. It is safe for concurrent use.
type Base struct {
	file   []byte
	blocks []block
	size   int64 // of the content

	hostname []int64 // where the kernel has the node's name: offsets in the content
	comm     []int64 // where a task of the process is called so
}

// A block is a part of the file.
type block struct {
	data   []byte
	stored bool
}

// The names that are looked for, and how long they may become, in bytes.
const (
	Hostname    = "gke-prod-default-pool-6f3c2a91-v4kd" // of the bundled node
	Process     = "httpd"                               // a process of the bundled node, of which there is one
	MaxHostname = 64
	MaxProcess  = 15
)

// Open reads the base, of a node of that host name.
func Open(name, hostname string) (*Base, error) {
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b := &Base{file: file}
	if err := b.split(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := b.search(hostname); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// split finds the blocks.
func (b *Base) split() error {
	f := b.file
	if len(f) < 15 || binary.LittleEndian.Uint32(f) != magic || f[4]&flagAlone == 0 || f[5] != blocks64K {
		return errBase
	}
	at, sum := 7, 0
	if f[4]&flagSize != 0 {
		at += 8
	}
	if f[4]&flagSums != 0 {
		sum = 4
	}
	for {
		if at+4 > len(f) {
			return io.ErrUnexpectedEOF
		}
		size := binary.LittleEndian.Uint32(f[at:])
		at += 4
		if size == 0 {
			return nil
		}
		n := int(size &^ isStored)
		if n > len(f)-at-sum {
			return io.ErrUnexpectedEOF
		}
		b.blocks = append(b.blocks, block{f[at : at+n], size&isStored != 0})
		at += n + sum
	}
}

// content returns what a block holds, in buf.
func (k block) content(buf []byte) ([]byte, error) {
	if k.stored {
		return append(buf[:0], k.data...), nil
	}
	n, err := lz4.UncompressBlock(k.data, buf[:blockSize])
	return buf[:max(n, 0)], err
}

// overlap is how much of a block is searched again with the next one: more than any pattern has.
const overlap = 256

// search finds the names.
func (b *Base) search(hostname string) error {
	buf, window := make([]byte, blockSize), make([]byte, 0, blockSize+overlap)
	uts := append(append([]byte("Linux"), make([]byte, 60)...), append([]byte(hostname), make([]byte, 65-len(hostname))...)...)
	comm := append([]byte(Process), make([]byte, MaxProcess+1-len(Process))...)
	for i, k := range b.blocks {
		data, err := k.content(buf)
		if err != nil {
			return err
		}
		if len(data) != blockSize && i != len(b.blocks)-1 {
			return errBase
		}
		start := b.size - int64(len(window)) // of the window in the content
		window = append(window, data...)
		for _, at := range all(window, uts) {
			b.hostname = add(b.hostname, start+int64(at)+65)
		}
		for _, at := range all(window, comm) {
			if inTask(window, at) {
				b.comm = add(b.comm, start+int64(at))
			}
		}
		b.size += int64(len(data))
		window = append(window[:0], window[max(0, len(window)-overlap):]...)
	}
	if len(b.hostname) == 0 || len(b.comm) == 0 {
		return fmt.Errorf("%d places with the host name %q, %d of the process %s", len(b.hostname), hostname, len(b.comm), Process)
	}
	return nil
}

// add adds an offset, unless it was seen in the window before.
func add(offsets []int64, at int64) []int64 {
	if slices.Contains(offsets, at) {
		return offsets
	}
	return append(offsets, at)
}

// all returns where a pattern is.
func all(in, pattern []byte) (at []int) {
	for i := 0; ; i++ {
		n := bytes.Index(in[i:], pattern)
		if n < 0 {
			return at
		}
		i += n
		at = append(at, i)
	}
}

// inTask reports whether a name is that of a task: before task_struct.comm there are pointers to credentials.
func inTask(window []byte, at int) bool {
	if at < 24 {
		return false
	}
	return binary.LittleEndian.Uint16(window[at-10:]) == 0xffff && binary.LittleEndian.Uint16(window[at-18:]) == 0xffff
}

// A patch is bytes that an image has otherwise than the base.
type patch struct {
	at   int64
	data []byte
}

// write writes the image with patches, as far as it is not cut off.
func (b *Base) write(w io.Writer, patches []patch) error {
	head := binary.LittleEndian.AppendUint32(nil, magic)
	head = append(head, flagVersion|flagAlone, blocks64K)
	head = append(head, byte(lz4index.XXH32(head[4:])>>8))
	if _, err := w.Write(head); err != nil {
		return err
	}
	buf := make([]byte, blockSize)
	for i, k := range b.blocks {
		at := int64(i) * blockSize
		data, size := k.data, uint32(len(k.data))
		if k.stored {
			size |= isStored
		}
		if touched(patches, at) {
			plain, err := k.content(buf)
			if err != nil {
				return err
			}
			for _, p := range patches {
				p.apply(plain, at)
			}
			data, size = plain, uint32(len(plain))|isStored
		}
		if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, size)); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	_, err := w.Write(make([]byte, 4)) // the end mark
	return err
}

// touched reports whether any patch is of the block at an offset.
func touched(patches []patch, at int64) bool {
	return slices.ContainsFunc(patches, func(p patch) bool { return p.at < at+blockSize && p.at+int64(len(p.data)) > at })
}

// apply puts what of the patch is in the block at an offset into it.
func (p patch) apply(plain []byte, at int64) {
	switch from := p.at - at; {
	case from >= int64(len(plain)), from+int64(len(p.data)) <= 0:
	case from < 0:
		copy(plain, p.data[-from:])
	default:
		copy(plain[from:], p.data)
	}
}
