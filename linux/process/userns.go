package process

import (
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A UserNamespace is a struct user_namespace (include/linux/user_namespace.h).
type UserNamespace struct {
	Inum      uint32        `json:"inum"`
	Level     int32         `json:"level"` // 0 is the initial one
	OwnerUID  uint32        `json:"ownerUID"`
	OwnerGID  uint32        `json:"ownerGID"`
	SetGroups bool          `json:"setGroups"` // its processes may drop groups (USERNS_SETGROUPS_ALLOWED)
	UIDs      []IDMap       `json:"uidMap"`
	GIDs      []IDMap       `json:"gidMap"`
	Parent    vmem.VirtAddr `json:"parent" jsonx:"null"`
	Address   vmem.VirtAddr `json:"address"`
}

// An IDMap says which identifiers of a user namespace stand for which of the initial one: a line of
// /proc/PID/uid_map as the initial namespace reads it.
type IDMap struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Count   uint32 `json:"count"`
}

// A userNS is struct user_namespace.
type userNS struct {
	UIDs   vmem.VirtAddr `kernel:"&uid_map"`
	GIDs   vmem.VirtAddr `kernel:"&gid_map"`
	Parent vmem.VirtAddr `kernel:"parent"`
	Level  int32         `kernel:"level"`
	Owner  uint32        `kernel:"owner.val"`
	Group  uint32        `kernel:"group.val"`
	Inum   uint32        `kernel:"ns.inum"`
	Flags  uint64        `kernel:"flags"`
}

// An idExtent is struct uid_gid_extent.
type idExtent struct {
	First uint32 `kernel:"first"`
	Lower uint32 `kernel:"lower_first"`
	Count uint32 `kernel:"count"`
}

type nsViews struct {
	ns      *kstruct.View[userNS]
	extent  *kstruct.View[idExtent]
	count   *kstruct.Field[uint32]        // of uid_gid_map
	inline  kstruct.Member                // its extents
	forward *kstruct.Field[vmem.VirtAddr] // those of one that has many
	err     error
}

func bindNS(types *isf.File) (v nsViews) {
	b := kstruct.NewBinder(types)
	v.ns = kstruct.Bind[userNS](b, "user_namespace")
	v.extent = kstruct.Bind[idExtent](b, "uid_gid_extent")
	v.count = kstruct.BindField[uint32](b, "uid_gid_map", "nr_extents")
	v.inline = kstruct.BindMember(b, "uid_gid_map", "extent")
	v.forward = kstruct.BindField[vmem.VirtAddr](b, "uid_gid_map", "forward")
	v.err = b.Err()
	return v
}

const (
	// inlineExtents is UID_GID_MAP_MAX_BASE_EXTENTS, and maxExtents UID_GID_MAP_MAX_EXTENTS of include/linux/user_namespace.h.
	inlineExtents = 5
	maxExtents    = 340
	// setGroupsAllowed is USERNS_SETGROUPS_ALLOWED of the same file.
	setGroupsAllowed = 1
)

// UserNamespace reads the user namespace at an address, that of [Credentials].UserNamespace. The error is a
// [vmem.Gap]; with it comes what could be read.
func (r *Reader) UserNamespace(at vmem.VirtAddr) (UserNamespace, error) {
	n, err := r.userNamespace(at)
	if err != nil {
		return n, vmem.NewGap("user namespace", vmem.KernelPlace(at), err)
	}
	return n, nil
}

func (r *Reader) userNamespace(at vmem.VirtAddr) (UserNamespace, error) {
	if !plausible(at) {
		return UserNamespace{}, corrupt("user_namespace pointer %v", at)
	}
	s, err := r.views.ns.ns.Load(r.mem, at)
	if err != nil {
		return UserNamespace{}, cause(err, r.views.ns.err)
	}
	n := UserNamespace{
		Inum: s.Inum, Level: s.Level, OwnerUID: s.Owner, OwnerGID: s.Group, SetGroups: s.Flags&setGroupsAllowed != 0,
		Parent: s.Parent, Address: at,
	}
	if n.UIDs, err = r.idMap(s.UIDs); err == nil {
		n.GIDs, err = r.idMap(s.GIDs)
	}
	return n, err
}

// idMap reads a struct uid_gid_map, by ascending identifier inside. One of more than five extents is elsewhere, sorted; one of fewer is
// as it was written.
func (r *Reader) idMap(at vmem.VirtAddr) ([]IDMap, error) {
	v := &r.views.ns
	n, err := v.count.Load(r.mem, at)
	if err == nil && n > maxExtents {
		err = corrupt("%d extents", n)
	}
	from := v.inline.Of(at)
	if err == nil && n > inlineExtents {
		from, err = v.forward.Load(r.mem, at)
	}
	if err != nil {
		return nil, err
	}
	extents := []IDMap{}
	for i := range n {
		e, err := v.extent.Load(r.mem, from+vmem.VirtAddr(uint64(i)*v.extent.Size()))
		if err != nil {
			return extents, err
		}
		extents = append(extents, IDMap{e.First, e.Lower, e.Count})
	}
	if n > inlineExtents && !slices.IsSortedFunc(extents, func(a, b IDMap) int { return int(int64(a.Inside) - int64(b.Inside)) }) {
		return extents, corrupt("extents are not sorted")
	}
	return extents, nil
}
