package settings

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
)

// A format returns a setting as its handler shows it.
type format func(r *reader, name string, t *ctlTable) (string, error)

// formats are those of the handlers whose form is known, by their symbols. Most of those of a subsystem
// check what is written, and show as the general one does which they call (kernel/sysctl.c).
var formats = sync.OnceValue(func() map[string]format {
	all := map[string]format{}
	for f, names := range formatNames {
		for name := range strings.FieldsSeq(names) {
			all[name] = *f
		}
	}
	return all
})()

// The forms, and the handlers that have them.
var (
	asInts         = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.vector(t, 4, true, same) })
	asUints        = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.vector(t, 4, false, same) })
	asLongs        = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.vector(t, 8, false, same) })
	asBytes        = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.vector(t, 1, false, same) })
	asBool         = format(boolean)
	asNumber       = format(number)
	asText         = format(text)
	asSeconds      = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.timeVector(t, 4, 1) })
	asMilliseconds = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.timeVector(t, 4, 1000) })
	asClockTicks   = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.timeVector(t, 4, userHZ) })
	asLongMillis   = format(func(r *reader, _ string, t *ctlTable) (string, error) { return r.timeVector(t, 8, 1000) })
	asReachable    = format(reachable)
	asQueueLength  = format(queueLength)
	asBitmap       = format(bitmap)
	asStaticKey    = format(staticKey)
	asUUID         = format(uuid)
	asPortRange    = format(portRange)
	asTaint        = format(func(r *reader, _ string, _ *ctlTable) (string, error) { return r.variable("tainted_mask", 8) })
	asMaxThreads   = format(func(r *reader, _ string, _ *ctlTable) (string, error) { return r.variable("max_threads", 4) })
	asZero         = format(func(*reader, string, *ctlTable) (string, error) { return "0", nil })
	asSecret       = format(secret)
	asLogger       = format(logger)
	asCongestion   = format(congestion)
	asQdisc        = format(qdisc)
	asFtrace       = format(ftraceEnabled)
	asActions      = format(actions)
	asSysRq        = format(func(r *reader, _ string, _ *ctlTable) (string, error) { return r.variable("sysrq_enabled", 4) })
)

// userHZ is USER_HZ.
const userHZ = 100

var formatNames = map[*format]string{
	&asInts: `proc_dointvec proc_dointvec_minmax proc_dointvec_minmax_sysadmin proc_dointvec_minmax_warn_RT_change proc_dointvec_minmax_coredump
		proc_dointvec_minmax_bpf_restricted bpf_unpriv_handler overcommit_ratio_handler overcommit_policy_handler dirty_ratio_handler
		dirty_background_ratio_handler dirty_writeback_centisecs_handler dirtytime_interval_handler min_free_kbytes_sysctl_handler
		watermark_scale_factor_sysctl_handler percpu_pagelist_fraction_sysctl_handler percpu_pagelist_high_fraction_sysctl_handler
		sched_rt_handler sched_rr_handler sched_proc_update_handler sysctl_min_unmapped_ratio_sysctl_handler sysctl_min_slab_ratio_sysctl_handler
		compaction_proactiveness_sysctl_handler perf_proc_update_handler perf_event_max_sample_rate_handler perf_cpu_time_max_percent_handler perf_event_max_stack_handler
		tracepoint_printk_sysctl stack_trace_sysctl yama_dointvec_minmax apparmor_dointvec proc_do_rointvec
		proc_ipc_dointvec proc_ipc_dointvec_minmax proc_ipc_dointvec_minmax_orphans proc_ipc_sem_dointvec proc_mq_dointvec proc_mq_dointvec_minmax
		ipv4_privileged_ports ipv4_doint_and_flush devinet_sysctl_forward devinet_conf_proc neigh_proc_dointvec neigh_proc_dointvec_zero_intmax
		addrconf_sysctl_forward addrconf_sysctl_mtu addrconf_sysctl_proxy_ndp addrconf_sysctl_disable addrconf_sysctl_ignore_routes_with_linkdown
		addrconf_sysctl_disable_policy addrconf_sysctl_addr_gen_mode addrconf_sysctl_force_forwarding proc_tfo_blackhole_detect_timeout proc_do_dev_weight
		lowmem_reserve_ratio_sysctl_handler proc_watchdog_thresh proc_dointvec_minmax_bpf_enable proc_do_defense_mode proc_do_sync_threshold
		proc_do_sync_ports proc_sctp_do_auth flow_limit_table_len_sysctl brnf_sysctl_call_tables proc_sctp_do_alpha_beta proc_sctp_do_udp_port sysctl_vm_numa_stat_handler`,
	&asUints: `ipv4_ping_group_range proc_douintvec proc_douintvec_minmax proc_dopipe_max_size proc_sctp_do_rto_min proc_sctp_do_rto_max proc_sctp_do_probe_interval
		proc_fib_multipath_hash_fields proc_rt6_multipath_hash_fields nf_conntrack_hash_sysctl sched_itmt_update_handler`,
	&asLongs: `proc_doulongvec_minmax proc_ipc_doulongvec_minmax mmap_min_addr_handler dirty_bytes_handler dirty_background_bytes_handler
		overcommit_kbytes_handler proc_dohung_task_timeout_secs proc_dolongvec_minmax_bpf_restricted`,
	&asBytes:        `proc_dou8vec_minmax`,
	&asBool:         `proc_dobool`,
	&asZero:         `proc_ipc_auto_msgmni`,
	&asSecret:       `addrconf_sysctl_stable_secret`,
	&asLogger:       `nf_log_proc_dostring`,
	&asCongestion:   `proc_tcp_congestion_control`,
	&asQdisc:        `set_default_qdisc`,
	&asFtrace:       `ftrace_enable_sysctl`,
	&asActions:      `seccomp_actions_logged_handler`,
	&asNumber:       `ipv4_fwd_update_priority proc_fib_multipath_hash_policy proc_rt6_multipath_hash_policy timer_migration_handler`,
	&asText:         `proc_dostring proc_dostring_coredump proc_do_uts_string devkmsg_sysctl_set_loglvl numa_zonelist_order_handler`,
	&asSeconds:      `proc_dointvec_jiffies neigh_proc_dointvec_jiffies`,
	&asMilliseconds: `proc_dointvec_ms_jiffies proc_dointvec_ms_jiffies_minmax neigh_proc_dointvec_ms_jiffies neigh_proc_dointvec_ms_jiffies_positive`,
	&asClockTicks:   `proc_dointvec_userhz_jiffies neigh_proc_dointvec_userhz_jiffies`,
	&asLongMillis:   `proc_doulongvec_ms_jiffies_minmax`,
	&asReachable:    `neigh_proc_base_reachable_time ndisc_ifinfo_sysctl_change`,
	&asQueueLength:  `neigh_proc_dointvec_unres_qlen`,
	&asBitmap:       `proc_do_large_bitmap`,
	&asStaticKey:    `proc_do_static_key bpf_stats_handler`,
	&asUUID:         `proc_do_uuid`,
	&asPortRange:    `ipv4_local_port_range`,
	&asTaint:        `proc_taint`,
	&asMaxThreads:   `sysctl_max_threads`,
	&asSysRq:        `sysrq_sysctl_handler`,
}

// maxValue is the largest value that is read, in bytes: all but bitmaps fit on a page.
const maxValue = 4096

// bytes reads the memory of a setting.
func (r *reader) bytes(t *ctlTable) ([]byte, error) {
	if t.MaxLen < 0 || t.MaxLen > maxValue || t.Data == 0 {
		return nil, fmt.Errorf("%w: %d bytes at %v", kstruct.ErrCorrupt, t.MaxLen, t.Data)
	}
	b := make([]byte, t.MaxLen)
	_, err := r.k.Space().ReadVirt(b, t.Data)
	return b, err
}

func same(v int64) int64 { return v }

// vector shows the numbers of a setting, with tabs in between.
func (r *reader) vector(t *ctlTable, size int, signed bool, conv func(int64) int64) (string, error) {
	b, err := r.bytes(t)
	if err != nil {
		return "", err
	}
	var words []string
	for ; len(b) >= size; b = b[size:] {
		v := load(b, size)
		if signed {
			v = uint64(int64(int32(v))) //nolint:gosec // the sign of an int
			words = append(words, strconv.FormatInt(conv(int64(v)), 10))
			continue
		}
		words = append(words, strconv.FormatUint(uint64(conv(int64(v))), 10))
	}
	return strings.Join(words, "\t"), nil
}

// load returns the little-endian number of 1, 4 or 8 bytes.
func load(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// timeVector shows times that are kept in jiffies, in units of which there are so many in a second.
func (r *reader) timeVector(t *ctlTable, size int, units int64) (string, error) {
	hz, err := r.ticks()
	if err != nil {
		return "", err
	}
	return r.vector(t, size, size == 4, func(v int64) int64 { return v * units / int64(hz) })
}

// ticksOf returns HZ when it is first asked for.
func ticksOf(k *linux.Kernel) func() (uint64, error) {
	return sync.OnceValues(func() (uint64, error) {
		t, err := jiffies.Read(k)
		return t.HZ, err
	})
}

// number shows a number of as many bytes as the setting has.
func number(r *reader, _ string, t *ctlTable) (string, error) {
	if t.MaxLen == 1 {
		return r.vector(t, 1, false, same)
	}
	return r.vector(t, 4, true, same)
}

func text(r *reader, _ string, t *ctlTable) (string, error) {
	b, err := r.bytes(t)
	if err != nil {
		return "", err
	}
	s, _, _ := strings.Cut(string(b), "\x00")
	return s, nil
}

// reachable is one variable under two names (net/core/neighbour.c, net/ipv6/ndisc.c).
func reachable(r *reader, name string, t *ctlTable) (string, error) {
	switch {
	case strings.HasSuffix(name, "_ms"):
		return r.timeVector(t, 4, 1000)
	case strings.HasSuffix(name, "/retrans_time"):
		return r.vector(t, 4, true, same)
	}
	return r.timeVector(t, 4, 1)
}
