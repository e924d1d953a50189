package kcore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/internal/sysfile"
)

// The reasons for which the memory of a running machine is withheld.
var (
	// ErrNoKCore: there is no /proc/kcore.
	ErrNoKCore = errors.New("there is no /proc/kcore")
	// ErrMasked: something empty is mounted over /proc/kcore, as container runtimes do.
	ErrMasked = errors.New("/proc/kcore is masked")
	// ErrLockdown: the kernel is locked down in confidentiality mode.
	ErrLockdown = errors.New("the kernel is locked down in confidentiality mode")
	// ErrNoCapability: the process lacks a capability.
	ErrNoCapability = errors.New("the process lacks a capability")
	// ErrDenied: access was denied for another reason.
	ErrDenied = errors.New("access to /proc/kcore is denied")
)

// What to change, for each reason.
const (
	fixNoKCore = "boot a kernel with CONFIG_PROC_KCORE; inside a sandbox such as gVisor run outside of it, on the node itself"
	fixMasked  = "make the container privileged, or mount the node's /proc into it elsewhere (a hostPath volume) and read it there"
	fixLock    = "boot without lockdown=confidentiality; integrity mode does not stand in the way"
	fixRawIO   = "run as root of the node's own user namespace with CAP_SYS_RAWIO (and CAP_SYS_ADMIN, for /proc/iomem)"
	fixDenied  = "run as root of the node's own user namespace (in Kubernetes without hostUsers: false), and see whether a security module forbids it"
)

// capSysRawIO is the number of CAP_SYS_RAWIO (include/uapi/linux/capability.h).
const capSysRawIO = 17

// A Refusal says why the memory of the running machine can't be had, and what to
// change.
type Refusal struct {
	Err error  // wraps ErrNoKCore, ErrMasked, ErrLockdown, ErrNoCapability, ErrDenied or [memmap.ErrHidden]
	Fix string // what to change, for a person
}

// Error returns the reason and what to change.
func (r *Refusal) Error() string { return fmt.Sprintf("%v: %s", r.Err, r.Fix) }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Err }

// refuseOpen explains why /proc/kcore can't be opened, which the kernel's error says
// too little of: it is EPERM for a capability, for lockdown and for security modules
// (open_kcore of fs/proc/kcore.c).
func refuseOpen(root fs.FS, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Refusal{Err: fmt.Errorf("%w: %w", ErrNoKCore, err), Fix: fixNoKCore}
	case !errors.Is(err, fs.ErrPermission):
		return err
	case lockedDown(root):
		return &Refusal{Err: fmt.Errorf("%w: %w", ErrLockdown, err), Fix: fixLock}
	case lacks(root, capSysRawIO):
		return &Refusal{Err: fmt.Errorf("%w, CAP_SYS_RAWIO: %w", ErrNoCapability, err), Fix: fixRawIO}
	}
	fix := fixDenied
	if profile := sysfile.Line(root, "proc/self/attr/current"); profile != "" && profile != "unconfined" {
		fix += ": this process runs as " + strconv.Quote(profile)
	}
	return &Refusal{Err: fmt.Errorf("%w: %w", ErrDenied, err), Fix: fix}
}

// lockedDown reports whether the file that shows the lockdown mode, the one in force in
// brackets (security/lockdown/lockdown.c), shows confidentiality.
func lockedDown(root fs.FS) bool {
	return strings.Contains(sysfile.Line(root, "sys/kernel/security/lockdown"), "[confidentiality]")
}

// lacks reports whether this process is known not to have a capability in effect
// (CapEff of proc/PID/status, proc_pid_status(5)).
func lacks(root fs.FS, capability uint) bool {
	status, _ := fs.ReadFile(root, "proc/self/status")
	for line := range bytes.Lines(status) {
		value, ok := bytes.CutPrefix(line, []byte("CapEff:"))
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		return err == nil && mask&(1<<capability) == 0
	}
	return false
}
