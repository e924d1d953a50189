package settings

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Read. A nil pointer means the zero value.
type Options struct {
	// Modules are those of the kernel. Nil: they are read.
	Modules *module.Set
	// Symbols tell which functions show sysctls. Nil: they are read.
	Symbols *module.Symbolizer
	// Tasks lead to the namespaces that have sysctls of their own. Without, those of the initial
	// namespaces are told alone.
	Tasks []*linux.Task
}

// Settings are how a kernel was set up. What is not known is zero, and a gap says why.
type Settings struct {
	CommandLine   Text          `json:"commandLine"`
	Configuration string        `json:"configuration" jsonx:"null"` // as /proc/config.gz has it (CONFIG_IKCONFIG); empty where the kernel has none
	CorePattern   Text          `json:"corePattern"`
	ModprobePath  Text          `json:"modprobePath"`
	PoweroffCmd   Text          `json:"poweroffCmd"`
	UeventHelper  Text          `json:"ueventHelper"` // where the kernel has it (CONFIG_UEVENT_HELPER)
	Taint         Taint         `json:"taint"`
	Lockdown      string        `json:"lockdown" jsonx:"null"` // none, integrity or confidentiality; empty without the lockdown LSM
	LSMs          []string      `json:"lsms"`                  // in force, in their order
	ClockSource   string        `json:"clockSource" jsonx:"null"`
	KexecImage    vmem.VirtAddr `json:"kexecImage" jsonx:"null"`      // struct kimage of the kernel that kexec would start
	KexecCrash    vmem.VirtAddr `json:"kexecCrashImage" jsonx:"null"` // likewise, after a panic
	Livepatches   []string      `json:"livepatches"`
	BinaryFormats []Format      `json:"binaryFormats"` // that exec tries, in their order
	BinfmtMisc    []MiscFormat  `json:"binfmtMisc"`    // of /proc/sys/fs/binfmt_misc
	IOMem         []Resource    `json:"iomem"`         // as /proc/iomem shows it
	IOPorts       []Resource    `json:"ioports"`       // as /proc/ioports shows it; the addresses are of ports
	CPUBugs       []string      `json:"cpuBugs"`       // what the kernel knows the processor to be open to, as /proc/cpuinfo names it; that it does something against it is not told
	Sysctls       []Sysctl      `json:"sysctls"`       // the kernel's own and those of the initial namespaces by name, then other namespaces'
}

// A Text is a text that the kernel has, and where.
type Text struct {
	Value   string        `json:"value"`
	Address vmem.VirtAddr `json:"address" jsonx:"null"` // 0 where it is not known
	Source  string        `json:"source" jsonx:"null"`  // the symbol or the sysctl that led there
}

// A Taint is what taints a kernel: /proc/sys/kernel/tainted.
type Taint struct {
	Value    uint64        `json:"value"`
	Letters  string        `json:"letters"`
	Meanings []string      `json:"meanings"`
	Address  vmem.VirtAddr `json:"address" jsonx:"null"`
}

// taintMeanings are what the bits of tainted_mask mean (Documentation/admin-guide/tainted-kernels.rst).
var taintMeanings = [...]string{
	"proprietary module", "module forced to load", "kernel on an out of specification system", "module forced to unload", "machine check",
	"bad page", "taint by user space", "died: an oops or a bug", "ACPI table overridden", "warning", "staging driver", "firmware workaround",
	"out-of-tree module", "unsigned module", "soft lockup", "livepatch", "auxiliary taint of the distribution", "struct randomization", "in-kernel test", "fwctl's mutating debug operations",
}

func newTaint(value uint64, at vmem.VirtAddr) Taint {
	t := Taint{Value: value, Address: at, Letters: module.Taints(value).String()}
	for rest := value; rest != 0; rest &= rest - 1 {
		bit := bits.TrailingZeros64(rest)
		if bit < len(taintMeanings) {
			t.Meanings = append(t.Meanings, taintMeanings[bit])
		} else {
			t.Meanings = append(t.Meanings, fmt.Sprintf("bit %d", bit))
		}
	}
	return t
}

// A reader reads settings.
type reader struct {
	k       *linux.Kernel
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	opts    Options
	views   views
	ticks   func() (uint64, error) // in a second
	handler map[vmem.VirtAddr]handler
	at      map[string]*ctlTable // sysctls of the kernel and the initial namespaces, by name
	out     *Settings
	gaps    []vmem.Gap
}

// Read reads the settings of a kernel. What was lost is beside them. The error is the context's
// own.
func Read(ctx context.Context, k *linux.Kernel, opts *Options) (*Settings, []vmem.Gap, error) {
	r := &reader{k: k, ctx: ctx, out: new(Settings), handler: map[vmem.VirtAddr]handler{}, at: map[string]*ctlTable{}}
	if opts != nil {
		r.opts = *opts
	}
	k.Physical().Refresh()
	var err error
	if r.opts.Modules == nil {
		if r.opts.Modules, err = module.Open(ctx, k, nil); err != nil {
			return nil, nil, err
		}
	}
	if r.opts.Symbols == nil {
		if r.opts.Symbols, err = module.NewSymbolizer(ctx, r.opts.Modules, nil); err != nil {
			return nil, nil, err
		}
	}
	r.views = bind(k.Symbols())
	r.ticks = ticksOf(k)
	for _, read := range []func(){
		r.readCommandLine, r.readConfiguration, r.readSysctls, r.readPrograms, r.readTaint, r.readLockdown, r.readLSMs, r.readClockSource,
		r.readKexec, r.readLivepatches, r.readFormats, r.readMiscFormats,
		r.readResources, r.readBugs,
	} {
		read()
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	return r.out, r.gaps, nil
}

func (r *reader) lose(object string, at vmem.VirtAddr, err error) {
	r.gaps = append(r.gaps, vmem.NewGap(object, vmem.KernelPlace(at), err))
}

// symbol returns the address of a variable. What there is no symbol of is a loss: kallsyms may be of code alone.
func (r *reader) symbol(object string, names ...string) (vmem.VirtAddr, bool) {
	var first error
	for _, name := range names {
		at, err := r.k.Symbol(name)
		if err == nil {
			return at, true
		}
		first = cmp.Or(first, err)
	}
	r.lose(object, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, first))
	return 0, false
}

// pointer reads a pointer that a symbol names, with the address of the pointer.
func (r *reader) pointer(object string, names ...string) (to, at vmem.VirtAddr, ok bool) {
	at, ok = r.symbol(object, names...)
	if !ok {
		return 0, 0, false
	}
	p, err := r.k.Space().Uint64(at)
	if err != nil {
		r.lose(object, at, err)
		return 0, at, false
	}
	return vmem.VirtAddr(p), at, true
}

// maxText is the longest text that is read, in bytes: COMMAND_LINE_SIZE is 2048.
const maxText = 4096

// readCommandLine reads what /proc/cmdline shows: saved_command_line of init/main.c.
func (r *reader) readCommandLine() {
	const object = "command line"
	if _, err := r.k.Symbol("saved_command_line"); err != nil && r.loggedCommandLine() {
		return
	}
	at, _, ok := r.pointer(object, "saved_command_line")
	if !ok {
		return
	}
	text, err := r.k.Space().CString(at, maxText)
	if err != nil {
		r.lose(object, at, err)
	}
	r.out.CommandLine = Text{Value: text, Address: at, Source: "saved_command_line"}
}

// loggedCommandLine takes the command line from the kernel log, whose second record has it (setup_arch of
// arch/x86/kernel/setup.c), and reports whether it is there.
func (r *reader) loggedCommandLine() bool {
	n := 0
	for record, err := range printk.Records(r.ctx, r.k) {
		if n++; err != nil || n > 100 {
			return false
		}
		if text, ok := strings.CutPrefix(record.Text, "Command line: "); ok && record.Facility == 0 {
			r.out.CommandLine = Text{Value: text, Source: "kernel log"}
			return true
		}
	}
	return false
}

// readPrograms reads the programs that the kernel starts itself, by the sysctls that set them.
func (r *reader) readPrograms() {
	for _, p := range []struct {
		to             *Text
		sysctl, symbol string
		optional       bool
	}{
		{&r.out.CorePattern, "kernel/core_pattern", "core_pattern", false},
		{&r.out.ModprobePath, "kernel/modprobe", "modprobe_path", false},
		{&r.out.PoweroffCmd, "kernel/poweroff_cmd", "poweroff_cmd", false},
		{&r.out.UeventHelper, "kernel/hotplug", "uevent_helper", true},
	} {
		source := "sysctl " + p.sysctl
		t := r.at[p.sysctl]
		if t == nil {
			at, err := r.k.Symbol(p.symbol)
			switch {
			case err != nil && p.optional:
				continue
			case err != nil:
				r.lose(p.symbol, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
				continue
			}
			t, source = &ctlTable{Data: at, MaxLen: maxProgram}, p.symbol
		}
		text, err := r.k.Space().CString(t.Data, maxProgram)
		if err != nil {
			r.lose(p.symbol, t.Data, err)
		}
		*p.to = Text{Value: text, Address: t.Data, Source: source}
	}
}

// maxProgram is the longest of these texts in bytes: KMOD_PATH_LEN, POWEROFF_CMD_PATH_LEN,
// UEVENT_HELPER_PATH_LEN and CORENAME_MAX_SIZE are no larger.
const maxProgram = 256

// readTaint reads tainted_mask of kernel/panic.c, which is static.
func (r *reader) readTaint() {
	at, ok := r.taintedMask()
	if !ok {
		return
	}
	value, err := r.k.Space().Uint64(at)
	if err != nil {
		r.lose("taint", at, err)
		return
	}
	r.out.Taint = newTaint(value, at)
}

// taintedMask finds the variable by its symbol, or by the code of get_taint, which does nothing but load it.
func (r *reader) taintedMask() (vmem.VirtAddr, bool) {
	if at, err := r.k.Symbol("tainted_mask"); err == nil {
		return at, true
	}
	if code, err := r.k.Symbol("get_taint"); err == nil {
		b := make([]byte, 32)
		n, _ := r.k.Space().ReadVirt(b, code)
		if i := bytes.Index(b[:n], []byte{0x48, 0x8b, 0x05}); i >= 0 && i+7 <= n { // mov rel32(%rip), %rax
			rel := int32(binary.LittleEndian.Uint32(b[i+3:])) //nolint:gosec // a displacement
			return code + vmem.VirtAddr(i+7) + vmem.VirtAddr(int64(rel)), true
		}
	}
	return r.symbol("taint", "tainted_mask")
}

// readLSMs reads which security modules are in force: lsm_names of security/security.c, or since 6.18 the
// identities in lsm_idlist.
func (r *reader) readLSMs() {
	const object = "security modules"
	if _, err := r.k.Symbol("lsm_names"); err != nil {
		r.readLSMIDs(object)
		return
	}
	at, _, ok := r.pointer(object, "lsm_names")
	if !ok {
		return
	}
	text, err := r.k.Space().CString(at, maxText)
	if err != nil {
		r.lose(object, at, err)
		return
	}
	r.out.LSMs = strings.Split(text, ",")
}

// maxLSMs is how many security modules are read: MAX_LSM_COUNT is some 15.
const maxLSMs = 64

// readLSMIDs reads the names of struct lsm_id (include/linux/lsm_hooks.h), whose first member is the
// name.
func (r *reader) readLSMIDs(object string) {
	list, ok := r.symbol(object, "lsm_idlist")
	if !ok {
		return
	}
	count, ok := r.symbol(object, "lsm_active_cnt")
	if !ok {
		return
	}
	n, err := r.k.Space().Uint32(count)
	if err == nil && n > maxLSMs {
		err = fmt.Errorf("%w: %d of them", kstruct.ErrTooMany, n)
	}
	for i := range vmem.VirtAddr(n) {
		var id uint64
		if err != nil {
			break
		}
		if id, err = r.k.Space().Uint64(list + 8*i); err != nil {
			break
		}
		var name uint64
		if name, err = r.k.Space().Uint64(vmem.VirtAddr(id)); err != nil {
			break
		}
		var text string
		if text, err = r.k.Space().CString(vmem.VirtAddr(name), 64); err == nil {
			r.out.LSMs = append(r.out.LSMs, text)
		}
	}
	if err != nil {
		r.lose(object, list, err)
	}
}

// readLockdown reads kernel_locked_down of security/lockdown/lockdown.c: the last reason that is refused.
func (r *reader) readLockdown() {
	const object = "lockdown"
	at, err := r.k.Symbol("kernel_locked_down")
	if err != nil {
		if _, has := r.k.Symbol("lockdown_is_locked_down"); has == nil { // the LSM is there
			r.lose(object, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
		}
		return
	}
	b := make([]byte, 4)
	if _, err := r.k.Space().ReadVirt(b, at); err != nil {
		r.lose(object, at, err)
		return
	}
	level := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
	switch level {
	case 0:
		r.out.Lockdown = "none"
	case r.enum("LOCKDOWN_INTEGRITY_MAX"):
		r.out.Lockdown = "integrity"
	case r.enum("LOCKDOWN_CONFIDENTIALITY_MAX"):
		r.out.Lockdown = "confidentiality"
	default:
		r.lose(object, at, fmt.Errorf("%w: level %d", kstruct.ErrCorrupt, level))
	}
}

// enum returns the value of an enumerator of enum lockdown_reason, 0 where the types lack it.
func (r *reader) enum(name string) uint64 {
	e, err := r.k.Symbols().Enum("lockdown_reason")
	if err != nil {
		return 0
	}
	for _, c := range e.Constants {
		if c.Name == name {
			return uint64(c.Value)
		}
	}
	return 0
}

// readClockSource reads the name of curr_clocksource of kernel/time/clocksource.c.
func (r *reader) readClockSource() {
	const object = "clock source"
	at, _, ok := r.pointer(object, "curr_clocksource")
	if !ok || at == 0 {
		return
	}
	name, err := r.k.Struct("clocksource", at).At("name").Pointer()
	if err == nil {
		r.out.ClockSource, err = r.k.Space().CString(name, 64)
	}
	if err != nil {
		r.lose(object, at, err)
	}
}

// readKexec reads what kexec would start (kernel/kexec_core.c). A kernel without CONFIG_KEXEC_CORE has
// neither symbol, nor the function that loads.
func (r *reader) readKexec() {
	if _, err := r.k.Symbol("kimage_free"); err != nil {
		return
	}
	r.out.KexecImage, _, _ = r.pointer("kexec", "kexec_image")
	r.out.KexecCrash, _, _ = r.pointer("kexec", "kexec_crash_image")
}

// readLivepatches reads the names of the modules of klp_patches (kernel/livepatch/core.c).
func (r *reader) readLivepatches() {
	const object = "livepatches"
	if _, err := r.k.Symbol("klp_enable_patch"); err != nil {
		return // CONFIG_LIVEPATCH is off
	}
	head, ok := r.symbol(object, "klp_patches")
	if !ok {
		return
	}
	w := r.k.Objects().Walk(r.ctx, &kstruct.WalkOptions{Object: object, Nodes: 4096})
	for at, err := range w.Entries(w.List(head), "klp_patch", "list") {
		if err != nil {
			r.lose(object, at, err)
			continue
		}
		mod, err := r.k.Struct("klp_patch", at).At("mod").Pointer()
		if err != nil {
			r.lose(object, at, err)
			continue
		}
		name := mod.String()
		for _, m := range r.opts.Modules.Modules() {
			if m.Address == mod {
				name = m.Name
			}
		}
		r.out.Livepatches = append(r.out.Livepatches, name)
	}
}
