package pagecache

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// Types of files (include/uapi/linux/stat.h).
const (
	modeType    = 0o170000 // S_IFMT
	modeSocket  = 0o140000
	modeLink    = 0o120000
	modeRegular = 0o100000
	modeBlock   = 0o060000
	modeDir     = 0o040000
	modeChar    = 0o020000
	modeFIFO    = 0o010000
)

// An Inode is a file, with or without a name: struct inode (include/linux/fs.h), as stat(2) shows it. Of an overlay, what is shown
// is that of the file in its layers.
type Inode struct {
	Addr   vmem.VirtAddr `json:"address"`
	Super  *Super        `json:"-"`
	Number uint64        `json:"inode"`
	Device Device        `json:"device"` // of the file system
	Mode   uint32        `json:"mode"`   // with the type, as st_mode
	Links  uint32        `json:"links"`
	UID    uint32        `json:"uid"` // in the first user namespace, as GID is
	GID    uint32        `json:"gid"`
	Rdev   Device        `json:"rdev"` // of a device file
	Size   int64         `json:"size"`
	Blocks uint64        `json:"blocks"` // of 512 bytes
	Atime  time.Time     `json:"atime"`
	Mtime  time.Time     `json:"mtime"`
	Ctime  time.Time     `json:"ctime"`
	Btime  time.Time     `json:"btime"` // when it was made; zero where the file system does not keep it in memory

	superAddr, mapping, link vmem.VirtAddr
	count                    int32
	over                     *Inode // of an overlay: what its contents are in; nil otherwise
	links                    *Inode // of an overlay: what was read for its attributes
	upper, lower             *Inode // of an overlay: the file in the layers; nil where a layer has none
}

// Layers returns, of a file of an overlay, the file in the upper layer, which is what was written, and that in the first layer below that has
// one, such as a container's image. Each is nil where there is none, and both are for a file of no overlay. Where only attributes
// were changed, as chmod does, and the contents are still those of the file below, there is no upper one.
func (n *Inode) Layers() (upper, lower *Inode) { return n.upper, n.lower }

// inode reads the inode at addr, and of an overlay what it stands for.
func (s *Set) inode(addr vmem.VirtAddr) (*Inode, error) { return s.inodeBelow(addr, 0) }

// maxStacked is how many overlays are on each other at most: FILESYSTEM_MAX_STACK_DEPTH of include/linux/fs.h.
const maxStacked = 2

// inodeBelow is inode for one that so many overlays are above of.
func (s *Set) inodeBelow(addr vmem.VirtAddr, overlays int) (*Inode, error) {
	n, err := s.plainInode(addr)
	// Without its types, what an overlay's inode itself has is shown: its mode, owner, times and size are copies of the layer's.
	if err == nil && n.Super.FSType == "overlay" && s.overlay != nil && s.overlay.err == nil {
		if overlays >= maxStacked {
			return nil, corrupt("inode %v of an overlay below %d others", addr, overlays)
		}
		err = s.throughOverlay(n, overlays+1)
	}
	return n, err
}

// ctimeQueried marks a ctime that was asked for since it changed (I_CTIME_QUERIED of include/linux/fs.h, since 6.13).
const ctimeQueried = 1 << 31

func (s *Set) plainInode(addr vmem.VirtAddr) (*Inode, error) {
	if !plausible(addr) {
		return nil, corrupt("inode pointer %v", addr)
	}
	var v inodeStruct
	if err := s.v.inode.Read(s.mem, addr, &v); err != nil {
		return nil, err
	}
	super := s.superOf(v.Super)
	if super == nil {
		return nil, corrupt("inode %v of super_block %v", addr, v.Super)
	}
	n := &Inode{
		Addr: addr, Super: super, Number: v.Number, Device: super.Device, Mode: uint32(v.Mode), Links: v.Links, UID: v.UID, GID: v.GID,
		Rdev: Device(v.Rdev), Size: v.Size, Blocks: v.Blocks + uint64(v.Bytes>>9),
		Atime: stamp(v.AtimeSec, v.Atime), Mtime: stamp(v.MtimeSec, v.Mtime), Ctime: stamp(v.CtimeSec, v.Ctime&^ctimeQueried),
		superAddr: v.Super, mapping: v.Mapping, link: v.Link, count: v.Count,
	}
	switch {
	case n.Size < 0:
		return nil, corrupt("inode %v of size %d", addr, n.Size)
	case super.FSType == "tmpfs":
		n.Btime = s.born(s.v.shmem.inode.Container(addr), s.v.shmem.sec, s.v.shmem.nsec)
	case super.FSType == "ramfs" && n.IsRegular(): // it counts no blocks: simple_getattr of fs/libfs.c
		m, err := s.v.mapping.Load(s.mem, n.mapping)
		if err != nil {
			return nil, err
		}
		n.Blocks = m.Pages * (vmem.PageSize / 512)
	case super.FSType == "ext4" && s.v.ext4.inode.Ok():
		n.Btime = s.born(s.v.ext4.inode.Container(addr), s.v.ext4.sec, s.v.ext4.nsec)
	}
	return n, nil
}

// born reads when an inode was made, from what its file system has around it.
func (s *Set) born(info vmem.VirtAddr, sec, nsec field) time.Time {
	if !sec.Ok() {
		return time.Time{}
	}
	a, err := sec.Load(s.mem, info)
	if err != nil {
		return time.Time{}
	}
	b, err := nsec.Load(s.mem, info)
	if err != nil || a == 0 && b == 0 {
		return time.Time{}
	}
	return stamp(a, b)
}

type field interface {
	Ok() bool
	Load(mem *vmem.AddressSpace, addr vmem.VirtAddr) (int64, error)
}

// Times that JSON can have: the years from 0 to 9999.
const minTime, maxTime = -62167219200, 253402300799

// stamp is a time that can be written down: what is before or after that is its end.
func stamp(sec, nsec int64) time.Time {
	return time.Unix(min(max(sec, minTime), maxTime), nsec&(1<<30-1)).UTC()
}

// IsRegular reports whether it is a regular file.
func (n *Inode) IsRegular() bool { return n.Mode&modeType == modeRegular }

// IsDir reports whether it is a directory.
func (n *Inode) IsDir() bool { return n.Mode&modeType == modeDir }

// IsLink reports whether it is a symbolic link.
func (n *Inode) IsLink() bool { return n.Mode&modeType == modeLink }

// FileMode returns the mode as package fs has it.
func (n *Inode) FileMode() fs.FileMode {
	m := fs.FileMode(n.Mode & 0o777)
	switch n.Mode & modeType {
	case modeDir:
		m |= fs.ModeDir
	case modeLink:
		m |= fs.ModeSymlink
	case modeFIFO:
		m |= fs.ModeNamedPipe
	case modeSocket:
		m |= fs.ModeSocket
	case modeChar:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case modeBlock:
		m |= fs.ModeDevice
	case modeRegular:
	default:
		m |= fs.ModeIrregular
	}
	for bit, mode := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n.Mode&bit != 0 {
			m |= mode
		}
	}
	return m
}

// pathMax is the longest target of a link (PATH_MAX of include/uapi/linux/limits.h).
const pathMax = 4096

// linkNodes bounds the array of pages of a link, which has one.
const linkNodes = 64

// Target returns what a symbolic link points at. The error wraps [ErrNotCached] where that is on the disk only.
func (s *Set) Target(n *Inode) (string, error) {
	if !n.IsLink() {
		return "", fs.ErrInvalid
	}
	if n.over != nil {
		n = n.over
	}
	if n.Size >= pathMax {
		return "", corrupt("link of %d bytes", n.Size)
	}
	if n.link != 0 && plausible(n.link&^7) {
		t, err := s.mem.CString(n.link, pathMax)
		if err == nil && int64(len(t)) != n.Size {
			err = corrupt("link of %d bytes, of a size of %d", len(t), n.Size)
		}
		return t, err
	}
	c, err := s.content(context.Background(), n, linkNodes)
	if err != nil {
		return "", err
	}
	b := make([]byte, n.Size)
	if k, err := c.ReadAt(b, 0); k < len(b) {
		return "", err
	}
	t, _, _ := strings.Cut(string(b), "\x00")
	return t, nil
}
