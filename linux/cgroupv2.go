package linux

import (
	"fmt"
)

// cgroupV2Shown reports whether /proc shows cgroups of the v2 hierarchy, which it does once
// that was mounted: cgrp_dfl_visible. A kernel that has cgroups in it is believed more than
// that byte; the error is then a Gap.
func (k *Kernel) cgroupV2Shown() (bool, error) {
	at, err := k.Symbol("cgrp_dfl_visible")
	if err != nil {
		return true, nil //nolint:nilerr // not every kernel names it, and then nothing is lost
	}
	visible, err := k.space.Uint8(at)
	n := k.cgroupsV2()
	switch {
	case err != nil:
	case visible == 1:
		return true, nil
	case visible == 0 && n == 0:
		return false, nil
	default:
		err = fmt.Errorf("%w: it is %d, and the v2 hierarchy has %d cgroups: they are taken to show", ErrDisagree, visible, n)
	}
	return true, newGap("cgrp_dfl_visible", at, err)
}

// cgroupsV2 returns how many cgroups the v2 hierarchy has beside its root, 0 where that
// can't be read.
func (k *Kernel) cgroupsV2() int32 {
	at, err := k.Symbol("cgrp_dfl_root")
	if err != nil {
		return 0
	}
	root, err := k.views.cgroup.root.Load(k.space, at)
	if err != nil {
		return 0
	}
	n, err := k.views.cgroup.descendants.Load(k.space, root.Top)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// errHidden says that a cgroup shows though cgrp_dfl_visible denies it.
var errHidden = fmt.Errorf("%w: it is in a cgroup of the v2 hierarchy, which cgrp_dfl_visible says does not show", ErrDisagree)

// shown reports whether /proc shows the cgroup. A task that is not in the root of the v2
// hierarchy is in it whatever cgrp_dfl_visible says, and the error tells.
func (k *Kernel) shown(p *CgroupPath) (bool, error) {
	switch {
	case p.Path == "":
		return false, nil
	case p.Hierarchy != 0 || k.cgroupV2:
		return true, nil
	case p.Path == "/":
		return false, nil
	}
	return true, errHidden
}
