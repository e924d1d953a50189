package bpf

import (
	"encoding/hex"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Program is a BPF program that the kernel holds, as `bpftool prog show` tells of it.
type Program struct {
	ID         uint32      `json:"id" jsonx:"null"` // 0 for one that has none any more, or never had
	Type       ProgramType `json:"type"`
	Name       string      `json:"name"`     // as its loader gave it, at most 15 bytes
	FullName   string      `json:"fullName"` // from its BTF, which is not cut off; else the same as Name
	Tag        string      `json:"tag"`
	AttachType AttachType  `json:"attachType"` // which it was loaded for
	GPL        bool        `json:"gplCompatible"`
	LoadTime   time.Time   `json:"loadTime"`            // zero if the boot time is not known
	UID        int64       `json:"uid" jsonx:"null=-1"` // the loader's real one; -1 if it can't be read
	RunCount   uint64      `json:"runCount"`            // counted only while kernel.bpf_stats_enabled is on, as what follows
	RunTime    uint64      `json:"runTimeNS"`
	Missed     uint64      `json:"recursionMisses"`
	Verified   uint32      `json:"verifiedInstructions"`
	// Instructions is how many there are after the verifier rewrote them, XlatedBytes and JITedBytes
	// are the sizes of both forms; the compiled one is that of all functions.
	Instructions int    `json:"instructions"`
	XlatedBytes  int    `json:"bytesXlated"`
	JITed        bool   `json:"jited"`
	JITedBytes   int    `json:"bytesJITed"`
	MemoryBytes  uint64 `json:"bytesMemlock"`
	Sleepable    bool   `json:"sleepable"`

	Maps      []uint32   `json:"maps"` // their IDs, in the order in which the program has them
	BTF       uint32     `json:"btfID" jsonx:"null"`
	Target    *Target    `json:"target,omitempty"` // which function or hook it was loaded for
	Functions []Function `json:"functions"`        // of several, or of one with BTF; the main one first
	Helpers   []string   `json:"helpers"`          // the kernel's functions that it calls, each once

	Owners      []Owner      `json:"owners"`
	Pins        []string     `json:"pins"`
	Links       []uint32     `json:"links"` // that have it
	Attachments []Attachment `json:"attachments"`
	References  int64        `json:"references"` // as the kernel counts them
	Sources     Sources      `json:"sources"`
	Hidden      bool         `json:"hidden"` // it is alive, and the table of IDs lacks it
	// Signature is what the kernel verified of it (since 6.18): empty for none.
	Signature string        `json:"signature,omitempty"`
	Address   vmem.VirtAddr `json:"address"` // of struct bpf_prog
	Entry     vmem.VirtAddr `json:"entry"`   // of its code, or of the interpreter

	raw     progStruct
	aux     auxStruct
	maps    []vmem.VirtAddr
	funcs   []*subprogram
	classic bool // it is of classic BPF, and is in no table
}

// A Target is what a program for tracing, an extension or an LSM hook was loaded for.
type Target struct {
	BTF     uint32 `json:"btfID" jsonx:"null"`
	Type    uint32 `json:"typeID"`
	Name    string `json:"name"`                   // of the function or the type
	Program uint32 `json:"programID" jsonx:"null"` // whose function it is, if it is one's
	Module  string `json:"module,omitempty"`       // whose types BTF is; empty for the kernel
}

// A Function is one of a program: the main one or a subprogram.
type Function struct {
	Name  string        `json:"name"` // from BTF, or bpf_prog_TAG_F as the kernel calls it
	Tag   string        `json:"tag"`
	Entry vmem.VirtAddr `json:"entry"`
	Bytes int           `json:"bytes"` // compiled
}

// An Owner is a process that has an object open.
type Owner struct {
	PID int32 `json:"pid"`
	FD  int   `json:"fd"`
	TID int32 `json:"tid,omitempty"` // the thread, of descriptors that are not the process's
}

// A progStruct is struct bpf_prog (include/linux/bpf.h).
type progStruct struct {
	Pages    uint16        `kernel:"pages"`
	JITed    bool          `kernel:"jited"`
	GPL      bool          `kernel:"gpl_compatible"`
	IsFunc   bool          `kernel:"is_func"`
	Blinded  bool          `kernel:"blinded"`
	Sleep    bool          `kernel:"sleepable,optional"` // since 6.10 (66c8473135c6)
	Type     uint32        `kernel:"type"`
	Attach   uint32        `kernel:"expected_attach_type"`
	Len      uint32        `kernel:"len"`
	JITedLen uint32        `kernel:"jited_len"`
	Tag      [8]byte       `kernel:"tag"`
	Aux      vmem.VirtAddr `kernel:"aux"`
	Orig     vmem.VirtAddr `kernel:"orig_prog"`
	Func     vmem.VirtAddr `kernel:"bpf_func"`
	Stats    vmem.VirtAddr `kernel:"stats,optional"` // in bpf_prog_aux until 5.11
	Insns    vmem.VirtAddr `kernel:"&insnsi"`
}

// An auxStruct is struct bpf_prog_aux.
type auxStruct struct {
	Refs      int64         `kernel:"refcnt.counter"`
	NumMaps   uint32        `kernel:"used_map_cnt"`
	ID        uint32        `kernel:"id"`
	NumFuncs  uint32        `kernel:"func_cnt"`
	FuncIdx   uint32        `kernel:"func_idx"`
	BTFID     uint32        `kernel:"attach_btf_id"`
	AttachBTF vmem.VirtAddr `kernel:"attach_btf,optional"` // since 5.11 (22dc4a0f5ed1)
	Target    vmem.VirtAddr `kernel:"dst_prog"`
	FuncName  vmem.VirtAddr `kernel:"attach_func_name"`
	Funcs     vmem.VirtAddr `kernel:"func"`
	Ksym      ksymStruct    `kernel:"ksym"`
	KsymAt    vmem.VirtAddr `kernel:"&ksym"`
	Maps      vmem.VirtAddr `kernel:"used_maps"`
	Prog      vmem.VirtAddr `kernel:"prog"`
	User      vmem.VirtAddr `kernel:"user"`
	LoadTime  uint64        `kernel:"load_time"`               // boot time, in nanoseconds
	Verified  uint32        `kernel:"verified_insns,optional"` // since 5.16
	Name      [16]byte      `kernel:"name"`
	Offload   vmem.VirtAddr `kernel:"offload"`
	BTF       vmem.VirtAddr `kernel:"btf"`
	FuncInfo  vmem.VirtAddr `kernel:"func_info"`
	NumInfo   uint32        `kernel:"func_info_cnt"`
	Lines     vmem.VirtAddr `kernel:"linfo"`
	NumLines  uint32        `kernel:"nr_linfo"`
	LineIdx   uint32        `kernel:"linfo_idx"`
	JITLines  vmem.VirtAddr `kernel:"jited_linfo"`
	Sleep     bool          `kernel:"sleepable,optional"`
	Stats     vmem.VirtAddr `kernel:"stats,optional"`
	SigType   uint8         `kernel:"sig.keyring_type,optional"` // since 7.1
	Verdict   uint8         `kernel:"sig.verdict,optional"`
}

// statMembers are what struct bpf_prog_stats (include/linux/filter.h) counts, one of each CPU: u64, and since
// 5.16 u64_stats_t, which is signed. The last came with 5.12.
var statMembers = [3]string{"cnt", "nsecs", "misses"}

type progViews struct {
	prog  *kstruct.View[progStruct]
	aux   *kstruct.View[auxStruct]
	uid   *kstruct.Field[uint32] // of user_struct
	stats [len(statMembers)]kstruct.Member
	err   error
}

func bindPrograms(types *isf.File) (v progViews) {
	b := kstruct.NewBinder(types)
	v.prog = kstruct.Bind[progStruct](b, "bpf_prog")
	v.aux = kstruct.Bind[auxStruct](b, "bpf_prog_aux")
	v.uid = kstruct.BindField[uint32](b, "user_struct", "uid.val")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	for i, name := range statMembers {
		v.stats[i] = kstruct.BindOptionalMember(b, "bpf_prog_stats", name)
	}
	return v
}

const (
	// maxInstructions is BPF_COMPLEXITY_LIMIT_INSNS of include/linux/bpf.h, and twice as much for what
	// the verifier adds.
	maxInstructions = 2 << 20
	// maxPrograms is how many programs are told.
	maxPrograms = 1 << 16
	// maxUsedMaps is MAX_USED_MAPS of include/linux/bpf_verifier.h.
	maxUsedMaps = 64
	// maxFuncs is BPF_MAX_SUBPROGS of include/linux/bpf_verifier.h.
	maxFuncs = 256
)

// readProgram reads the program at an address.
func (s *Set) readProgram(at vmem.VirtAddr) (*Program, error) {
	if !plausible(at) || at%vmem.PageSize != 0 {
		return nil, corrupt("bpf_prog pointer %v", at)
	}
	v := &s.views.progs
	p := &Program{Address: at, UID: -1}
	if err := v.prog.Read(s.mem, at, &p.raw); err != nil {
		return nil, cause(err, v.err)
	}
	if err := v.aux.Read(s.mem, p.raw.Aux, &p.aux); err != nil {
		return nil, cause(err, v.err)
	}
	switch {
	case p.aux.Prog != at:
		return nil, corrupt("bpf_prog_aux %v of another program, %v", p.raw.Aux, p.aux.Prog)
	case p.raw.Len == 0 || p.raw.Len > maxInstructions:
		return nil, corrupt("program of %d instructions", p.raw.Len)
	}
	p.fill()
	return p, nil
}

// fill sets what the two structures tell alone.
func (p *Program) fill() {
	p.ID, p.Type, p.Name = p.aux.ID, ProgramType(p.raw.Type), cString(p.aux.Name[:])
	p.FullName = p.Name
	p.Tag, p.AttachType, p.GPL = hex.EncodeToString(p.raw.Tag[:]), AttachType(p.raw.Attach), p.raw.GPL
	p.Verified, p.References = p.aux.Verified, p.aux.Refs
	p.Instructions, p.XlatedBytes = int(p.raw.Len), int(p.raw.Len)*insnSize
	p.JITed, p.JITedBytes = p.raw.JITed, int(p.raw.JITedLen)
	p.MemoryBytes = uint64(p.raw.Pages) * vmem.PageSize
	p.Sleepable = p.raw.Sleep || p.aux.Sleep
	p.Entry, p.classic = p.raw.Func, p.raw.Orig != 0
	if p.aux.SigType|p.aux.Verdict != 0 {
		p.Signature = nameOf([]string{"none", "verified", "unverified"}, uint32(p.aux.Verdict))
	}
}

// complete reads what a program leads to.
func (s *Set) complete(p *Program) {
	object := "program " + p.String()
	if !s.boot.IsZero() {
		p.LoadTime = s.boot.Add(time.Duration(p.aux.LoadTime))
	}
	if p.aux.User != 0 {
		uid, err := s.views.progs.uid.Load(s.mem, p.aux.User)
		if err != nil {
			s.lose("user of "+object, p.aux.User, err)
		} else {
			p.UID = int64(uid)
		}
	}
	s.readStats(p, object)
	s.readUsedMaps(p, object)
	p.BTF = s.idOf(p.aux.BTF)
	s.readFunctions(p, object)
	s.readTarget(p, object)
}

// readStats adds up what CPUs counted.
func (s *Set) readStats(p *Program, object string) {
	at := p.raw.Stats
	if at == 0 {
		at = p.aux.Stats
	}
	if at == 0 {
		return
	}
	v := &s.views.progs
	for _, cpu := range s.cpus {
		here, err := s.objects.PerCPUPtr(at, cpu)
		for i, sum := range [...]*uint64{&p.RunCount, &p.RunTime, &p.Missed} {
			var n uint64
			if err == nil && v.stats[i].Ok() {
				n, err = s.mem.Uint64(v.stats[i].Of(here))
			}
			*sum += n
		}
		if err != nil {
			s.lose("statistics of "+object, at, err)
			return
		}
	}
}

// readUsedMaps reads the addresses of a program's maps.
func (s *Set) readUsedMaps(p *Program, object string) {
	n := p.aux.NumMaps
	if n > maxUsedMaps {
		s.lose("maps of "+object, p.raw.Aux, corrupt("%d maps", n))
		return
	}
	for i := range vmem.VirtAddr(n) {
		at, err := s.mem.Uint64(p.aux.Maps + i*8)
		if err != nil {
			s.lose("maps of "+object, p.aux.Maps, err)
			return
		}
		p.maps = append(p.maps, vmem.VirtAddr(at))
	}
}

// String returns the ID and the name of a program.
func (p *Program) String() string {
	name := p.Name
	if name == "" {
		name = p.Tag
	}
	if p.ID == 0 {
		return name
	}
	return formatID(p.ID) + " " + name
}

// insnSize is the size of struct bpf_insn in bytes.
const insnSize = 8
