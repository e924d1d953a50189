package vmcoreinfo

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which VMCOREINFO does not say something.
var (
	// ErrNoNote: there is no such note.
	ErrNoNote = errors.New("no such note")
	// ErrNoKey: VMCOREINFO has no such line.
	ErrNoKey = errors.New("not in VMCOREINFO")
	// ErrFormat: the text is not that of VMCOREINFO.
	ErrFormat = errors.New("not VMCOREINFO")
)

// NoteName is the name of the note that has VMCOREINFO.
const NoteName = "VMCOREINFO"

const (
	firstKey = "OSRELEASE="
	// maxText is VMCOREINFO_BYTES, which has been one page of 4 KiB and may grow.
	maxText = 64 << 10
)

// An Info is what the kernel writes about itself for crash tools: lines of KEY=VALUE
// (kernel/vmcore_info.c). It is immutable and safe for concurrent use.
type Info struct {
	text  string
	lines map[string]string
}

// A Holder is memory that carries VMCOREINFO beside it, as images with notes do.
type Holder interface {
	vmem.Memory

	// VMCoreInfo returns what is carried, or an error that wraps [ErrNoNote] if there is
	// none.
	VMCoreInfo() (*Info, error)
}

// Parse reads the text of the note, which ends at the first NUL. It must begin
// with the line OSRELEASE. Lines that are not KEY=VALUE are passed over; of two with one
// key the first counts.
func Parse(b []byte) (*Info, error) {
	b = b[:min(len(b), maxText)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if !bytes.HasPrefix(b, []byte(firstKey)) {
		return nil, fmt.Errorf("vmcoreinfo: %w: it begins with %.16q", ErrFormat, b)
	}
	v := &Info{text: string(b), lines: map[string]string{}}
	for line := range strings.Lines(v.text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := v.lines[key]; ok && !twice {
			v.lines[key] = value
		}
	}
	return v, nil
}

// Text returns the whole text.
func (v *Info) Text() string { return v.text }

// Lookup returns the value of a line by its whole key, such as PAGESIZE or
// SIZE(list_head).
func (v *Info) Lookup(key string) (string, bool) {
	value, ok := v.lines[key]
	return value, ok
}

// Release returns OSRELEASE: the kernel's release, such as 6.6.87+.
func (v *Info) Release() string { return v.lines["OSRELEASE"] }

// BuildID returns BUILD-ID: the kernel's build id in hexadecimal, or the empty string.
// Several stable kernels (6.11.3 to 6.11.9, 6.10.14, 6.6.55 to 6.6.62, 6.1.113 to
// 6.1.118, 5.15.168 and later) write another value here: it is a hint and no proof.
func (v *Info) BuildID() string { return v.lines["BUILD-ID"] }

// Symbol returns SYMBOL(name): the address of a symbol in the running kernel.
func (v *Info) Symbol(name string) (uint64, error) { return v.unsigned("SYMBOL("+name+")", 16) }

// KernelOffset returns KERNELOFFSET: by how much KASLR moved the kernel from where it
// was linked.
func (v *Info) KernelOffset() (uint64, error) { return v.unsigned("KERNELOFFSET", 16) }

// PageSize returns PAGESIZE in bytes.
func (v *Info) PageSize() (uint64, error) { return v.unsigned("PAGESIZE", 10) }

// Size returns SIZE(name): the size of a type in bytes.
func (v *Info) Size(name string) (uint64, error) { return v.unsigned("SIZE("+name+")", 10) }

// Offset returns OFFSET(name): the offset of a member, as type.member, in bytes.
func (v *Info) Offset(name string) (uint64, error) { return v.unsigned("OFFSET("+name+")", 10) }

// Length returns LENGTH(name): the number of elements of an array.
func (v *Info) Length(name string) (uint64, error) { return v.unsigned("LENGTH("+name+")", 10) }

// Number returns NUMBER(name). It may be negative: phys_base often is.
func (v *Info) Number(name string) (int64, error) {
	key := "NUMBER(" + name + ")"
	s, ok := v.lines[key]
	if !ok {
		return 0, fmt.Errorf("vmcoreinfo: %w: %s", ErrNoKey, key)
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if errors.Is(err, strconv.ErrRange) { // a mask, printed unsigned
		var u uint64
		u, err = strconv.ParseUint(s, 0, 64)
		n = int64(u)
	}
	if err != nil {
		return 0, fmt.Errorf("vmcoreinfo: %s: %w", key, err)
	}
	return n, nil
}

func (v *Info) unsigned(key string, radix int) (uint64, error) {
	s, ok := v.lines[key]
	if !ok {
		return 0, fmt.Errorf("vmcoreinfo: %w: %s", ErrNoKey, key)
	}
	n, err := strconv.ParseUint(s, radix, 64)
	if err != nil {
		return 0, fmt.Errorf("vmcoreinfo: %s: %w", key, err)
	}
	return n, nil
}
