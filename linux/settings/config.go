package settings

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// The marks around the configuration in the kernel's read-only data (kernel/configs.c).
const (
	configStart = "IKCFG_ST"
	configEnd   = "IKCFG_ED"
)

// Bounds of the configuration: it has some 300 KB, and packed 70.
const (
	maxPacked = 1 << 20
	maxConfig = 8 << 20
)

// readConfiguration reads what /proc/config.gz holds. A kernel without CONFIG_IKCONFIG has none, nor the symbol; one
// whose kallsyms has no data is searched for the mark.
func (r *reader) readConfiguration() {
	const object = "kernel configuration"
	at, err := r.k.Symbol("kernel_config_data")
	if err != nil {
		if _, hasData := r.k.Symbol("saved_command_line"); hasData == nil {
			return // the kernel would name it
		}
		var ok bool
		if at, ok = r.findMark(); !ok {
			return
		}
	} else {
		head := make([]byte, len(configStart))
		if _, err := r.k.Space().ReadVirt(head, at-vmem.VirtAddr(len(head))); err != nil || string(head) != configStart {
			r.lose(object, at, fmt.Errorf("%w: no mark before it", kstruct.ErrCorrupt))
			return
		}
	}
	packed := make([]byte, maxPacked)
	n, err := r.k.Space().ReadVirt(packed, at)
	end := bytes.Index(packed[:n], []byte(configEnd))
	if end < 0 {
		if err == nil {
			err = fmt.Errorf("%w: no mark behind it", kstruct.ErrCorrupt)
		}
		r.lose(object, at, err)
		return
	}
	text, err := unpackConfig(packed[:end])
	if err != nil {
		r.lose(object, at, fmt.Errorf("%w: %w", kstruct.ErrCorrupt, err))
	}
	r.out.Configuration = text
}

// unpackConfig returns the configuration in gzip. With an error comes what there is of it.
func unpackConfig(packed []byte) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(z, maxConfig))
	return string(text), err
}

// findMark finds what stands behind the first mark in the kernel's data.
func (r *reader) findMark() (vmem.VirtAddr, bool) {
	for b, start := range r.data() {
		if i := bytes.Index(b, []byte(configStart+"\x1f\x8b")); i >= 0 {
			return start + vmem.VirtAddr(i+len(configStart)), true
		}
	}
	return 0, false
}
