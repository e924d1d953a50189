package pagecache

import (
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An ovlInode is struct ovl_inode (fs/overlayfs/ovl_entry.h). The layer below was an inode until 5.17, then a path
// (ffa5723c6d25), and is a stack of paths since 6.5 (0af950f57fef).
type ovlInode struct {
	Flags     uint64        `kernel:"flags"`
	Upper     vmem.VirtAddr `kernel:"__upperdentry"`
	Lower     vmem.VirtAddr `kernel:"lower,optional"`              // inode
	LowerPath vmem.VirtAddr `kernel:"lowerpath.dentry,optional"`   // dentry
	LowerData vmem.VirtAddr `kernel:"lowerdata,optional"`          // inode, of a regular file
	Entry     vmem.VirtAddr `kernel:"oe,optional"`                 // ovl_entry
	Redirect  vmem.VirtAddr `kernel:"lowerdata_redirect,optional"` // of a file whose data was not looked up yet
}

// overlayViews read overlayfs.
type overlayViews struct {
	ovl       *kstruct.View[ovlInode]
	inode     kstruct.Member // vfs_inode of ovl_inode
	count     *kstruct.Field[uint32]
	stack     kstruct.Member
	layerPath kstruct.Member                // dentry of ovl_path
	size      vmem.VirtAddr                 // of ovl_path
	first     *kstruct.Field[vmem.VirtAddr] // i_dentry of inode: its names
	alias     kstruct.Member                // d_alias of dentry, which is in that list
	data      *kstruct.Field[vmem.VirtAddr] // d_fsdata of dentry: its ovl_entry, until 6.5
	upperData uint64                        // the flag that says that the upper file has the data
	layers    *kstruct.Field[vmem.VirtAddr]
	layerMnt  *kstruct.Field[vmem.VirtAddr]
	layerSize vmem.VirtAddr
	numLayer  *kstruct.Field[uint32]
	err       error
}

// bindOverlay binds the types of overlayfs: those of its module, or of the kernel.
func (s *Set) bindOverlay() *overlayViews {
	used := false
	for _, f := range s.Supers() {
		used = used || f.FSType == "overlay"
	}
	if !used {
		return nil
	}
	v := new(overlayViews)
	types, err := s.opts.Modules.Types("overlay")
	if err != nil {
		types = s.k.Symbols()
	}
	b := kstruct.NewBinder(types)
	v.ovl = kstruct.Bind[ovlInode](b, "ovl_inode")
	v.inode = kstruct.BindMember(b, "ovl_inode", "vfs_inode")
	v.layerPath = kstruct.BindMember(b, "ovl_path", "dentry")
	if v.ovl.Has("Entry") {
		v.count = kstruct.BindField[uint32](b, "ovl_entry", "__numlower")
		v.stack = kstruct.BindMember(b, "ovl_entry", "__lowerstack")
	} else {
		v.count = kstruct.BindField[uint32](b, "ovl_entry", "numlower")
		v.first = kstruct.BindField[vmem.VirtAddr](b, "inode", "i_dentry.first")
		v.alias = kstruct.BindMember(b, "dentry", "d_u.d_alias")
		v.data = kstruct.BindField[vmem.VirtAddr](b, "dentry", "d_fsdata")
	}
	if u, err := types.UserType("ovl_path"); err == nil {
		v.size = vmem.VirtAddr(u.Size)
	}
	v.layers = kstruct.BindOptionalField[vmem.VirtAddr](b, "ovl_fs", "layers")
	v.numLayer = kstruct.BindOptionalField[uint32](b, "ovl_fs", "numlayer")
	v.layerMnt = kstruct.BindOptionalField[vmem.VirtAddr](b, "ovl_layer", "mnt")
	if u, err := types.UserType("ovl_layer"); err == nil {
		v.layerSize = vmem.VirtAddr(u.Size)
	}
	bit, err := types.Constant("ovl_inode_flag", "OVL_UPPERDATA")
	if err != nil || bit < 0 || bit > 63 {
		bit = 3 // where it is since it was added in 4.19 (0c2888749363)
	}
	v.upperData = 1 << bit
	if v.err = b.Err(); v.err != nil {
		s.lose("overlayfs", 0, v.err)
	}
	return v
}

// throughOverlay gives n, an inode of an overlay, the attributes of the file in its layers, and finds its contents. overlays
// counts it and those above of it.
func (s *Set) throughOverlay(n *Inode, overlays int) error {
	v := s.overlay
	o, err := v.ovl.Load(s.mem, v.inode.Container(n.Addr))
	if err != nil {
		return err
	}
	upper, err := s.inodeUnder(o.Upper, overlays)
	if err != nil {
		return err
	}
	lower, data, err := s.lower(&o, n, overlays)
	if err != nil {
		return err
	}
	shown := upper
	if upper == nil {
		shown = lower
	}
	if shown == nil && n.IsDir() {
		return nil // it only keeps a layer from being used twice (ovl_get_trap_inode of fs/overlayfs/util.c)
	}
	if shown == nil || shown.Mode&modeType != n.Mode&modeType {
		return corrupt("inode %v of an overlay, of no layer", n.Addr)
	}
	number, device, addr, super, mapping := n.Number, n.Device, n.Addr, n.Super, n.mapping
	links := n.Links
	*n = *shown
	n.Number, n.Device, n.Addr, n.Super, n.superAddr, n.mapping, n.links = number, device, addr, super, super.Addr, mapping, shown
	if n.IsDir() && s.merged(&o, addr, upper != nil) {
		n.Links = 1 // ovl_getattr of fs/overlayfs/inode.c
	} else if !n.IsDir() {
		n.Links = links
	}
	n.over, n.upper, n.lower = shown, upper, lower
	if n.IsRegular() && upper != nil && o.Flags&v.upperData == 0 {
		n.over, n.upper = data, nil // only its attributes were copied up
		if data != nil {
			n.Blocks = data.Blocks
		}
	} else if upper == nil && n.IsRegular() {
		n.over = data // nil where the file below has attributes alone, and the data was not looked up yet
	}
	return nil
}

// merged reports whether a directory is more than one in the layers: OVL_TYPE_MERGE of fs/overlayfs/overlayfs.h.
func (s *Set) merged(o *ovlInode, inode vmem.VirtAddr, upper bool) bool {
	v := s.overlay
	entry := o.Entry
	if !v.ovl.Has("Entry") {
		first, err := v.first.Load(s.mem, inode)
		if err != nil || first == 0 {
			return upper && (o.Lower != 0 || o.LowerPath != 0)
		}
		if entry, err = v.data.Load(s.mem, v.alias.Container(first)); err != nil {
			return false
		}
	}
	if entry == 0 {
		return false
	}
	count, err := v.count.Load(s.mem, entry)
	return err == nil && (upper && count > 0 || count > 1)
}

// lower returns the file in the first layer below, and that which has the data; nil where there is none.
func (s *Set) lower(o *ovlInode, n *Inode, overlays int) (lower, data *Inode, err error) {
	v := s.overlay
	switch {
	case v.ovl.Has("Entry"):
		return s.stack(o.Entry, overlays)
	case v.ovl.Has("LowerPath"):
		lower, err = s.inodeUnder(o.LowerPath, overlays)
	case o.Lower != 0:
		lower, err = s.inodeBelow(o.Lower, overlays)
	}
	data = lower
	if err == nil && n.IsRegular() && o.LowerData != 0 {
		data, err = s.inodeBelow(o.LowerData, overlays)
	}
	return lower, data, err
}

// maxLayers is how many layers an overlay can have (OVL_MAX_STACK of fs/overlayfs/params.h).
const maxLayers = 500

// stack reads the first and the last path of a struct ovl_entry.
func (s *Set) stack(entry vmem.VirtAddr, overlays int) (lower, data *Inode, err error) {
	v := s.overlay
	if entry == 0 {
		return nil, nil, nil
	}
	count, err := v.count.Load(s.mem, entry)
	switch {
	case err != nil:
		return nil, nil, err
	case count == 0:
		return nil, nil, nil
	case count > maxLayers:
		return nil, nil, corrupt("%d layers", count)
	}
	at := func(i uint32) (*Inode, error) {
		d, err := s.mem.Uint64(v.layerPath.Of(v.stack.Of(entry) + vmem.VirtAddr(i)*v.size))
		if err != nil {
			return nil, err
		}
		return s.inodeUnder(vmem.VirtAddr(d), overlays)
	}
	if lower, err = at(0); err != nil || count == 1 {
		return lower, lower, err
	}
	data, err = at(count - 1)
	return lower, data, err
}

// inodeOfDentry reads the inode of a dentry, which is nil where there is none.
func (s *Set) inodeOfDentry(dentry vmem.VirtAddr) (*Inode, error) { return s.inodeUnder(dentry, 0) }

// inodeUnder is inodeOfDentry for one that so many overlays are above of.
func (s *Set) inodeUnder(dentry vmem.VirtAddr, overlays int) (*Inode, error) {
	if dentry == 0 {
		return nil, nil
	}
	d, err := s.v.dentry.Load(s.mem, dentry)
	if err != nil || d.Inode == 0 {
		return nil, err
	}
	n, err := s.inodeBelow(d.Inode, overlays)
	if err == nil && n.superAddr != d.Super {
		err = corrupt("dentry %v of super_block %v, inode of %v", dentry, d.Super, n.superAddr)
	}
	return n, err
}

// A Layer is one of the directories that an overlay is made of.
type Layer struct {
	Upper bool   `json:"upper"` // what is written goes there
	Path  string `json:"path"`  // in the file system that has it
	Super *Super `json:"-"`

	root place
}

// LayerFS returns the files of a layer by themselves: what was written into an overlay, where the layer is its upper one, with whiteouts
// as what they are there, devices with the number 0. The error says what was lost of the mount.
func (s *Set) LayerFS(l *Layer) (*FS, error) {
	f := &FS{s: s, root: l.root}
	return f.WithoutMounts()
}

// Layers returns the layers of an overlay, the upper one first where there is one, then from the topmost down. The error is
// [kstruct.ErrUnsupported] where the types lack what it needs, or the first loss.
func (s *Set) Layers(f *Super) ([]Layer, error) {
	v := s.overlay
	if v == nil || !v.layers.Ok() || !v.numLayer.Ok() || !v.layerMnt.Ok() || f.FSType != "overlay" {
		return nil, kstruct.ErrUnsupported
	}
	array, err := v.layers.Load(s.mem, f.info)
	if err != nil {
		return nil, err
	}
	count, err := v.numLayer.Load(s.mem, f.info)
	if err != nil {
		return nil, err
	}
	if count > maxLayers+1 {
		return nil, corrupt("%d layers", count)
	}
	var all []Layer
	for i := range count {
		mnt, err := v.layerMnt.Load(s.mem, array+vmem.VirtAddr(i)*v.layerSize)
		if err != nil {
			return all, err
		}
		if mnt == 0 { // there is no upper layer
			continue
		}
		m, err := s.v.mount.Load(s.mem, s.v.vfs.Container(mnt))
		if err != nil {
			return all, err
		}
		path, err := s.k.DentryPath(m.Root)
		if err != nil {
			return all, err
		}
		all = append(all, Layer{Upper: i == 0, Path: path, Super: s.superOf(m.Super), root: place{s.v.vfs.Container(mnt), m.Root}})
	}
	return all, nil
}
