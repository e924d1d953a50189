package socket

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxInstructions is BPF_MAXINSNS of include/uapi/linux/bpf_common.h: no classic program is
// longer.
const maxInstructions = 4096

// A Filter is a BPF program of a socket.
type Filter struct {
	// Kind is classic for what SO_ATTACH_FILTER takes, ebpf for what SO_ATTACH_BPF does.
	Kind         string `json:"kind"`
	Instructions int    `json:"instructions"`
	// SHA256 is of the instructions as the program was attached, eight bytes each; of a
	// classic one only, and empty if they can't be read.
	SHA256 string `json:"sha256,omitempty"`
	// Tag is the beginning of the hash that the kernel made of the instructions, and ID and
	// Name are as bpftool shows them; of an eBPF program only.
	Tag  string        `json:"tag,omitempty"`
	ID   uint32        `json:"id,omitempty"`
	Name string        `json:"name,omitempty"`
	Addr vmem.VirtAddr `json:"address"` // of struct bpf_prog
}

// A bpfProg is struct bpf_prog (include/linux/bpf.h).
type bpfProg struct {
	Type uint32        `kernel:"type"`
	Len  uint32        `kernel:"len"`
	Tag  [8]byte       `kernel:"tag"`
	Aux  vmem.VirtAddr `kernel:"aux"`
	Orig vmem.VirtAddr `kernel:"orig_prog"` // what a classic program was, 0 of others
}

// A bpfAux is struct bpf_prog_aux.
type bpfAux struct {
	ID   uint32   `kernel:"id"`
	Name [16]byte `kernel:"name"`
}

// A classicProg is struct sock_fprog_kern (include/linux/filter.h).
type classicProg struct {
	Len  uint16        `kernel:"len"`
	Code vmem.VirtAddr `kernel:"filter"`
}

type filterViews struct {
	prog    *kstruct.Field[vmem.VirtAddr] // of sk_filter
	reuse   *kstruct.Field[vmem.VirtAddr] // of sock_reuseport
	bpf     *kstruct.View[bpfProg]
	aux     *kstruct.View[bpfAux]
	classic *kstruct.View[classicProg]
	err     error
}

func bindFilter(types *isf.File) (v filterViews) {
	b := kstruct.NewBinder(types)
	v.prog = kstruct.BindField[vmem.VirtAddr](b, "sk_filter", "prog")
	v.bpf = kstruct.Bind[bpfProg](b, "bpf_prog")
	v.aux = kstruct.Bind[bpfAux](b, "bpf_prog_aux")
	v.classic = kstruct.Bind[classicProg](b, "sock_fprog_kern")
	v.reuse = kstruct.BindField[vmem.VirtAddr](b, "sock_reuseport", "prog")
	v.err = b.Err()
	return v
}

// filterOf returns the program of the sk_filter at an address, nil for none.
func (f *finder) filterOf(at vmem.VirtAddr) *Filter { return f.programOf(at, f.v.filter.prog) }

// reuseportOf returns the program of the sock_reuseport at an address.
func (f *finder) reuseportOf(at vmem.VirtAddr) *Filter { return f.programOf(at, f.v.filter.reuse) }

func (f *finder) programOf(at vmem.VirtAddr, of *kstruct.Field[vmem.VirtAddr]) *Filter {
	if at == 0 {
		return nil
	}
	prog, err := of.Load(f.mem, at)
	if err != nil {
		f.loseAt("filter of a socket", at, cause(err, f.v.filter.err))
		return nil
	}
	if prog == 0 {
		return nil
	}
	p, ok := f.filters[prog]
	if !ok {
		if p, err = f.readFilter(prog); err != nil {
			f.loseAt("filter of a socket", prog, cause(err, f.v.filter.err))
		}
		f.filters[prog] = p
	}
	return p
}

// readFilter reads the bpf_prog at addr. What could be read comes with an error.
func (f *finder) readFilter(addr vmem.VirtAddr) (*Filter, error) {
	v := &f.v.filter
	p, err := v.bpf.Load(f.mem, addr)
	if err != nil {
		return nil, err
	}
	if p.Orig == 0 {
		filter := &Filter{Kind: "ebpf", Instructions: int(p.Len), Tag: hex.EncodeToString(p.Tag[:]), Addr: addr}
		aux, err := v.aux.Load(f.mem, p.Aux)
		filter.ID, filter.Name = aux.ID, text(aux.Name[:])
		return filter, err
	}
	filter := &Filter{Kind: "classic", Addr: addr}
	c, err := v.classic.Load(f.mem, p.Orig)
	if err != nil {
		return filter, err
	}
	filter.Instructions = int(c.Len)
	if c.Len > maxInstructions {
		return filter, corrupt("classic program of %d instructions", c.Len)
	}
	code := make([]byte, 8*int(c.Len)) // at most 32 KiB
	if _, err := f.mem.ReadVirt(code, c.Code); err != nil {
		return filter, err
	}
	sum := sha256.Sum256(code)
	filter.SHA256 = hex.EncodeToString(sum[:])
	return filter, nil
}
