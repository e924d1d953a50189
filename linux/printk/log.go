package printk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

const object = "kernel log"

// flagContinues marks a record that continues the one before it: LOG_CONT of
// kernel/printk/internal.h.
const flagContinues = 8

// Records yields the records of the kernel log, the oldest first. What is lost is a [vmem.Gap] that
// says which record it was. A record whose text is lost in part comes with what there is of it, before its gap. The
// error wraps [kstruct.ErrUnsupported] where the symbols lack prb or the types.
func Records(ctx context.Context, k *linux.Kernel) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		k.Physical().Refresh()
		l, err := open(k)
		if err != nil {
			yield(nil, err)
			return
		}
		for id := l.first(); l.left > 0; id, l.left = (id+1)&idMask, l.left-1 {
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			r, err := l.record(id)
			if r != nil && !yield(r, nil) || err != nil && !yield(nil, err) {
				return
			}
		}
		if l.err != nil {
			yield(nil, l.err)
		}
	}
}

// A log is the kernel log while it is walked.
type log struct {
	views
	space  *vmem.AddressSpace
	at     vmem.VirtAddr
	ring   ringBuffer
	left   uint64 // descriptors to read
	unsure bool   // whether all of these were ever used
	err    error  // what is wrong with the ring, told last
}

// open finds the ring buffer that prb points to: printk_rb_static, or a larger one that was
// allocated later in its place.
func open(k *linux.Kernel) (*log, error) {
	l := &log{views: bind(k.Symbols()), space: k.Space()}
	at, err := k.Symbol("prb")
	if err == nil {
		err = l.views.err
	} else {
		err = fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	if err != nil {
		return nil, vmem.NewGap(object, vmem.KernelPlace(at), err)
	}
	p, err := k.Space().Uint64(at)
	l.at = vmem.VirtAddr(p)
	if err == nil {
		l.ring, err = l.views.ring.Load(k.Space(), l.at)
	}
	if err == nil && (l.ring.CountBits > maxCountBits || l.ring.SizeBits > maxSizeBits || l.ring.CountBits == 0 || l.ring.SizeBits == 0) {
		err = fmt.Errorf("%w: rings of 2^%d records and 2^%d bytes", kstruct.ErrCorrupt, l.ring.CountBits, l.ring.SizeBits)
	}
	if err != nil {
		return nil, vmem.NewGap(object, vmem.KernelPlace(l.at), err)
	}
	return l, nil
}

// first returns the ID of the oldest record, and says how many follow, up to the newest. Where
// the ring does not tell it, all are read, from the one after the newest on.
func (l *log) first() uint64 {
	count := uint64(1) << l.ring.CountBits
	tail, head := uint64(l.ring.Tail)&idMask, uint64(l.ring.Head)&idMask
	if l.left = (head-tail)&idMask + 1; l.left <= count {
		return tail
	}
	l.left, l.unsure = count, true
	l.err = vmem.NewGap(object, vmem.KernelPlace(l.at), fmt.Errorf("%w: records from %#x to %#x in a ring of %d", kstruct.ErrCorrupt, tail, head, count))
	return (head - count + 1) & idMask
}

// record reads the record with an ID, nil where none is finished there.
func (l *log) record(id uint64) (*Record, error) {
	i := id & (1<<l.ring.CountBits - 1)
	descAt := l.ring.Descs + vmem.VirtAddr(i*l.desc.Size())
	lost := func(err error) error {
		return vmem.NewGap(fmt.Sprintf("%s, record at %d", object, i), vmem.KernelPlace(descAt), err)
	}
	d, err := l.desc.Load(l.space, descAt)
	if err != nil {
		return nil, lost(err)
	}
	state, got := uint64(d.State)>>stateShift, uint64(d.State)&idMask
	before := (id - 1<<l.ring.CountBits) & idMask
	switch {
	case got == id && (state == reserved || state == reusable), got == before && state == reusable: // the last was just taken
		return nil, nil
	case d.State == 0 && l.unsure: // it was never used
		return nil, nil
	case got != id:
		return nil, lost(fmt.Errorf("%w: it is that of %#x, not of %#x", kstruct.ErrCorrupt, got, id))
	}
	var in info
	if err := l.info.Read(l.space, l.ring.Infos+vmem.VirtAddr(i*l.info.Size()), &in); err != nil {
		return nil, lost(err)
	}
	if in.Sequence&(1<<l.ring.CountBits-1) != i {
		return nil, lost(fmt.Errorf("%w: number %d is not that of this place", kstruct.ErrCorrupt, in.Sequence))
	}
	r := in.record()
	if r.Text, err = l.text(&d, id, in.Length); err != nil {
		err = vmem.NewGap(fmt.Sprintf("%s, text of record %d", object, r.Sequence), vmem.KernelPlace(descAt), err)
		if r.Text == "" && !errors.Is(err, kstruct.ErrTooLong) {
			return nil, err
		}
	}
	return r, err
}

// record returns the record that an info describes, without its text.
func (in *info) record() *Record {
	r := &Record{
		Sequence: in.Sequence, Time: Time(in.Time), Facility: Facility(in.Facility), Level: Level(in.Level),
		Caller: Caller(in.Caller), Comm: cString(in.Comm[:]), Dictionary: map[string]string{}, Continues: in.Flags&flagContinues != 0,
	}
	if s := cString(in.Subsystem[:]); s != "" {
		r.Dictionary["SUBSYSTEM"] = s
	}
	if s := cString(in.Device[:]); s != "" {
		r.Dictionary["DEVICE"] = s
	}
	return r
}

// cString returns b up to its first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
