package kstruct

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A Member is where one member of a kernel structure is: what a walk over a container
// needs to get from the links in a structure to the structure itself. The zero Member is
// one that the kernel does not have.
type Member struct {
	field isf.Field // without a Type where there is none
	size  uint64
}

// BindMember binds the member of the structure typ that path names, or the first of the
// older paths there is. Paths are those of [isf.File.Field]. Where there is none, the
// Binder's error says so.
func BindMember(b *Binder, typ, path string, older ...string) Member {
	u, err := b.userType(typ, nil)
	b.note(err)
	if err != nil {
		return Member{}
	}
	m, err := b.bindMember(u, path, older)
	b.note(err)
	return m
}

// BindOptionalMember is [BindMember] for a member that need not exist, nor need the
// structure. Where it does not, the Member is not Ok.
func BindOptionalMember(b *Binder, typ, path string, older ...string) Member {
	u, err := b.userType(typ, nil)
	if err != nil {
		return Member{}
	}
	m, _ := b.bindMember(u, path, older)
	return m
}

func (b *Binder) bindMember(u *isf.UserType, path string, older []string) (Member, error) {
	f, err := b.member(u, path, older)
	if err != nil {
		return Member{}, err
	}
	size, err := b.types.SizeOf(f.Type)
	if err != nil {
		size = 0 // of a function, or of a type that is only declared
	}
	return Member{f, size}, nil
}

// Ok reports whether the kernel has the member.
func (m Member) Ok() bool { return m.field.Type != nil }

// Offset returns the offset of the member in its structure in bytes, [isf.Absent] where
// it is not Ok.
func (m Member) Offset() uint64 {
	if !m.Ok() {
		return isf.Absent
	}
	return m.field.Offset
}

// Size returns the size of the member in bytes, 0 where it is not Ok or has none, as a
// flexible array.
func (m Member) Size() uint64 { return m.size }

// Count returns the number of elements of a member that is an array, 0 for a flexible
// array and for what is none.
func (m Member) Count() uint64 {
	if !m.Ok() || m.field.Type.Kind != isf.KindArray {
		return 0
	}
	return m.field.Type.Count
}

// Type returns the type of the member, nil where it is not Ok.
func (m Member) Type() *isf.Type { return m.field.Type }

// Of returns the address of the member in the structure at base. Where the member is not
// Ok, that is an address that can't be read.
func (m Member) Of(base vmem.VirtAddr) vmem.VirtAddr { return base + vmem.VirtAddr(m.Offset()) }

// Container returns the address of the structure whose member is at addr, as
// container_of does. Where the member is not Ok, that is an address that can't be read.
func (m Member) Container(addr vmem.VirtAddr) vmem.VirtAddr { return addr - vmem.VirtAddr(m.Offset()) }
