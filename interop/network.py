"""Compares what Volatility's linux.sockstat and linux.ip list with the network of a report. Where
they differ, what /proc said on the node decides."""
import glob
import json
import os
import re
import struct
import ipaddress

# The states of Volatility under the names of ss, and those of /proc/net.
STATES = {"ESTABLISHED": "ESTAB", "UNCONNECTED": "UNCONN", "SYN_SENT": "SYN-SENT", "SYN_RECV": "SYN-RECV", "FIN_WAIT1": "FIN-WAIT-1",
          "FIN_WAIT2": "FIN-WAIT-2", "TIME_WAIT": "TIME-WAIT", "CLOSE": "UNCONN", "CLOSE_WAIT": "CLOSE-WAIT", "LAST_ACK": "LAST-ACK",
          "LISTEN": "LISTEN", "CLOSING": "CLOSING"}
TCP = ["", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"]


def address(text):
    """Returns the address and port of /proc/net: words of 32 bits as the processor has them."""
    ip, port = text.split(":")
    words = [struct.pack("<I", int(ip[i:i + 8], 16)) for i in range(0, len(ip), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def read_truth(directory):
    """Returns the sockets of the Internet protocols that processes had open, by PID and descriptor."""
    by_inode = {}
    for name in glob.glob(os.path.join(directory, "pid", "*", "net_*")) + glob.glob(os.path.join(directory, "proc", "net", "*")):
        protocol = re.sub("^net_", "", os.path.basename(name))
        if protocol not in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"):
            continue
        for line in open(name, errors="replace").read().splitlines()[1:]:
            words = line.split()
            if len(words) > 9:
                by_inode[words[9]] = (*address(words[1]), *address(words[2]), TCP[int(words[3], 16)])
    sockets = {}
    for name in glob.glob(os.path.join(directory, "pid", "*", "fd")):
        pid = int(name.split(os.sep)[-2])
        for line in open(name, errors="replace"):
            m = re.match(r"(\d+) socket:\[(\d+)\]$", line.strip())
            if m and m[2] in by_inode:
                sockets[pid, int(m[1])] = by_inode[m[2]]
    return sockets


def compare_sockets(rows, report, truth):
    """Returns the failures, and where Volatility is wrong."""
    theirs, ours, failures, wrong = {}, {}, [], []
    for r in rows:
        if r["Family"] in ("AF_INET", "AF_INET6") and r["PID"] == r["TID"]:
            theirs[r["PID"], r["FD"]] = (r["Source Addr"], int(r["Source Port"]), r["Destination Addr"], int(r["Destination Port"]),
                                         STATES.get(r["State"], r["State"]))
    for s in report["network"]["sockets"]:
        if s["family"] in ("inet", "inet6"):
            for o in s["owners"]:
                ours[o["pid"], o["fd"]] = (s["localAddress"], s["localPort"], s["remoteAddress"], s["remotePort"], s["state"])
    for key in sorted(theirs.keys() | ours.keys()):
        their, our, true = theirs.get(key), ours.get(key), truth.get(key)
        if their == our:
            continue
        said = f"socket {key[1]} of process {key[0]}: Volatility {their}, we {our}, /proc {true}"
        (wrong if our == true and true else failures).append(said)
    print(f"{len(theirs.keys() & ours.keys())} open sockets of the Internet protocols compared")
    held = sum(1 for s in report["network"]["sockets"] if not s["owners"])
    print(f"{held} sockets that no process has open, which linux.sockstat does not show")
    if not theirs:
        failures.append("linux.sockstat.Sockstat: no sockets of the Internet protocols")
    return failures, wrong


def read_ip(directory):
    """Returns the devices and addresses that ip showed on the node, by the number of the namespace, and the namespaces
    that it was asked in: none of a node without the cases of the network."""
    links, addresses, asked = {}, set(), set()
    for name in glob.glob(os.path.join(directory, "net", "*", "ip_addr.json")):
        ns = int(name.split(os.sep)[-2])
        try:
            devices = json.load(open(name))
        except ValueError:  # ip was refused
            continue
        asked.add(ns)
        for d in filter(None, devices):
            links[ns, d["ifname"]] = (d.get("address"), d["mtu"], d["operstate"], d.get("qdisc"))
            for a in d.get("addr_info", []):
                if "local" in a:
                    addresses.add((ns, d["ifname"], a["local"], a["prefixlen"], a["scope"]))
    return links, addresses, asked


def compare_devices(addresses, links, report, truth):
    """Returns the failures, and where Volatility is wrong, as ip showed it on the node. Where ip was not asked, /proc does not
    say what addresses devices have, so both must agree, but that the kernel tells of a device which is not up that it is
    down, whatever its operstate was before (rtnl_fill_ifinfo of net/core/rtnetlink.c): so does ip."""
    failures, wrong, down = [], [], set()
    true_links, true_addresses, asked = read_ip(truth)
    ours, theirs = set(), {(r["NetNS"], r["Interface"], r["IP"], r["Prefix"], r["Scope Type"]) for r in addresses if r["IP"]}
    our_links = {}
    for ns in report["network"]["namespaces"]:
        for a in ns["addresses"]:
            ours.add((ns["inum"], a["ifname"], a["local"], a["prefixlen"], a["scope"]))
        for d in ns["devices"]:
            if "UP" not in d["flags"]:
                down.add((ns["inum"], d["ifname"]))
            our_links[ns["inum"], d["ifname"]] = (d.get("address"), d["mtu"], d["operstate"], d.get("qdisc"))
    for row in sorted(ours ^ theirs):
        right = row[0] in asked and (row in ours) == (row in true_addresses)
        (wrong if right else failures).append(f"address {row}: only {'we' if row in ours else 'Volatility'} have it")
    their_links = {(r["NS"], r["Interface"]): (r["MAC"], r["MTU"], r["State"], r["Qdisc"]) for r in links}
    for key in sorted(our_links.keys() | their_links.keys()):
        our, their = our_links.get(key), their_links.get(key)
        if our == their:
            continue
        said = f"device {key}: Volatility {their}, we {our}"
        if key[0] in asked:
            true = true_links.get(key)
            (wrong if our == true else failures).append(f"{said}, ip {true}")
            continue
        # What is left when the state is taken out must be the same.
        only_state = our and their and our[:2] + our[3:] == their[:2] + their[3:]
        (wrong if only_state and key in down and our[2] == "DOWN" else failures).append(said)
    print(f"{len(ours & theirs)} addresses and {len(our_links)} devices compared")
    return failures, wrong
