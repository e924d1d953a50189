package process

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Seccomp says which system calls a task may make (struct seccomp).
type Seccomp struct {
	Mode    string          `json:"mode"`               // off, strict (read, write, exit alone), or filter
	Filters []SeccompFilter `json:"filters"`            // the newest first; all of them are asked, and the strictest answer counts
	Calls   *CallPolicy     `json:"calls" jsonx:"null"` // what the filters say together; nil without any, or where one could not be read
}

// A SeccompFilter is a struct seccomp_filter: a program in classic BPF.
type SeccompFilter struct {
	Instructions []Instruction `json:"-"`
	Length       int           `json:"length"`   // of the program, in instructions
	Hash         string        `json:"hash"`     // SHA-256 of them as they were given to the kernel: filters of one profile have one
	Log          bool          `json:"log"`      // what it does not allow is logged
	Notifies     bool          `json:"notifies"` // a process answers for it (SECCOMP_FILTER_FLAG_NEW_LISTENER)
	Address      vmem.VirtAddr `json:"address"`

	cached []byte // numbers of the calls that the chain up to here allows whatever their arguments, a bit each, as the kernel found out
}

// An Instruction is one of classic BPF: struct sock_filter (include/uapi/linux/filter.h).
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// String returns the numbers of the instruction, as `tcpdump -ddd` does.
func (i Instruction) String() string { return fmt.Sprintf("%d %d %d %d", i.Code, i.JT, i.JF, i.K) }

// A seccompFilter is struct seccomp_filter (kernel/seccomp.c).
type seccompFilter struct {
	Log    bool          `kernel:"log"`
	Prev   vmem.VirtAddr `kernel:"prev"`
	Prog   vmem.VirtAddr `kernel:"prog"`
	Notify vmem.VirtAddr `kernel:"notif,optional"` // since 5.0
}

// A classicProg is struct sock_fprog_kern.
type classicProg struct {
	Len    uint16        `kernel:"len"`
	Filter vmem.VirtAddr `kernel:"filter"`
}

type filterViews struct {
	filter *kstruct.View[seccompFilter]
	orig   *kstruct.Field[vmem.VirtAddr] // of bpf_prog
	prog   *kstruct.View[classicProg]
	cache  kstruct.Member // allow_native, since 5.11 (8e01b51a31a1)
	err    error
}

func bindFilters(types *isf.File) (v filterViews) {
	b := kstruct.NewBinder(types)
	v.filter = kstruct.Bind[seccompFilter](b, "seccomp_filter")
	v.orig = kstruct.BindField[vmem.VirtAddr](b, "bpf_prog", "orig_prog")
	v.prog = kstruct.Bind[classicProg](b, "sock_fprog_kern")
	v.err = b.Err()
	v.cache = kstruct.BindOptionalMember(kstruct.NewBinder(types), "seccomp_filter", "cache.allow_native")
	return v
}

const (
	// maxFilters bounds a chain: all its filters together have 32,768 instructions at most (MAX_INSNS_PER_PATH of kernel/seccomp.c).
	maxFilters = 8192
	// maxInstructions is BPF_MAXINSNS of include/uapi/linux/bpf_common.h.
	maxInstructions = 4096
	// classicSize is the size of struct sock_filter, which is part of the kernel's interface.
	classicSize = 8
)

// seccompModes are the modes by number (include/uapi/linux/seccomp.h). The last is that of a task that a filter is about to kill.
var seccompModes = []string{"off", "strict", "filter", "dead"}

// Seccomp reads which system calls the task may make. The error is a [vmem.Gap]; with it comes what could be read. A kernel
// without CONFIG_SECCOMP has none, which is no error.
func (r *Reader) Seccomp(t *linux.Task) (Seccomp, error) {
	r.k.Physical().Refresh()
	out := Seccomp{Mode: seccompModes[0], Filters: []SeccompFilter{}}
	if !r.views.seccomp.Ok() {
		return out, nil
	}
	s, err := r.views.seccomp.Load(r.mem, t.Addr)
	if err == nil && (s.Mode < 0 || int(s.Mode) >= len(seccompModes)) {
		err = corrupt("seccomp mode %d", s.Mode)
	}
	if err != nil {
		return out, lost(t, "seccomp", t.Addr, err)
	}
	out.Mode = seccompModes[s.Mode]
	at := s.Filter
	for n := 0; err == nil && at != 0; n++ {
		if n >= maxFilters || !plausible(at) {
			err = corrupt("seccomp_filter pointer %v, after %d filters", at, n)
			break
		}
		var f SeccompFilter
		f, at, err = r.filter(at)
		out.Filters = append(out.Filters, f)
	}
	if err == nil && r.views.seccomp.Has("Count") && int(s.Count) != len(out.Filters) {
		err = fmt.Errorf("%w: %d filters, filter_count says %d", linux.ErrDisagree, len(out.Filters), s.Count)
	}
	if err == nil && len(out.Filters) > 0 {
		out.Calls, err = r.policies.of(out.Filters, r.k.Live())
	}
	return out, lost(t, "seccomp", t.Addr, err)
}

// filter reads the struct seccomp_filter at an address, and returns where the one before it is.
func (r *Reader) filter(at vmem.VirtAddr) (SeccompFilter, vmem.VirtAddr, error) {
	v := &r.views.filters
	s, err := v.filter.Load(r.mem, at)
	if err != nil {
		return SeccompFilter{Address: at}, 0, cause(err, v.err)
	}
	f := SeccompFilter{Log: s.Log, Notifies: s.Notify != 0, Address: at}
	if v.cache.Ok() {
		f.cached = make([]byte, min(v.cache.Size(), 4096))
		if _, err := r.mem.ReadVirt(f.cached, v.cache.Of(at)); err != nil {
			return f, 0, err
		}
	}
	orig, err := v.orig.Load(r.mem, s.Prog)
	if err != nil {
		return f, 0, err
	}
	if orig == 0 { // kept with CONFIG_CHECKPOINT_RESTORE, and since 5.11 always
		return f, 0, fmt.Errorf("%w: the kernel did not keep the filter as it was given", kstruct.ErrUnsupported)
	}
	f.Instructions, f.Hash, err = r.instructions(orig)
	f.Length = len(f.Instructions)
	return f, s.Prev, err
}

// instructions reads a struct sock_fprog_kern.
func (r *Reader) instructions(at vmem.VirtAddr) ([]Instruction, string, error) {
	p, err := r.views.filters.prog.Load(r.mem, at)
	if err == nil && (p.Len == 0 || p.Len > maxInstructions || !plausible(p.Filter)) {
		err = corrupt("filter of %d instructions at %v", p.Len, p.Filter)
	}
	if err != nil {
		return nil, "", err
	}
	b := make([]byte, classicSize*int(p.Len))
	if _, err := r.mem.ReadVirt(b, p.Filter); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b)
	return parseInstructions(b), hex.EncodeToString(sum[:]), nil
}

// parseInstructions decodes an array of struct sock_filter.
func parseInstructions(b []byte) []Instruction {
	all := make([]Instruction, 0, len(b)/classicSize)
	for ; len(b) >= classicSize; b = b[classicSize:] {
		all = append(all, Instruction{binary.LittleEndian.Uint16(b), b[2], b[3], binary.LittleEndian.Uint32(b[4:])})
	}
	return all
}
