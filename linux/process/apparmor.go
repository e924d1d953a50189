package process

import (
	"cmp"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// AppArmor says what AppArmor confines a task by: an aa_label (security/apparmor/include/label.h).
type AppArmor struct {
	// Profile is the profile's name, several of them joined by //&, as /proc/PID/attr/current shows it without the
	// mode: unconfined, or such as cri-containerd.apparmor.d.
	Profile string `json:"profile"`
	Mode    string `json:"mode"` // enforce, complain, kill, unconfined, user; mixed where profiles differ
}

// An aaLabel is struct aa_label.
type aaLabel struct {
	Size  int32         `kernel:"size"`
	Vec   vmem.VirtAddr `kernel:"&vec"`
	HName vmem.VirtAddr `kernel:"hname"`
}

// An aaProfile is struct aa_profile.
type aaProfile struct {
	HName vmem.VirtAddr `kernel:"base.hname"`
	NS    vmem.VirtAddr `kernel:"ns"`
	Mode  int64         `kernel:"mode"`
	Own   vmem.VirtAddr `kernel:"label.vec[0]"` // of its own label: itself
}

// An aaNS is struct aa_ns.
type aaNS struct {
	HName vmem.VirtAddr `kernel:"base.hname"`
	Level int32         `kernel:"level"`
}

type apparmorViews struct {
	label   *kstruct.View[aaLabel]
	profile *kstruct.View[aaProfile]
	ns      *kstruct.View[aaNS]
}

func bindAppArmor(types *isf.File) (v apparmorViews) {
	b := kstruct.NewBinder(types)
	v.label = kstruct.Bind[aaLabel](b, "aa_label")
	v.profile = kstruct.Bind[aaProfile](b, "aa_profile")
	v.ns = kstruct.Bind[aaNS](b, "aa_ns")
	return v
}

// apparmorModes are the modes of profiles by number (enum profile_mode of security/apparmor/include/policy.h).
var apparmorModes = []string{"enforce", "complain", "kill", "unconfined", "user"}

const (
	// blobWords is how many pointers of security modules the credentials have at most: what one line of the allocator has.
	blobWords = 8
	// maxProfiles is how many profiles are stacked at most.
	maxProfiles = 64
)

// appArmor finds the label in the blob of security modules that credentials have. Where in it AppArmor's part is, apparmor_blob_sizes says
// (not exported); a label is known by its profiles, each of which is that of the label that it has in itself. nil means that
// there is none: the kernel does without AppArmor.
func (r *Reader) appArmor(blob vmem.VirtAddr) (*AppArmor, error) {
	v := &r.views.apparmor
	if !v.label.Ok() || !v.profile.Ok() || !v.ns.Ok() || !plausible(blob) {
		return nil, nil
	}
	first, n, known := vmem.VirtAddr(0), blobWords, false
	if at, err := r.k.Symbol("apparmor_blob_sizes"); err == nil {
		if offset, err := r.mem.Uint32(at); err == nil && offset%8 == 0 && offset < vmem.PageSize {
			first, n, known = vmem.VirtAddr(offset), 1, true
		}
	}
	for i := range n {
		at, err := r.mem.Uint64(blob + first + vmem.VirtAddr(8*i))
		if err != nil {
			return nil, err
		}
		a, err := r.label(vmem.VirtAddr(at))
		if err == nil && a != nil {
			return a, nil
		}
		if known && at != 0 { // there is one, and it can't be read
			return nil, cmp.Or(err, corrupt("no aa_label at %#x", at))
		}
	}
	return nil, nil
}

// label reads the aa_label at an address, nil if it is none.
func (r *Reader) label(at vmem.VirtAddr) (*AppArmor, error) {
	v := &r.views.apparmor
	if !plausible(at) {
		return nil, nil
	}
	l, err := v.label.Load(r.mem, at)
	if err != nil || l.Size < 1 || l.Size > maxProfiles {
		return nil, err
	}
	var names []string
	mode := ""
	for i := range l.Size {
		p, err := r.mem.Uint64(l.Vec + vmem.VirtAddr(8*i))
		if err != nil || !plausible(vmem.VirtAddr(p)) {
			return nil, err
		}
		name, m, err := r.profile(vmem.VirtAddr(p))
		if err != nil || name == "" {
			return nil, err
		}
		if names = append(names, name); mode == "" {
			mode = m
		} else if mode != m {
			mode = "mixed"
		}
	}
	return &AppArmor{strings.Join(names, "//&"), mode}, nil
}

// profile reads the aa_profile at an address: its name, with that of its namespace unless that is the root, and its mode.
func (r *Reader) profile(at vmem.VirtAddr) (name, mode string, err error) {
	v := &r.views.apparmor
	p, err := v.profile.Load(r.mem, at)
	if err != nil || p.Own != at || p.Mode < 0 || int(p.Mode) >= len(apparmorModes) {
		return "", "", err
	}
	if name, err = r.mem.CString(p.HName, vmem.PageSize); err != nil {
		return "", "", err
	}
	ns, err := v.ns.Load(r.mem, p.NS)
	if err != nil {
		return "", "", err
	}
	if ns.Level > 0 {
		space, err := r.mem.CString(ns.HName, vmem.PageSize)
		if err != nil {
			return "", "", err
		}
		name = ":" + space + "://" + name
	}
	return name, apparmorModes[p.Mode], nil
}
