package main

import (
	"regexp"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/examples/internal/query"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/vmem"
)

// object returns the command that prints objects of the kernel.
func (a *app) object() *cobra.Command {
	var p kstruct.Printer
	cpu := -1
	c := &cobra.Command{
		Use: "struct IMAGE VARIABLE[.MEMBER,...] | IMAGE TYPE[.MEMBER,...] ADDRESS", Short: "Print an object of the kernel, by its name or by type and address",
		Long: "Print an object of the kernel, by its name or by type and address.\n\nVARIABLE is a symbol, and TYPE a type as C has it. A MEMBER is a path with dots, -> and indexes. ADDRESS is hexadecimal.\n" +
			"The addresses that -o wide shows elsewhere can be asked for here.",
		Example: examples("nodelens struct node.lime init_uts_ns.name.nodename", "nodelens struct node.lime 'task_struct.comm,real_cred->uid' ffff8a0b82d50000", "nodelens struct node.lime 'runqueues.curr->comm' --cpu 0"),
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 2 && len(args) != 3:
				return usage("an image and an object are expected")
			case len(args) == 3 && cpu >= 0:
				return usage("--cpu is for variables, not for what is at an address")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			q := query.Parse(args[1])
			if len(args) == 3 {
				if err := q.At(args[2]); err != nil {
					return usageError{err}
				}
			}
			return a.openNode(c.Context(), args[0], func(v *view) error {
				value := q.Value(v.node.Kernel().Objects(), cpu)
				if value.Err() != nil {
					return value.Err()
				}
				lost, err := q.Print(v.stdout, &p, value)
				if lost != nil {
					v.say(lost)
				}
				return err
			})
		},
	}
	c.Flags().IntVar(&cpu, "cpu", -1, "VARIABLE is the copy of the CPU with number `N` of a per-CPU variable")
	c.Flags().BoolVar(&p.OmitTypes, "no-types", false, "leave the types out")
	c.Flags().BoolVar(&p.OmitZeros, "no-zeros", false, "leave out members that are zero")
	c.Flags().IntVar(&p.MaxDepth, "depth", 0, "print `N` levels of structures; 0: all")
	return c
}

// A hitRow is a place in memory where an expression matches.
type hitRow struct {
	PID     int32         `json:"pid" col:"PID"`
	Comm    string        `json:"comm" col:"NAME"`
	Address vmem.VirtAddr `json:"address" col:"ADDRESS"`
	Perms   string        `json:"perms" col:"PERMS,line"`
	Path    string        `json:"path" jsonx:"null" col:"MAPPING,line,flex"`
	Data    string        `json:"data" col:"DATA,flex"`
	Pod     string        `json:"pod" jsonx:"null" col:"POD,flex"`
}

// search returns the command that searches memory.
func (a *app) search() *cobra.Command {
	var expression string
	q := question[hitRow]{
		name: "search", short: "Search the memory of processes for an expression", opened: true, filtered: true,
		long:     "The syntax of expressions is that of Go's package regexp. Matches may be secrets; they are shown.",
		examples: []string{"nodelens search node.lime --expr 'pool\\.[a-z.]+:[0-9]+' --pod image-resizer", "nodelens search node.lime --expr 'BEGIN [A-Z ]*PRIVATE KEY' -o jsonl"},
		flags: func(c *cobra.Command) {
			c.Flags().StringVarP(&expression, "expr", "e", "", "what to look for: a regular `EXPRESSION`")
			_ = c.MarkFlagRequired("expr") // fails where there is no such flag
		},
	}
	q.rows = func(v *view) ([]hitRow, error) {
		expr, err := regexp.Compile(expression)
		if err != nil {
			return nil, usageError{err}
		}
		var tasks []*linux.Task
		for _, p := range v.processes() {
			if t := v.userTask(p); t != nil {
				tasks = append(tasks, t)
			}
		}
		var rows []hitRow
		for hit, err := range memory.New(v.node.Kernel(), nil).Search(v.ctx, tasks, []memory.Pattern{{Expr: expr}}) {
			if err != nil {
				v.lose(err)
				continue
			}
			row := hitRow{PID: hit.Task.PID, Comm: hit.Task.Comm, Address: hit.Address, Perms: hit.Mapping.Flags.String(), Path: hit.Mapping.Path, Data: string(hit.Data)}
			if p := v.index.Process(hit.Task.TGID); p != nil {
				row.Pod = v.podName(p.PodUID)
			}
			rows = append(rows, row)
		}
		return rows, v.ctx.Err()
	}
	return q.command(a)
}

// userTask returns the task of a process that has memory of its own; nil of others, or where it can't be read.
func (v *view) userTask(p *cos.Process) *linux.Task {
	if p.KernelThread || p.State == linux.Zombie {
		return nil
	}
	return v.task(p)
}
