package process

import (
	"errors"

	"github.com/nodelens/nodelens/linux"
)

// Security is what a task may do, and what keeps it from more.
type Security struct {
	Credentials
	NoNewPrivs    bool           `json:"noNewPrivs"` // no program that it starts can give it more (PFA_NO_NEW_PRIVS)
	Seccomp       Seccomp        `json:"seccomp"`
	AppArmor      *AppArmor      `json:"appArmor" jsonx:"null"`     // nil where the kernel does without it
	UserNamespace *UserNamespace `json:"namespace" jsonx:"null"`    // nil where it could not be read
	LoginUID      *uint32        `json:"loginUID" jsonx:"null"`     // who logged in; nil for nobody, or a kernel without CONFIG_AUDIT
	LoginSession  *uint32        `json:"loginSession" jsonx:"null"` // likewise
	Overrides     bool           `json:"overrides"`                 // it acts with other credentials for now
	OOMScoreAdj   int16          `json:"oomScoreAdj"`               // -1000 (never killed) to 1000
	Personality   uint32         `json:"personality"`               // see personality(2)
	Limits        []Limit        `json:"limits"`
	Scheduling    Scheduling     `json:"scheduling"`
	Keyrings      Keyrings       `json:"keyrings"`
}

// noNewPrivs is PFA_NO_NEW_PRIVS, and loggedOut AUDIT_UID_UNSET and AUDIT_SID_UNSET.
const (
	noNewPrivs = 1 << 0
	loggedOut  = 1<<32 - 1
)

// Security reads what the task may do. The error is a [vmem.Gap], or several of them joined; with it comes what could be read.
func (r *Reader) Security(t *linux.Task) (*Security, error) {
	out := new(Security)
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	out.Credentials, err = r.Credentials(t)
	keep(err)
	if out.Address != 0 { // what is lost can be the groups alone
		if ns, err := r.UserNamespace(out.Credentials.UserNamespace); err == nil {
			out.UserNamespace = &ns
		} else {
			keep(lost(t, "user namespace", out.Credentials.UserNamespace, err))
		}
		out.AppArmor, err = r.appArmor(out.blob)
		keep(lost(t, "AppArmor label", out.blob, err))
		out.Keyrings, err = r.Keyrings(t)
		keep(err)
	}
	keep(lost(t, "audit, limits and personality", t.Addr, r.ownSecurity(t, out)))
	out.Seccomp, err = r.Seccomp(t)
	keep(err)
	out.Scheduling, err = r.Scheduling(t)
	keep(err)
	return out, errors.Join(errs...)
}

// ownSecurity reads what is in the task_struct itself and in its signal_struct.
func (r *Reader) ownSecurity(t *linux.Task, out *Security) error {
	ts, s, err := r.signal(t)
	if err != nil {
		return err
	}
	exit, err := r.views.exit.Load(r.mem, t.Addr)
	if err != nil {
		return err
	}
	out.NoNewPrivs, out.Personality = exit.AtomicFlags&noNewPrivs != 0, exit.Personality
	out.OOMScoreAdj = s.OOMAdjust
	out.Overrides = ts.Cred != ts.RealCred
	if r.views.signals.Has("LoginUID") && ts.LoginUID != loggedOut {
		out.LoginUID = &ts.LoginUID
	}
	if r.views.signals.Has("SessionID") && ts.SessionID != loggedOut {
		out.LoginSession = &ts.SessionID
	}
	for i, l := range s.Limits {
		out.Limits = append(out.Limits, Limit{limitNames[i].name, l.Cur, l.Max})
	}
	return nil
}
