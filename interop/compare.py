#!/usr/bin/env python3
"""compare.py VOL SYMBOLS IMAGE REPORT TRUTH: runs Volatility 3 and compares it with a report. TRUTH is the directory of what
/proc said on the node."""
import concurrent.futures
import json
import os
import subprocess
import sys

import network

vol, symbols, image, report, truth = sys.argv[1:]
failures = []


def run(plugin, *args):
    """Runs a plugin, which must succeed, and returns its rows."""
    done = subprocess.run([vol, "-q", "-r", "json", "-s", symbols, "-f", image, plugin, *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        failures.append(f"{plugin}: exit status {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
        return []
    rows = json.loads(done.stdout)
    print(f"{plugin}: {len(rows)} rows")
    return rows


workers = concurrent.futures.ThreadPoolExecutor(os.cpu_count())


def start(plugin, *args):
    """Runs a plugin beside others: each reads the symbols anew, which is most of what it takes. The result is asked for its rows."""
    return workers.submit(run, plugin, *args).result


def equal(what, theirs, ours):
    """Compares two dictionaries by PID."""
    for pid in sorted(theirs.keys() | ours.keys()):
        if theirs.get(pid) != ours.get(pid):
            failures.append(f"{what} of {pid}: Volatility {theirs.get(pid)!r}, we {ours.get(pid)!r}")


processes = {p["pid"]: p for p in json.load(open(report))["processes"]}
# Volatility walks the task list alone, and on the torn list steps over one process.
listed = run("linux.pslist.PsList")
ours = {pid: (p["ppid"], p["comm"]) for pid, p in processes.items()}
theirs = {p["PID"]: (p["PPID"], p["COMM"]) for p in listed}
invented = theirs.keys() - ours.keys()
unlisted = ours.keys() - theirs.keys()
if invented:
    failures.append(f"processes that only Volatility has: {sorted(invented)}")
if len(unlisted) > 1:
    failures.append(f"processes that Volatility does not list: {sorted(unlisted)}")
both = ours.keys() & theirs.keys()
# Kernel threads have longer names in /proc than in task_struct.comm, which Volatility shows.
short = {pid: (ours[pid][0], ours[pid][1] if not processes[pid]["kernelThread"] else theirs[pid][1]) for pid in both}
equal("parent and name", {pid: theirs[pid] for pid in both}, short)

user = [pid for pid in sorted(both) if processes[pid]["args"]]
psaux, lsof, maps = start("linux.psaux.PsAux"), start("linux.lsof.Lsof"), start("linux.proc.Maps", "--pid", *map(str, user))
sockstat, addr, link = start("linux.sockstat.Sockstat"), start("linux.ip.Addr"), start("linux.ip.Link")
args = {p["PID"]: p["ARGS"] for p in psaux() if p["PID"] in user}
equal("arguments", args, {pid: " ".join(processes[pid]["args"]) for pid in user})

files = {}
for f in lsof():
    if f["PID"] in user and f["PID"] == f["TID"]:
        files.setdefault(f["PID"], set()).add(f["FD"])
equal("descriptors", files, {pid: {f["fd"] for f in processes[pid]["fds"]} for pid in user if processes[pid]["fds"]})

if not maps():
    failures.append("linux.proc.Maps: no rows")
node = json.load(open(report))
faults, wrong = network.compare_sockets(sockstat(), node, network.read_truth(truth))
failures += faults
faults, more = network.compare_devices(addr(), link(), node, truth)
failures += faults
for w in wrong + more:
    print("Volatility is wrong:", w)

for f in failures:
    print("FAILED:", f)
print(f"{len(both)} processes compared, {len(failures)} failures")
sys.exit(bool(failures))
