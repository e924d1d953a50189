package ipvs

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// imageStart is where the kernel's image and its modules begin in memory: what is above is static
// data, and what is below was allocated.
const imageStart = 0xffffffff80000000

// heads is how many chains both tables of services have until 7.0 (IP_VS_SVC_TAB_SIZE), in all
// kernels the same.
const heads = 256

// svcTables are where the tables of services are; 0 where that is not known.
type svcTables struct{ services, marks vmem.VirtAddr }

// tablesOf returns where the tables are that services are in. They are static, and have no symbol
// where kallsyms has none of data; but each service points back to the head of its chain or to the
// service before it, and its address says which chain that is (ip_vs_svc_hashkey and
// ip_vs_svc_fwm_hashkey of net/netfilter/ipvs/ip_vs_ctl.c).
func (r *reader) tablesOf(services []vmem.VirtAddr) (t svcTables, err error) {
	types, _ := r.src.Types("ip_vs_service", vsModule)
	b := kstruct.NewBinder(types)
	byAddress := kstruct.BindMember(b, "ip_vs_service", "s_list")
	byMark := kstruct.BindMember(b, "ip_vs_service", "f_list")
	if err := b.Err(); err != nil {
		return t, err
	}
	for _, at := range services {
		raw, err := r.svc.Load(r.src.Mem(), at)
		if err != nil {
			return t, err
		}
		node, hash, to := byAddress, raw.hash(), &t.services
		if raw.Mark != 0 {
			node, hash, to = byMark, raw.markHash(), &t.marks
		}
		head, err := r.headOf(node.Of(at))
		if err != nil {
			return t, err
		}
		table := head - vmem.VirtAddr(8*(hash%heads))
		if *to != 0 && *to != table {
			return t, nfkit.Corrupt("services of the tables %v and %v", *to, table)
		}
		*to = table
	}
	return t, nil
}

// unnamed calls do for the services that servers lead to, and returns the tables that these are in.
func (r *reader) unnamed(seen map[vmem.VirtAddr]bool, do func(vmem.VirtAddr)) svcTables {
	var found []vmem.VirtAddr
	r.byServers(func(at vmem.VirtAddr) {
		if !seen[at] && nfkit.Plausible(at) {
			seen[at] = true
			found = append(found, at)
			do(at)
		}
	})
	t, err := r.tablesOf(found)
	r.lose(r.ipvs, err)
	if t.services != 0 && t.marks == 0 {
		t.marks = r.marksNear(t.services)
	}
	return t
}

// near is how far from one table the other one is looked for: both are static in one file.
const near = 16 << 10

// marksNear returns where the table of services by marks is, if there is one of the namespace in it:
// a head near the other table whose first node points back, and is in a service whose mark belongs
// to a chain there.
func (r *reader) marksNear(services vmem.VirtAddr) vmem.VirtAddr {
	types, _ := r.src.Types("ip_vs_service", vsModule)
	b := kstruct.NewBinder(types)
	byMark := kstruct.BindMember(b, "ip_vs_service", "f_list")
	if b.Err() != nil {
		return 0
	}
	for at := services - near; at < services+near; at += 8 {
		node, err := r.src.Mem().Uint64(at)
		if err != nil || !nfkit.Plausible(vmem.VirtAddr(node)) {
			continue
		}
		back, err := r.src.Mem().Uint64(vmem.VirtAddr(node) + 8)
		if err != nil || vmem.VirtAddr(back) != at {
			continue
		}
		s, err := r.svc.Load(r.src.Mem(), byMark.Container(vmem.VirtAddr(node)))
		if err == nil && s.IPVS == r.ipvs && s.Mark != 0 {
			return at - vmem.VirtAddr(8*(s.markHash()%heads))
		}
	}
	return 0
}

// chains calls do for each service of a table.
func (r *reader) chains(table vmem.VirtAddr, node string, do func(vmem.VirtAddr)) {
	if table == 0 {
		return
	}
	w := r.src.Walk(r.ctx, r.object(), maxObjects, vsModule)
	for i := range heads {
		for s, err := range w.Entries(w.HList(table+vmem.VirtAddr(8*i)), "ip_vs_service", node) {
			if err != nil {
				r.lose(s, err)
			} else {
				do(s)
			}
		}
	}
}

// headOf returns the head of the list that a node is in: it goes back from node to node.
func (r *reader) headOf(node vmem.VirtAddr) (vmem.VirtAddr, error) {
	for range maxObjects {
		back, err := r.src.Mem().Uint64(node + 8)
		if err != nil {
			return 0, err
		}
		to, err := r.src.Mem().Uint64(vmem.VirtAddr(back))
		switch {
		case err != nil:
			return 0, err
		case vmem.VirtAddr(to) != node:
			return 0, nfkit.Corrupt("hlist node %v points back to %#x, which leads to %#x", node, back, to)
		case back >= imageStart:
			return vmem.VirtAddr(back), nil
		}
		node = vmem.VirtAddr(back)
	}
	return 0, nfkit.Corrupt("list of services without a head")
}

// hash is the number that says which chain a service is in.
func (s *serviceStruct) hash() uint32 {
	fold := binary.BigEndian.Uint32(s.Address[:])
	if s.Family == 10 {
		for i := 4; i < 16; i += 4 {
			fold ^= binary.BigEndian.Uint32(s.Address[i:])
		}
	}
	fold ^= uint32(s.IPVS >> 8) //nolint:gosec // the lower half
	port := uint32(s.Port)
	return uint32(s.Protocol) ^ fold ^ port>>8 ^ port
}

// markHash is the same of one that is known by a mark.
func (s *serviceStruct) markHash() uint32 { return uint32(s.IPVS>>8) + s.Mark } //nolint:gosec // the lower half
