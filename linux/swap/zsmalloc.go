package swap

import (
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// What zsmalloc (mm/zsmalloc.c) makes of a handle: the word that it points to is the frame of the first page of an object, and which object of
// its zspage that is. Until 6.2 a bit below was a lock.
const (
	zsIndexBits = 24
	zsMagic     = 0x58
	zsHeader    = 8 // before an object: its handle, with the lowest bit set
	zsTag       = 1
)

// An object is where an object of zsmalloc is.
type object struct {
	addr   vmem.VirtAddr // struct page
	zspage vmem.VirtAddr
	phys   vmem.PhysAddr // its page
	offset uint64        // of its content, there
	room   uint64        // how long its content can be
	next   vmem.VirtAddr // struct page of the page that it goes on in; 0 for none
}

// findObject finds an object by its handle. That it is this one, its header says.
func (r *Reader) findObject(z *zram, handle uint64) (o object, err error) {
	if r.pages == nil {
		return o, kstruct.ErrUnsupported
	}
	if handle%8 != 0 || !x86.IsObject(vmem.VirtAddr(handle)) {
		return o, corrupt("handle %#x of zsmalloc", handle)
	}
	at, err := r.mem.Uint64(vmem.VirtAddr(handle))
	if err != nil {
		return o, err
	}
	o.phys = vmem.PhysAddr(at >> zsIndexBits * vmem.PageSize)
	o.addr = r.pages.Struct(o.phys)
	page, err := z.zs.page.Load(r.mem, o.addr)
	if err != nil {
		return o, err
	}
	o.zspage = page.ZSPage
	zspage, size, err := r.zspage(z, o.zspage)
	if err != nil {
		return o, err
	}
	if zspage.Huge != 0 || !z.zs.zspage.Has("Huge") && page.Flags&z.zs.huge != 0 {
		if uint64(page.Handle)&^zsTag != handle {
			return o, corrupt("a page of zsmalloc is of handle %#x, not %#x", page.Handle, handle)
		}
		o.room = size
		return o, nil
	}
	o.next, o.room = page.Next, size-zsHeader
	for _, index := range []uint64{at & (1<<zsIndexBits - 1), at >> 1 & (1<<(zsIndexBits-1) - 1)} {
		header := size * index % vmem.PageSize
		if header%zsHeader != 0 {
			continue
		}
		got, err := r.k.Physical().Uint64(o.phys + vmem.PhysAddr(header))
		if err != nil {
			return o, err
		}
		if got == handle|zsTag {
			o.offset = header + zsHeader
			return o, nil
		}
	}
	return o, corrupt("no object of zsmalloc is of handle %#x", handle)
}

// zspage reads the zspage at an address, and how large its objects are.
func (r *Reader) zspage(z *zram, at vmem.VirtAddr) (zspageStruct, uint64, error) {
	if !x86.IsObject(at) {
		return zspageStruct{}, 0, corrupt("a page of zsmalloc without zspage, %v", at)
	}
	s, err := z.zs.zspage.Load(r.mem, at)
	if err != nil {
		return s, 0, err
	}
	if s.Magic != zsMagic || uint64(s.Class) >= z.zs.classes.Count() {
		return s, 0, corrupt("zspage %v with magic %#x and class %d", at, s.Magic, s.Class)
	}
	class, err := r.mem.Uint64(z.zs.classes.Of(z.disk.Pool) + vmem.VirtAddr(8*s.Class))
	if err != nil {
		return s, 0, err
	}
	size, err := z.zs.size.Load(r.mem, vmem.VirtAddr(class))
	if err == nil && (size <= zsHeader || size > vmem.PageSize) {
		err = corrupt("class %d of objects of %d bytes", s.Class, size)
	}
	return s, uint64(size), err
}

// readObject reads the beginning of an object, which can go on in another page.
func (r *Reader) readObject(z *zram, o *object, p []byte) error {
	first := min(uint64(len(p)), vmem.PageSize-o.offset)
	if _, err := r.k.Physical().ReadAt(p[:first], int64(uint64(o.phys)+o.offset)); err != nil && first > 0 {
		return err
	}
	if first == uint64(len(p)) {
		return nil
	}
	next, err := z.zs.page.Load(r.mem, o.next)
	if err != nil {
		return err
	}
	if next.ZSPage != o.zspage {
		return corrupt("page %v of zspage %v goes on in %v of %v", o.addr, o.zspage, o.next, next.ZSPage)
	}
	phys, err := r.pages.Memory(o.next)
	if err != nil {
		return err
	}
	_, err = r.k.Physical().ReadAt(p[first:], int64(phys))
	return err
}
