package process

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Key is a key or a keyring of the kernel (struct key, include/linux/key.h).
type Key struct {
	Serial      int32     `json:"serial"`
	Type        string    `json:"type"` // keyring, user, logon, ...
	Description string    `json:"description"`
	UID         int32     `json:"uid"`
	GID         int32     `json:"gid"` // -1 for none
	Permissions uint32    `json:"permissions"`
	Expiry      time.Time `json:"expiry,omitzero"`   // zero for never
	Flags       uint64    `json:"flags"`             // KEY_FLAG_ bits
	Payload     string    `json:"payload,omitempty"` // of keys of the types user and logon, in hexadecimal
	PayloadSize int       `json:"payloadSize"`       // of these, in bytes
	// PayloadDigest is there where who reports the key has a digest in place of the payload, or beside it.
	PayloadDigest string        `json:"payloadDigest,omitempty"`
	Keys          []int32       `json:"keys,omitempty"` // serial numbers of what a keyring holds
	Address       vmem.VirtAddr `json:"address"`
}

// Keyrings are the keys that a task has, by the keyrings of its credentials. Serial numbers are 0 for none.
type Keyrings struct {
	Session int32 `json:"session"`
	Process int32 `json:"process"`
	Thread  int32 `json:"thread"`
	Keys    []Key `json:"keys"` // all that these lead to, and they themselves
}

// A keyStruct is struct key.
type keyStruct struct {
	Serial  int32         `kernel:"serial"`
	Expiry  int64         `kernel:"expiry"` // seconds since 1970
	UID     uint32        `kernel:"uid.val"`
	GID     uint32        `kernel:"gid.val"`
	Perm    uint32        `kernel:"perm"`
	Flags   uint64        `kernel:"flags"`
	Type    vmem.VirtAddr `kernel:"type"`
	Name    vmem.VirtAddr `kernel:"description"`
	Payload vmem.VirtAddr `kernel:"payload.data[0]"`
	Root    vmem.VirtAddr `kernel:"keys.root"`
}

type keyViews struct {
	key      *kstruct.View[keyStruct]
	typeName *kstruct.Field[vmem.VirtAddr] // of key_type
	slots    kstruct.Member                // of assoc_array_node
	next     *kstruct.Field[vmem.VirtAddr] // of assoc_array_shortcut
	dataLen  *kstruct.Field[uint16]        // of user_key_payload
	data     kstruct.Member
	err      error
}

func bindKeys(types *isf.File) (v keyViews) {
	b := kstruct.NewBinder(types)
	v.key = kstruct.Bind[keyStruct](b, "key")
	v.typeName = kstruct.BindField[vmem.VirtAddr](b, "key_type", "name")
	v.slots = kstruct.BindMember(b, "assoc_array_node", "slots")
	v.next = kstruct.BindField[vmem.VirtAddr](b, "assoc_array_shortcut", "next_node")
	v.dataLen = kstruct.BindField[uint16](b, "user_key_payload", "datalen")
	v.data = kstruct.BindMember(b, "user_key_payload", "data")
	v.err = b.Err()
	return v
}

const (
	// revoked is KEY_FLAG_REVOKED: the time is then that of the revocation.
	revoked = 1 << 1
	// maxKeys bounds the keys of one task.
	maxKeys = 4096
	// maxPayload is the most that a user key holds (user_preparse of security/keys/user_defined.c).
	maxPayload = 32767
	// Bits of pointers in an assoc_array (include/linux/assoc_array_priv.h, security/keys/keyring.c).
	metaBit     = 1 // a node or a shortcut, not a key
	shortcutBit = 2 // of those, a shortcut
	keyringBit  = 2 // of keys, a keyring
)

// Keyrings reads the keys that a task can reach by its own keyrings. The error is a [vmem.Gap]; with it comes what could be read.
// A kernel without CONFIG_KEYS has none, which is no error.
func (r *Reader) Keyrings(t *linux.Task) (Keyrings, error) {
	c, err := r.Credentials(t)
	out := Keyrings{Keys: []Key{}}
	if err != nil || c.keyrings == [3]vmem.VirtAddr{} {
		return out, err
	}
	w := keyWalk{Reader: r, seen: map[vmem.VirtAddr]bool{}, nodes: map[vmem.VirtAddr]bool{}, out: &out}
	for i, serial := range []*int32{&out.Session, &out.Process, &out.Thread} {
		if at := c.keyrings[i]; at != 0 {
			*serial = w.add(at)
		}
	}
	for len(w.queue) > 0 {
		at := w.queue[0]
		w.queue = w.queue[1:]
		w.add(at)
	}
	return out, lost(t, "keyrings", c.Address, w.err)
}

// A keyWalk follows keyrings.
type keyWalk struct {
	*Reader
	seen  map[vmem.VirtAddr]bool
	nodes map[vmem.VirtAddr]bool // of trees of keys
	queue []vmem.VirtAddr
	out   *Keyrings
	err   error // the first
}

func (w *keyWalk) fail(err error) {
	if w.err == nil {
		w.err = cause(err, w.views.keys.err)
	}
}

// add reads a key, unless it was, and returns its serial number.
func (w *keyWalk) add(at vmem.VirtAddr) int32 {
	if w.seen[at] {
		serial, err := w.serial(at)
		if err != nil {
			w.fail(err)
		}
		return serial
	}
	if len(w.seen) >= maxKeys {
		w.fail(fmt.Errorf("%w: more than %d keys", kstruct.ErrTooMany, maxKeys))
		return 0
	}
	w.seen[at] = true
	k, err := w.key(at)
	if err != nil {
		w.fail(err)
		return 0
	}
	w.out.Keys = append(w.out.Keys, k)
	return k.Serial
}

func (r *Reader) serial(at vmem.VirtAddr) (int32, error) {
	k, err := r.views.keys.key.Load(r.mem, at)
	return k.Serial, err
}

// key reads the struct key at an address, and queues what a keyring holds.
func (w *keyWalk) key(at vmem.VirtAddr) (Key, error) {
	v := &w.views.keys
	if !plausible(at) {
		return Key{}, corrupt("key pointer %v", at)
	}
	s, err := v.key.Load(w.mem, at)
	if err != nil {
		return Key{}, err
	}
	k := Key{Serial: s.Serial, UID: int32(s.UID), GID: int32(s.GID), Permissions: s.Perm, Flags: s.Flags, Address: at}
	if s.Flags&revoked == 0 && s.Expiry > 0 && s.Expiry < 1<<40 { // TIME64_MAX since 6.7 is never, as 0 is
		k.Expiry = time.Unix(s.Expiry, 0).UTC()
	}
	name, err := v.typeName.Load(w.mem, s.Type)
	if err == nil {
		k.Type, err = w.mem.CString(name, 64)
	}
	if err == nil {
		k.Description, err = w.mem.CString(s.Name, vmem.PageSize)
	}
	switch {
	case err != nil:
	case k.Type == "keyring":
		err = w.members(s.Root, 0, &k)
	case k.Type == "user" || k.Type == "logon":
		k.Payload, err = w.payload(s.Payload)
		k.PayloadSize = len(k.Payload) / 2
	}
	return k, err
}

// payload reads a struct user_key_payload.
func (r *Reader) payload(at vmem.VirtAddr) (string, error) {
	if !plausible(at) {
		return "", nil // revoked, or not yet there
	}
	n, err := r.views.keys.dataLen.Load(r.mem, at)
	if err != nil || n > maxPayload {
		return "", err
	}
	b := make([]byte, n)
	_, err = r.mem.ReadVirt(b, r.views.keys.data.Of(at))
	return hex.EncodeToString(b), err
}

// maxArrayDepth bounds how deep an assoc_array is: its keys have so many digits of four bits, and more where descriptions are long.
const maxArrayDepth = 64

// members reads what a keyring holds: an assoc_array (lib/assoc_array.c), a tree of nodes with 16 slots each and shortcuts between them.
func (w *keyWalk) members(p vmem.VirtAddr, depth int, k *Key) error {
	v := &w.views.keys
	switch {
	case p == 0:
		return nil
	case depth > maxArrayDepth || len(k.Keys) >= maxKeys:
		return fmt.Errorf("%w: keyring %d", kstruct.ErrTooLong, k.Serial)
	case p&metaBit == 0:
		at := p &^ keyringBit
		serial, err := w.serial(at)
		if err != nil {
			return err
		}
		k.Keys = append(k.Keys, serial)
		if !w.seen[at] && len(w.queue) <= maxKeys {
			w.queue = append(w.queue, at)
		}
		return nil
	case w.nodes[p]:
		return fmt.Errorf("%w: keyring %d", kstruct.ErrCycle, k.Serial)
	case len(w.nodes) > maxKeys*maxArrayDepth:
		return fmt.Errorf("%w: keyring %d", kstruct.ErrTooLong, k.Serial)
	}
	w.nodes[p] = true
	if p&shortcutBit != 0 {
		next, err := v.next.Load(w.mem, p&^(metaBit|shortcutBit))
		if err != nil {
			return err
		}
		return w.members(next, depth+1, k)
	}
	b := make([]byte, min(v.slots.Size(), 16*8))
	if _, err := w.mem.ReadVirt(b, v.slots.Of(p&^metaBit)); err != nil {
		return err
	}
	for ; len(b) >= 8; b = b[8:] {
		if err := w.members(vmem.VirtAddr(binary.LittleEndian.Uint64(b)), depth+1, k); err != nil {
			return err
		}
	}
	return nil
}
