#!/usr/bin/env python3
"""make.py OUTDIR MAKEDUMPFILE MAKEDUMPFILE-WITH-SNAPPY-AND-ZSTD

Makes the fixtures: dumps of a guest of QEMU with 2 MiB of memory that never runs, in
QEMU's own formats and by makedumpfile. Needs root, for a file system that is full.
"""
import gzip, json, os, random, socket, struct, subprocess, sys, time

out, plain, full = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
os.chdir(out)

# What is in memory: pages that compress well, one that does not, zeros, one byte all over, pointers.
rnd = random.Random(2026)
kinds = ["cache", "slab", "anonymous page", "page table", "stack"]
text = "".join("%s, in whose name the page %d was written and read.\n" % (rnd.choice(kinds), rnd.randrange(9999)) for _ in range(700)).encode()
data = text[:9 * 4096] + bytes(rnd.randrange(256) for _ in range(4096)) + bytes(4096) + bytes([7]) * 4096
data += bytes(rnd.choice(b"ab\0\0\0\0\0") for _ in range(8192))
data += b"".join((0xffff888000000000 + rnd.randrange(1 << 21)).to_bytes(8, "little") for _ in range(1024))
open("load.bin", "wb").write(data)
open("bios.bin", "wb").write(b"\xf4" * 16 + bytes(65536 - 16))

loader = "loader,file=load.bin,force-raw=on,addr="
guest = subprocess.Popen(["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "qemu64", "-smp", "2", "-m", "2", "-nodefaults",
                          "-vga", "none", "-display", "none", "-S", "-bios", "bios.bin", "-device", loader + "0x100000",
                          "-device", loader + "0x1f0000", "-qmp", "unix:qmp,server=on,wait=off"], stdin=subprocess.DEVNULL)
while not os.path.exists("qmp"):
    time.sleep(0.1)
time.sleep(0.5)
s = socket.socket(socket.AF_UNIX)
s.connect("qmp")
qmp = s.makefile("rw")


def ask(command, **arguments):
    qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    qmp.flush()
    while True:
        answer = json.loads(qmp.readline())
        if "return" in answer or "error" in answer:
            return answer


qmp.readline()
ask("qmp_capabilities")
for name, fmt in (("memory.elf", "elf"), ("qemu-flat.kdump", "kdump-zlib"), ("qemu-raw.kdump", "kdump-raw-zlib")):
    print(name, ask("dump-guest-memory", paging=False, protocol="file:" + name, format=fmt))
ask("quit")
guest.wait(20)


def relayout(src, dst):
    """Makes an ELF core for makedumpfile: QEMU's program headers are moved to where makedumpfile 1.7.2 looks for them,
    right behind the ELF header; the firmware below 4 GiB, for which bitmaps would be long, is left out."""
    h = open(src, "rb").read()
    phoff, n = struct.unpack_from("<Q", h, 32)[0], struct.unpack_from("<H", h, 56)[0]
    load, notes = [], b""
    for i in range(n):
        kind, flags, off, virt, phys, size, mem, align = struct.unpack_from("<IIQQQQQQ", h, phoff + 56 * i)
        if kind == 4:
            notes = h[off:off + size]
        elif phys < 1 << 30:
            load.append((phys, h[off:off + size]))
    at = 64 + 56 * (len(load) + 1)
    head = h[:32] + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, len(load) + 1, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    at += len(notes)
    for phys, b in load:
        head += struct.pack("<IIQQQQQQ", 1, 0, at, 0, phys, len(b), len(b), 0)
        at += len(b)
    open(dst, "wb").write(head + notes + b"".join(b for _, b in load))


def run(command, **kw):
    p = subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kw)
    print(p.returncode, command, p.stderr[-200:] if p.returncode else "")


relayout("memory.elf", "core")
run(f"{plain} -d 0 core none.kdump")
run(f"{plain} -c -d 1 core zlib.kdump")
run(f"{plain} -l -d 1 core lzo.kdump")
run(f"{full} -p -d 1 core snappy.kdump")
run(f"{full} -z -d 1 core zstd.kdump")
run(f"{plain} -F -l -d 0 core > flat.kdump")
run(f"{plain} --split --splitblock-size 64 -c -d 0 core split1.kdump split2.kdump")
run("mkdir -p small && mount -t tmpfs -o size=56k none small")
run(f"{plain} -d 1 core small/incomplete.kdump")
run("cp --sparse=never small/incomplete.kdump . && umount small && rmdir small")
for name in sorted(os.listdir(".")):
    if name.endswith((".kdump", ".elf")):
        b = open(name, "rb").read()
        with open(name + ".gz", "wb") as f:
            f.write(gzip.compress(b, 9, mtime=0))
        print(name, len(b), os.path.getsize(name + ".gz"))
