// SPDX-License-Identifier: GPL-2.0
/* Does to the kernel what rootkits do to it, and nothing with it: whatever is put in the way calls what was
 * there before. Unloading takes it back. HOW names the way, for each is a module of its own. */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/seq_file.h>
#include <linux/version.h>
#include <net/net_namespace.h>
#include "lookup.h"

/* poke writes where the page table says that nothing may be written. */
static void __maybe_unused poke(void *at, const void *bytes, size_t n)
{
	unsigned long cr0, flags;

	local_irq_save(flags);
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~(1UL << 16)) : "memory");
	memcpy(at, bytes, n);
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	local_irq_restore(flags);
}

/* The call that is hooked in the table, getpriority, and the one whose code is. */
#define NUMBER 140
#define PATCHED "__x64_sys_getpgid"

typedef asmlinkage long (*call)(const struct pt_regs *);
static call original;

static asmlinkage long __maybe_unused hooked(const struct pt_regs *regs)
{
	return original(regs);
}

/* By the table. */
static void **slot;

static int __maybe_unused by_table(void)
{
	void **table = (void **)lookup("sys_call_table");
	void *target = hooked;

	if (!table)
		return -ENOENT;
	slot = table + NUMBER;
	original = *slot;
	poke(slot, &target, sizeof target);
	return 0;
}

static void __maybe_unused not_by_table(void)
{
	poke(slot, &original, sizeof original);
}

/* By patching text: a jump at the function's first instruction that may be one. */
static u8 saved[5], *patched;

/* The instruction that stands where a tracer is called; until 5.12 it depended on the processor. */
static bool __maybe_unused is_nop(const u8 *code)
{
	return !memcmp(code, "\x0f\x1f\x44\x00\x00", 5) || !memcmp(code, "\x66\x66\x66\x66\x90", 5) || !memcmp(code, "\x3e\x8d\x74\x26\x00", 5);
}

static int __maybe_unused by_text(void)
{
	u8 jump[5] = {0xe9}, *start = (u8 *)lookup(PATCHED);
	s32 distance;

	if (!start)
		return -ENOENT;
	if (!memcmp(start, "\xf3\x0f\x1e\xfa", 4))
		start += 4; /* endbr64 */
	if (!is_nop(start))
		return -EBUSY; /* traced, or not made to be */
	patched = start;
	original = (call)(start + 5);
	distance = (u8 *)hooked - (start + 5);
	memcpy(jump + 1, &distance, 4);
	memcpy(saved, start, 5);
	poke(start, jump, 5);
	return 0;
}

static void __maybe_unused not_by_text(void)
{
	poke(patched, saved, sizeof saved);
}

/* By ftrace. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static void traced(unsigned long ip, unsigned long parent, struct ftrace_ops *ops, struct pt_regs *regs)
#else
static void traced(unsigned long ip, unsigned long parent, struct ftrace_ops *ops, struct ftrace_regs *regs)
#endif
{
}

static struct ftrace_ops __maybe_unused ops = {.func = traced, .flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY};

static int __maybe_unused by_ftrace(void)
{
	char name[] = "__x64_sys_setpriority";
	int err = ftrace_set_filter(&ops, name, strlen(name), 1);

	return err ? err : register_ftrace_function(&ops);
}

static void __maybe_unused not_by_ftrace(void)
{
	unregister_ftrace_function(&ops);
}

/* By a kprobe. */
static int before(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe __maybe_unused probe = {.symbol_name = "__x64_sys_getcpu", .pre_handler = before};

static int __maybe_unused by_kprobe(void)
{
	return register_kprobe(&probe);
}

static void __maybe_unused not_by_kprobe(void)
{
	unregister_kprobe(&probe);
}

/* By the sequence operations of /proc/net/tcp. */
static int (*show)(struct seq_file *, void *);
static struct seq_operations *tcp;

static int hooked_show(struct seq_file *m, void *v)
{
	return show(m, v);
}

static int __maybe_unused by_seq(void)
{
	void *target = hooked_show;

	tcp = (void *)lookup("tcp4_seq_ops");
	if (!tcp)
		return -ENOENT;
	show = tcp->show;
	poke(&tcp->show, &target, sizeof target);
	return 0;
}

static void __maybe_unused not_by_seq(void)
{
	poke(&tcp->show, &show, sizeof show);
}

/* By netfilter. */
static unsigned int filter(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static const struct nf_hook_ops __maybe_unused filter_ops = {.hook = filter, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .priority = NF_IP_PRI_FIRST + 77};

static int __maybe_unused by_netfilter(void)
{
	return nf_register_net_hook(&init_net, &filter_ops);
}

static void __maybe_unused not_by_netfilter(void)
{
	nf_unregister_net_hook(&init_net, &filter_ops);
}

static int __init standin_start(void)
{
	return HOW();
}

static void __exit standin_end(void)
{
	HOW_NOT();
}

module_init(standin_start);
module_exit(standin_end);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stand-in for a rootkit's hook");
