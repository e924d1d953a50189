package findings

import (
	"context"
	"path"
	"regexp"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

// A check is a rule's Check.
type check = func(context.Context, *Node, *Reporter) error

// perProcess looks at each process; what is found is of it.
func perProcess(look func(n *Node, p *cos.Process, found func(Finding))) check {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		return eachProcess(ctx, n, func(p *cos.Process) {
			look(n, p, func(f Finding) {
				f.Subject = n.OfProcess(p)
				r.Found(f)
			})
		})
	}
}

// perContainer looks at each container in depth; what is found is of it.
func perContainer(look func(n *Node, c *cos.ContainerDetail, found func(Finding))) check {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		for i := range n.Report.Containers {
			if err := ctx.Err(); err != nil {
				return err
			}
			c := &n.Report.Containers[i]
			look(n, c, func(f Finding) {
				f.Subject = n.OfContainer(c.PodUID, c.ID)
				r.Found(f)
			})
		}
		return nil
	}
}

// perSocket looks at each socket; what is found is of the first process that has it, or else of its pod.
func perSocket(look func(n *Node, s *cos.Socket, found func(Finding))) check {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		for i := range n.Report.Network.Sockets {
			if err := ctx.Err(); err != nil {
				return err
			}
			s := &n.Report.Network.Sockets[i]
			look(n, s, func(f Finding) {
				f.Subject = n.ofSocket(s)
				if f.Object == "" {
					f.Object = s.Addr.String()
				}
				r.Found(f)
			})
		}
		return nil
	}
}

// owner returns the first process of a socket's pod that has it open; nil where there is none.
func (n *Node) owner(s *cos.Socket) *cos.Process {
	for _, o := range s.Owners {
		if p := n.Process(o.PID); p != nil && p.PodUID == s.PodUID {
			return p
		}
	}
	return nil
}

func (n *Node) ofSocket(s *cos.Socket) Subject {
	if p := n.owner(s); p != nil {
		return n.OfProcess(p)
	}
	return n.OfContainer(s.PodUID, s.ContainerID)
}

// program is the base name of a process's program, without the mark of a deleted one.
func program(p *cos.Process) string {
	return path.Base(strings.TrimSuffix(p.Exe, " (deleted)"))
}

// multicall are programs that are many: which one they are says the name by which they are called.
var multicall = regexp.MustCompile(`^(busybox|toybox|coreutils|toolbox)`)

// called is what a process is: its program, or, of one that is many, the name by which it was called.
func called(p *cos.Process) string {
	name := program(p)
	if multicall.MatchString(name) && len(p.Args) > 0 {
		return path.Base(strings.TrimPrefix(p.Args[0], "-"))
	}
	return name
}

// shells are programs that take commands.
var shells = regexp.MustCompile(`^(sh|ash|bash|dash|zsh|ksh|mksh|csh|tcsh|fish|rbash)$`)

func isShell(p *cos.Process) bool { return shells.MatchString(called(p)) }

// fd returns what a descriptor of a process is open to; empty where it has none.
func fd(p *cos.Process, number int) string {
	for i := range p.FDs {
		if p.FDs[i].FD == number {
			return p.FDs[i].Path
		}
	}
	return ""
}

// quote marks the end of a value that may be any text within a sentence.
func quote(s string) string { return "\u2018" + s + "\u2019" }

// perNode looks at the node as a whole; what is found says itself what it is of.
func perNode(look func(n *Node, found func(Finding))) check {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		look(n, r.Found)
		return ctx.Err()
	}
}
