"""Makes NAME.json.xz of a kernel with drgn: the types of some structures as ISF, what drgn reads by them from made-up
memory, and where members are.

    pip install drgn && python3 make.py NAME VMLINUX

Byte i of the memory is (i*7 + i/251) % 256, and all structures are read from its beginning.
"""

import json
import lzma
import pathlib
import sys

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "drgn"))

import isf

import drgn

STRUCTURES = """task_struct cred pid pid_namespace mm_struct vm_area_struct file files_struct fdtable path dentry inode
    super_block vfsmount mount mnt_namespace nsproxy uts_namespace sock sock_common unix_sock inet_sock tcp_sock page
    address_space xa_node xarray idr maple_node rb_node css_set cgroup cgroup_subsys kernfs_node module_kobject worker
    signal_struct sighand_struct user_namespace neighbour printk_ringbuffer bpf_map bpf_prog
    timekeeper""".split()
MEMBERS = {
    "task_struct": "pid comm tasks se.exec_start pid_links[1].next mm exit_state thread_node flags",
    "sock_common": "skc_dport skc_daddr skc_v6_daddr skc_cookie.counter skc_net.net",
    "pid": "numbers numbers[0].nr numbers[0].ns level",
    "mnt_namespace": "list mounts mounts.rb_node",
    "inode": "i_ino i_size i_pipe i_nlink",
}
BASE = 0xFFFF888000200000

name, vmlinux = sys.argv[1:]
prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
prog.extra_module("vmlinux", create=True).try_file(vmlinux, force=True)
memory = bytes((i * 7 + i // 251) % 256 for i in range(1 << 16))
prog.add_memory_segment(BASE, len(memory), lambda addr, count, offset, physical: memory[offset : offset + count])

description, values, offsets = isf.Description(), {}, {}
for structure in STRUCTURES:
    try:
        typ = prog.type("struct " + structure)
        typ.members
    except (LookupError, TypeError):
        continue
    description.add(typ)
    values[structure] = drgn.Object(prog, typ, address=BASE).value_()
    for member in MEMBERS.get(structure, "").split():
        try:
            offsets[structure + "." + member] = drgn.offsetof(typ, member)
        except (LookupError, TypeError):
            offsets[structure + "." + member] = None

text = json.dumps({"types": description.isf(), "values": values, "offsets": offsets}, sort_keys=True)
(here / (name + ".json.xz")).write_bytes(lzma.compress(text.encode(), preset=9))
