package nftables

import (
	"cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

const nftModule = "nf_tables"

// A tableStruct is struct nft_table (include/net/netfilter/nf_tables.h).
type tableStruct struct {
	Handle  uint64        `kernel:"handle"`
	Family  uint16        `kernel:"family"`
	Flags   uint16        `kernel:"flags"`
	Genmask uint16        `kernel:"genmask"`
	Name    vmem.VirtAddr `kernel:"name"`
	DataLen uint16        `kernel:"udlen,optional"` // since 5.10
	Data    vmem.VirtAddr `kernel:"udata,optional"`

	Chains     vmem.VirtAddr `kernel:"&chains"`
	Sets       vmem.VirtAddr `kernel:"&sets"`
	Objects    vmem.VirtAddr `kernel:"&objects"`
	Flowtables vmem.VirtAddr `kernel:"&flowtables"`
}

// A chainStruct is struct nft_chain.
type chainStruct struct {
	Table   vmem.VirtAddr `kernel:"table"`
	Handle  uint64        `kernel:"handle"`
	Flags   uint8         `kernel:"flags"`
	Bound   bool          `kernel:"bound,optional"`
	Genmask uint8         `kernel:"genmask"`
	Name    vmem.VirtAddr `kernel:"name"`
	DataLen uint16        `kernel:"udlen,optional"`
	Data    vmem.VirtAddr `kernel:"udata,optional"`
	Rules   vmem.VirtAddr `kernel:"&rules"`
}

// A baseStruct is struct nft_base_chain: a chain that is called by a hook.
type baseStruct struct {
	Hook     uint32        `kernel:"ops.hooknum"`
	Priority int32         `kernel:"ops.priority"`
	Type     vmem.VirtAddr `kernel:"type"`
	Policy   uint8         `kernel:"policy"`
	Hooks    vmem.VirtAddr `kernel:"&hook_list"`
}

// A ruleStruct is struct nft_rule.
type ruleStruct struct {
	Handle  uint64 `kernel:"handle"`
	Genmask uint8  `kernel:"genmask"`
	Len     uint16 `kernel:"dlen"`
	Data    bool   `kernel:"udata"`
}

// A setStruct is struct nft_set.
type setStruct struct {
	Table   vmem.VirtAddr `kernel:"table"`
	Name    vmem.VirtAddr `kernel:"name"`
	Handle  uint64        `kernel:"handle"`
	Key     uint32        `kernel:"ktype"`
	DataTyp uint32        `kernel:"dtype"`
	Object  uint32        `kernel:"objtype"`
	Size    uint32        `kernel:"size"`
	Lens    [16]byte      `kernel:"field_len,optional"` // since 5.6
	Fields  uint8         `kernel:"field_count,optional"`
	Elems   int32         `kernel:"nelems.counter"`
	Timeout uint64        `kernel:"timeout"`
	GC      uint32        `kernel:"gc_int"`
	Policy  uint16        `kernel:"policy"`
	DataLen uint16        `kernel:"udlen"`
	Data    vmem.VirtAddr `kernel:"udata"`
	Ops     vmem.VirtAddr `kernel:"ops"`
	Flags   uint16        `kernel:"flags"`
	Dead    bool          `kernel:"dead,optional"`
	Genmask uint16        `kernel:"genmask"`
	KeyLen  uint8         `kernel:"klen"`
	ValLen  uint8         `kernel:"dlen"`
	Expr    vmem.VirtAddr `kernel:"expr,optional"` // until 5.10
	Private vmem.VirtAddr `kernel:"&data"`
}

// An objectStruct is struct nft_object.
type objectStruct struct {
	Name    vmem.VirtAddr `kernel:"key.name"`
	Genmask uint32        `kernel:"genmask"`
	Handle  uint64        `kernel:"handle"`
	DataLen uint16        `kernel:"udlen,optional"`
	Data    vmem.VirtAddr `kernel:"udata,optional"`
	Ops     vmem.VirtAddr `kernel:"ops"`
	Private vmem.VirtAddr `kernel:"&data"`
}

// A flowStruct is struct nft_flowtable.
type flowStruct struct {
	Name     vmem.VirtAddr `kernel:"name"`
	Genmask  uint32        `kernel:"genmask"`
	Handle   uint64        `kernel:"handle"`
	Hook     int32         `kernel:"hooknum"`
	Priority int32         `kernel:"data.priority"`
	Hooks    vmem.VirtAddr `kernel:"&hook_list"`
	Flags    uint32        `kernel:"data.flags,optional"`
}

type views struct {
	perNet kstruct.Member // nftables_pernet.tables, or net.nft.tables before 5.12
	inNet  bool
	cursor *kstruct.Field[uint8] // net.nft.gencursor

	table      *kstruct.View[tableStruct]
	chain      *kstruct.View[chainStruct]
	base       *kstruct.View[baseStruct]
	rule       *kstruct.View[ruleStruct]
	set        *kstruct.View[setStruct]
	object     *kstruct.View[objectStruct]
	flow       *kstruct.View[flowStruct]
	inBase     kstruct.Member // nft_base_chain.chain
	ruleData   kstruct.Member
	exprData   kstruct.Member
	exprOps    *kstruct.Field[vmem.VirtAddr]
	opsSize    *kstruct.Field[uint32]
	opsDump    *kstruct.Field[vmem.VirtAddr]
	opsType    *kstruct.Field[vmem.VirtAddr]
	opsData    *kstruct.Field[vmem.VirtAddr] // of what iptables has
	typeName   *kstruct.Field[vmem.VirtAddr]
	chainType  *kstruct.Field[vmem.VirtAddr] // nft_chain_type.name
	objType    *kstruct.Field[vmem.VirtAddr] // of nft_object_ops
	objNumber  *kstruct.Field[uint32]
	objDump    *kstruct.Field[vmem.VirtAddr]
	hookDev    *kstruct.Field[vmem.VirtAddr] // nft_hook.ops.dev, until 6.15
	hookName   kstruct.Member                // nft_hook.ifname, since 6.15
	hookLen    *kstruct.Field[uint8]
	setOpsWalk *kstruct.Field[vmem.VirtAddr]
	elemSize   *kstruct.Field[uint32] // of nft_set_ops: where the extensions of an element are
	setName    *kstruct.Field[vmem.VirtAddr]
	setExprs   kstruct.Member
	numExprs   *kstruct.Field[uint8]
	catchall   kstruct.Member
	err        error

	devices kstruct.Member // of net
	device  kstruct.Member // net_device.dev_list
	devName kstruct.Member
	index   *kstruct.Field[int32]
	devErr  error
}

func bindViews(src *nfkit.Source) (v views, err error) {
	types, lost := src.Types("nft_table", nftModule)
	b := kstruct.NewBinder(types)
	v.perNet = kstruct.BindOptionalMember(b, "nftables_pernet", "tables")
	if !v.perNet.Ok() {
		v.perNet = kstruct.BindMember(b, "net", "nft.tables")
		v.inNet = true
	}
	v.cursor = kstruct.BindField[uint8](b, "net", "nft.gencursor")
	v.table = kstruct.Bind[tableStruct](b, "nft_table")
	v.chain = kstruct.Bind[chainStruct](b, "nft_chain")
	v.base = kstruct.Bind[baseStruct](b, "nft_base_chain")
	v.rule = kstruct.Bind[ruleStruct](b, "nft_rule")
	v.set = kstruct.Bind[setStruct](b, "nft_set")
	v.object = kstruct.Bind[objectStruct](b, "nft_object")
	v.flow = kstruct.Bind[flowStruct](b, "nft_flowtable")
	v.inBase = kstruct.BindMember(b, "nft_base_chain", "chain")
	v.ruleData = kstruct.BindMember(b, "nft_rule", "data")
	v.exprData = kstruct.BindMember(b, "nft_expr", "data")
	v.exprOps = kstruct.BindField[vmem.VirtAddr](b, "nft_expr", "ops")
	v.opsSize = kstruct.BindField[uint32](b, "nft_expr_ops", "size")
	v.opsDump = kstruct.BindField[vmem.VirtAddr](b, "nft_expr_ops", "dump")
	v.opsType = kstruct.BindField[vmem.VirtAddr](b, "nft_expr_ops", "type")
	v.opsData = kstruct.BindField[vmem.VirtAddr](b, "nft_expr_ops", "data")
	v.typeName = kstruct.BindField[vmem.VirtAddr](b, "nft_expr_type", "name")
	v.chainType = kstruct.BindField[vmem.VirtAddr](b, "nft_chain_type", "name")
	v.objType = kstruct.BindField[vmem.VirtAddr](b, "nft_object_ops", "type")
	v.objDump = kstruct.BindField[vmem.VirtAddr](b, "nft_object_ops", "dump")
	v.objNumber = kstruct.BindField[uint32](b, "nft_object_type", "type")
	v.hookDev = kstruct.BindOptionalField[vmem.VirtAddr](b, "nft_hook", "ops.dev")
	v.hookName = kstruct.BindOptionalMember(b, "nft_hook", "ifname")
	v.hookLen = kstruct.BindOptionalField[uint8](b, "nft_hook", "ifnamelen")
	v.setOpsWalk = kstruct.BindField[vmem.VirtAddr](b, "nft_set_ops", "walk")
	v.elemSize = kstruct.BindField[uint32](b, "nft_set_ops", "elemsize")
	v.setName = kstruct.BindField[vmem.VirtAddr](b, "nft_set", "name")
	v.setExprs = kstruct.BindOptionalMember(b, "nft_set", "exprs")
	v.numExprs = kstruct.BindOptionalField[uint8](b, "nft_set", "num_exprs")
	v.catchall = kstruct.BindOptionalMember(b, "nft_set", "catchall_list")
	v.err = b.Err()
	b = kstruct.NewBinder(src.K.Symbols())
	v.devices = kstruct.BindMember(b, "net", "dev_base_head")
	v.device = kstruct.BindMember(b, "net_device", "dev_list")
	v.devName = kstruct.BindMember(b, "net_device", "name")
	v.index = kstruct.BindField[int32](b, "net_device", "ifindex")
	v.devErr = b.Err()
	if v.err != nil {
		return v, cmp.Or(lost, v.err)
	}
	return v, nil
}
