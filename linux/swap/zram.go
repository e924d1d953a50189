package swap

import (
	"fmt"

	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A zram is a device of zram.
type zram struct {
	views  zramViews
	zs     zsViews
	disk   zramStruct
	codecs [4]*codec // by priority
}

// maxDictionary bounds the dictionary of a compression.
const maxDictionary = 1 << 20

// openZram reads the device whose struct zram is at an address.
func (r *Reader) openZram(modules *module.Set, at vmem.VirtAddr) (*zram, error) {
	types, err := modules.Types("zram")
	if err != nil {
		return nil, err
	}
	z := &zram{views: bindZram(types)}
	if types, err = modules.Types("zsmalloc"); err == nil {
		z.zs = bindZsmalloc(types)
		err = z.zs.err
	}
	if err == nil {
		err = z.views.err
	}
	if err == nil {
		z.disk, err = z.views.zram.Load(r.mem, at)
	}
	if err != nil {
		return nil, fmt.Errorf("zram: %w", err)
	}
	for i := range z.codecs {
		if z.codecs[i], err = r.codec(z, at, i); err != nil {
			return nil, fmt.Errorf("zram: compression: %w", err)
		}
	}
	return z, nil
}

// codec reads which compression a device has for a priority, nil for none.
func (r *Reader) codec(z *zram, at vmem.VirtAddr, priority int) (*codec, error) {
	name := text(z.disk.Name[:])
	if !z.views.zram.Has("Name") {
		if z.disk.Names[priority] == 0 {
			return nil, nil
		}
		var err error
		if name, err = r.mem.CString(z.disk.Names[priority], 64); err != nil {
			return nil, err
		}
	} else if priority > 0 {
		return nil, nil
	}
	c := &codec{name: name}
	if z.views.params.Ok() && z.views.first.Ok() && uint64(priority) < z.views.first.Count() {
		params, err := z.views.params.Load(r.mem, z.views.first.Of(at)+vmem.VirtAddr(uint64(priority)*z.views.params.Size()))
		if err != nil {
			return nil, err
		}
		c.wrapped = params.WindowBits > 0 && params.WindowBits <= 15 // otherwise it is not set, or says that there is no header
		if params.Length > maxDictionary {
			return nil, corrupt("a dictionary of %d bytes", params.Length)
		}
		if params.Length > 0 {
			c.dictionary = make([]byte, params.Length)
			if _, err := r.mem.ReadVirt(c.dictionary, params.Dictionary); err != nil {
				return nil, err
			}
		}
	}
	c.prepare()
	return c, nil
}

// text returns what of bytes is before the first zero.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// names returns the compressions.
func (z *zram) names() (all []string) {
	for _, c := range z.codecs {
		if c != nil {
			all = append(all, c.name)
		}
	}
	return all
}

// findInZram reads the slot of a page (zram_read_page of drivers/block/zram/zram_drv.c).
func (r *Reader) findInZram(z *zram, page uint64, p *place) (err error) {
	if page >= z.disk.Size/vmem.PageSize {
		return corrupt("page %d of a zram device of %d bytes", page, z.disk.Size)
	}
	p.zram = z
	if p.slot, err = z.views.slot.Load(r.mem, z.disk.Table+vmem.VirtAddr(page*z.views.slot.Size())); err != nil {
		return err
	}
	switch {
	case p.slot.Flags&z.views.written != 0:
		return fmt.Errorf("%w: zram wrote it back to the disk", vmem.ErrSwapped)
	case p.slot.Flags&z.views.same != 0:
		p.kind, p.word = filled, p.slot.Handle
		return nil
	case p.slot.Handle == 0:
		return fmt.Errorf("%w: zram does not have it", vmem.ErrSwapped)
	}
	p.kind = compressed
	p.object, err = r.findObject(z, p.slot.Handle)
	return err
}

// readCompressed reads a page that zram has.
func (r *Reader) readCompressed(p []byte, at *place) error {
	z := at.zram
	size := at.slot.Flags & (1<<z.views.shift - 1)
	if size == 0 || size > vmem.PageSize || size > at.object.room {
		return corrupt("a page compressed to %d bytes, in an object with %d", size, at.object.room)
	}
	if size == vmem.PageSize {
		return r.readObject(z, &at.object, p)
	}
	c := z.codecs[at.slot.Flags&z.views.priority>>z.views.priorityShift&3]
	if c == nil {
		return corrupt("a page of a compression that the device does not have")
	}
	var room [vmem.PageSize]byte
	if err := r.readObject(z, &at.object, room[:size]); err != nil {
		return err
	}
	return c.decode(p, room[:size])
}
