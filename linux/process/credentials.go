package process

import (
	"slices"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Credentials are what a task may do by who it is: struct cred (include/linux/cred.h). Identifiers are those of
// the initial user namespace.
type Credentials struct {
	UID    uint32   `json:"uid"`
	EUID   uint32   `json:"euid"`
	SUID   uint32   `json:"suid"`
	FSUID  uint32   `json:"fsuid"`
	GID    uint32   `json:"gid"`
	EGID   uint32   `json:"egid"`
	SGID   uint32   `json:"sgid"`
	FSGID  uint32   `json:"fsgid"`
	Groups []uint32 `json:"groups"` // supplementary ones

	Inheritable Capabilities `json:"inheritable"`
	Permitted   Capabilities `json:"permitted"`
	Effective   Capabilities `json:"effective"`
	Bounding    Capabilities `json:"bounding"`
	Ambient     Capabilities `json:"ambient"`
	SecureBits  SecureBits   `json:"secureBits"`

	UserNamespace vmem.VirtAddr `json:"userNamespace"` // the struct user_namespace
	Address       vmem.VirtAddr `json:"address"`       // the struct cred

	blob     vmem.VirtAddr    // of security modules
	keyrings [3]vmem.VirtAddr // of the session, the process and the thread
	ucounts  vmem.VirtAddr
	user     vmem.VirtAddr
}

// A SecureBits says what a program that becomes root, or ceases to be it, has of capabilities
// (include/uapi/linux/securebits.h). In JSON it is the array of the names.
type SecureBits uint32

var secureBitNames = []string{
	"noroot", "noroot-locked", "no-setuid-fixup", "no-setuid-fixup-locked", "keep-caps", "keep-caps-locked",
	"no-cap-ambient-raise", "no-cap-ambient-raise-locked",
	"exec-restrict-file", "exec-restrict-file-locked", "exec-deny-interactive", "exec-deny-interactive-locked", // since 6.14
}

// Names returns the names of the bits, such as noroot and keep-caps.
func (s SecureBits) Names() []string { return bitNames(uint64(s), secureBitNames) }

var _ = jsonx.Describe[SecureBits, []string]()

// MarshalJSON returns the names as an array.
func (s SecureBits) MarshalJSON() ([]byte, error) { return marshalBits(uint64(s), secureBitNames) }

// UnmarshalJSON takes what MarshalJSON gives.
func (s *SecureBits) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(b, secureBitNames)
	*s = SecureBits(v)
	return err
}

// Credentials reads the task's objective credentials (task_struct.real_cred), those that others act on it by and
// that /proc shows. The error is a [vmem.Gap]; with it comes what could be read.
func (r *Reader) Credentials(t *linux.Task) (Credentials, error) {
	r.k.Physical().Refresh()
	s, err := r.views.signals.Load(r.mem, t.Addr)
	if err != nil {
		return Credentials{}, lost(t, "credentials", t.Addr, cause(err, r.views.err))
	}
	c, err := r.credentials(s.RealCred)
	return c, lost(t, "credentials", s.RealCred, err)
}

// Overrides reports whether the task acts with other credentials than its own for now, as a server does for a client
// (task_struct.cred).
func (r *Reader) Overrides(t *linux.Task) (bool, error) {
	s, err := r.views.signals.Load(r.mem, t.Addr)
	return err == nil && s.Cred != s.RealCred, lost(t, "credentials", t.Addr, cause(err, r.views.err))
}

// credentials reads the struct cred at an address.
func (r *Reader) credentials(at vmem.VirtAddr) (Credentials, error) {
	if !plausible(at) {
		return Credentials{}, corrupt("cred pointer %v", at)
	}
	s, err := r.views.cred.Load(r.mem, at)
	if err != nil {
		return Credentials{}, cause(err, r.views.err)
	}
	if s.Usage <= 0 || !plausible(s.UserNS) {
		return Credentials{}, corrupt("cred %v in use %d times, of user namespace %v", at, s.Usage, s.UserNS)
	}
	c := Credentials{
		UID: s.UID, EUID: s.EUID, SUID: s.SUID, FSUID: s.FSUID, GID: s.GID, EGID: s.EGID, SGID: s.SGID, FSGID: s.FSGID,
		Inheritable: capabilities(s.Inheritable), Permitted: capabilities(s.Permitted), Effective: capabilities(s.Effective),
		Bounding: capabilities(s.Bounding), Ambient: capabilities(s.Ambient), SecureBits: SecureBits(s.SecureBits),
		UserNamespace: s.UserNS, Address: at, blob: s.Blob, keyrings: [3]vmem.VirtAddr{s.Session, s.Process, s.Thread},
		ucounts: s.UCounts, user: s.User,
	}
	c.Groups, err = r.groups(s.Groups)
	return c, err
}

// maxGroups is NGROUPS_MAX of include/uapi/linux/limits.h.
const maxGroups = 65536

// groups reads a struct group_info. Its identifiers are sorted (groups_sort of kernel/groups.c).
func (r *Reader) groups(at vmem.VirtAddr) ([]uint32, error) {
	if !plausible(at) {
		return nil, corrupt("group_info pointer %v", at)
	}
	n, err := r.views.ngroups.Load(r.mem, at)
	if err == nil && (n < 0 || n > maxGroups) {
		err = corrupt("%d groups", n)
	}
	if err != nil {
		return nil, cause(err, r.views.err)
	}
	groups := []uint32{}
	for i := range n {
		gid, err := r.mem.Uint32(r.views.gids.Of(at) + vmem.VirtAddr(4*i))
		if err != nil {
			return groups, err
		}
		groups = append(groups, gid)
	}
	if !slices.IsSorted(groups) {
		return groups, corrupt("groups are not sorted")
	}
	return groups, nil
}
