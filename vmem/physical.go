package vmem

import (
	"encoding/binary"
	"sync/atomic"
)

// The cache holds at most frameSets*frameWays frames: 64 MiB and some overhead. That is what the sockets,
// inodes and files of ten thousand connections are in, so that what reads them twice finds them there.
const (
	frameSets = 4096
	frameWays = 4
)

// Physical is the physical memory of a machine behind a bounded cache of frames.
// It is a [Memory] itself. All address spaces of one machine should share one.
//
// A frame is read once and kept until others displace it; of memory that is [Live], until
// the next Refresh. So of such memory a Physical sees a state that is as old as that.
//
// A Physical is safe for concurrent use; reading a cached frame takes no lock.
type Physical struct {
	sets   [frameSets]frameSet // first, where memory begins that is aligned as lines are
	victim atomic.Uint32       // the way that the next frame displaces

	mem    Memory
	ranges []Range[PhysAddr]
	live   bool
	epoch  atomic.Uint32 // how often frames were dropped: only those of this epoch count
}

// A frameSet is one set of the cache, and one line of the processor's. A slot changes only by a
// whole frame taking the place of another. Its tag says which frame that is, so that a look-up does
// not touch those it is not for; a tag that is not yet, or no longer, true costs a miss and nothing else.
type frameSet struct {
	tags   [frameWays]atomic.Uint64 // physical address, and frameTag
	frames [frameWays]atomic.Pointer[frame]
}

// frameTag tells the frame at address 0 from an empty slot.
const frameTag = 1

var (
	_ Live    = (*Physical)(nil)
	_ Wrapper = (*Physical)(nil)
)

// NewPhysical returns a cache of up to about 64 MiB over m. Where m is a *Physical
// already it returns m.
func NewPhysical(m Memory) *Physical {
	if p, ok := m.(*Physical); ok {
		return p
	}
	l, ok := As[Live](m)
	return &Physical{mem: m, ranges: NormalizeRanges(m.Ranges()), live: ok && l.Live()}
}

// Unwrap returns the memory behind the cache.
func (p *Physical) Unwrap() Memory { return p.mem }

// Live reports whether the memory is that of a machine that runs: see [Live].
func (p *Physical) Live() bool { return p.live }

// Refresh drops all frames of a memory that is live, so that what is read from now on is
// not older than now. Walks over structures that change call it when they begin: what is
// read in one go should be of about one time. Of other memory it does nothing. The
// translations that an [AddressSpace] keeps stay.
func (p *Physical) Refresh() {
	if p.live {
		p.epoch.Add(1)
	}
}

// Ranges returns what was captured, as [Memory] says.
func (p *Physical) Ranges() []Range[PhysAddr] { return p.ranges }

// ReadAt implements [Memory]; off is the physical address. Reads of a page or more
// go past the cache. The error is a *Fault.
func (p *Physical) ReadAt(b []byte, off int64) (int, error) {
	read := p.readCached
	if len(b) >= PageSize {
		read = p.readThrough
	}
	n, err := read(b, PhysAddr(off))
	if err != nil {
		return n, &Fault{Phys: PhysAddr(off) + PhysAddr(n), Err: err}
	}
	return n, nil
}

// Uint8 returns the byte at pa. The error is a *Fault.
func (p *Physical) Uint8(pa PhysAddr) (uint8, error) {
	v, err := p.scalar(pa, 1)
	return uint8(v), err
}

// Uint16 returns the little-endian 16-bit word at pa, which need not be aligned.
// The error is a *Fault.
func (p *Physical) Uint16(pa PhysAddr) (uint16, error) {
	v, err := p.scalar(pa, 2)
	return uint16(v), err
}

// Uint32 returns the little-endian 32-bit word at pa, which need not be aligned.
// The error is a *Fault.
func (p *Physical) Uint32(pa PhysAddr) (uint32, error) {
	v, err := p.scalar(pa, 4)
	return uint32(v), err
}

// Uint64 returns the little-endian 64-bit word at pa, which need not be aligned.
// The error is a *Fault.
func (p *Physical) Uint64(pa PhysAddr) (uint64, error) {
	return p.scalar(pa, 8)
}

func (p *Physical) scalar(pa PhysAddr, size uint64) (uint64, error) {
	var word [8]byte
	n, err := p.readCached(word[:size], pa)
	if err != nil {
		return 0, &Fault{Phys: pa + PhysAddr(n), Err: err}
	}
	return binary.LittleEndian.Uint64(word[:]), nil
}

// Word returns the little-endian 64-bit word at pa, which must be a multiple of 8. The error
// is the bare reason, without a place. It is what walks over page tables read with.
func (p *Physical) Word(pa PhysAddr) (uint64, error) {
	pa &^= 7
	f := p.cached(pa &^ (PageSize - 1))
	if f == nil || f.holes != nil {
		return p.slowWord(pa)
	}
	off := pa % PageSize
	return binary.LittleEndian.Uint64(f.data[off : off+8]), nil
}

// slowWord does what Word does where not all there is to it is cached.
func (p *Physical) slowWord(pa PhysAddr) (uint64, error) {
	data, err := p.view(pa, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(data), nil
}

// View returns the bytes at pa without copying them: size of them, or those before the
// end of the frame or before the first that can't be read, where that comes earlier. At
// least one byte is returned, or a *Fault that says why that at pa can't be read; a size of
// 0 or less gives none and no error. The caller must not change the bytes.
func (p *Physical) View(pa PhysAddr, size int) ([]byte, error) {
	if size <= 0 {
		return nil, nil
	}
	data, err := p.view(pa, min(uint64(size), pageRest(pa)))
	if len(data) == 0 {
		return nil, &Fault{Phys: pa, Err: err}
	}
	return data, nil
}

// readCached copies what is at pa out of the cached frames. It returns the number
// of bytes before the first that can't be read, and the reason. b does not escape.
func (p *Physical) readCached(b []byte, pa PhysAddr) (int, error) {
	n := 0
	for n < len(b) {
		at := pa + PhysAddr(n)
		data, err := p.view(at, min(uint64(len(b)-n), pageRest(at)))
		n += copy(b[n:], data)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readThrough reads from the memory itself, with the results of readCached.
func (p *Physical) readThrough(b []byte, pa PhysAddr) (int, error) {
	i, ok := SearchRanges(p.ranges, pa)
	if !ok {
		return 0, ErrNotCaptured
	}
	rest := uint64(p.ranges[i].Last()-pa) + 1
	n, err := readFull(p.mem, b[:min(uint64(len(b)), rest)], pa)
	if err == nil && n < len(b) {
		err = ErrNotCaptured
	}
	return n, err
}

// view returns the size bytes at pa, which must not cross the end of the frame, or
// those before the first that can't be read and the reason. The caller must not
// change them.
func (p *Physical) view(pa PhysAddr, size uint64) ([]byte, error) {
	f, err := p.frame(pa &^ (PageSize - 1))
	if err != nil {
		return nil, err
	}
	return f.view(uint64(pa%PageSize), size)
}

// frame returns the frame at addr, which is a multiple of PageSize.
func (p *Physical) frame(addr PhysAddr) (*frame, error) {
	if f := p.cached(addr); f != nil {
		return f, nil
	}
	return p.load(addr)
}

// cached returns the frame at addr if it is in the cache, or nil.
func (p *Physical) cached(addr PhysAddr) *frame {
	set := &p.sets[addr/PageSize%frameSets]
	for i := range set.tags {
		if set.tags[i].Load() != uint64(addr|frameTag) {
			continue
		}
		if f := set.frames[i].Load(); f != nil && f.addr == addr && f.epoch == p.epoch.Load() {
			return f
		}
	}
	return nil
}

// load reads the frame at addr into the cache. Two goroutines may load one frame
// at the same time; either copy is as good.
func (p *Physical) load(addr PhysAddr) (*frame, error) {
	i, _ := SearchRanges(p.ranges, addr)
	if i == len(p.ranges) || p.ranges[i].Start > addr+(PageSize-1) {
		return nil, ErrNotCaptured
	}
	f := &frame{addr: addr, epoch: p.epoch.Load(), data: new([PageSize]byte)} // before it is read
	f.load(p.mem, p.ranges[i:])
	set := &p.sets[addr/PageSize%frameSets]
	for i := range set.frames {
		old := set.frames[i].Load()
		if (old == nil || p.live && old.epoch != f.epoch) && set.frames[i].CompareAndSwap(old, f) {
			set.tags[i].Store(uint64(addr | frameTag))
			return f, nil
		}
	}
	victim := p.victim.Add(1) % frameWays
	set.frames[victim].Store(f)
	set.tags[victim].Store(uint64(addr | frameTag))
	return f, nil
}

// pageRest returns the number of bytes from a to the end of its page.
func pageRest[A Addr](a A) uint64 { return PageSize - uint64(a)%PageSize }
