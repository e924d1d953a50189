"""Asks DuckDB the questions in a directory of tables, and prints the answers as JSON. Usage: ask.py SQL-DIRECTORY"""
import json
import pathlib
import sys

import duckdb

sql = pathlib.Path(sys.argv[1])
db = duckdb.connect()
db.execute((sql / "views.sql").read_text())


def ask(name, **variables):
    for key, value in variables.items():
        db.execute(f"SET VARIABLE {key} = {value!r}")
    return db.execute((sql / f"{name}.sql").read_text()).fetchall()


tables = ["nodes", "pods", "containers", "processes", "descriptors", "sockets", "modules", "bpf_programs", "findings", "gaps"]
processes = db.execute(
    "SELECT item, pid, node, comm, coalesce(lower(hex(comm_bytes)), ''), args, coalesce(exe, ''), coalesce(epoch_us(captured_at), 0), coalesce(epoch_us(started_at), 0), whole FROM processes"
).fetchall()
address = db.execute("SELECT local_address FROM sockets WHERE state = 'LISTEN' AND local_address NOT IN ('*', '0.0.0.0', '::') AND local_address IS NOT NULL LIMIT 1").fetchone()
tag = db.execute("SELECT tag FROM bpf_programs LIMIT 1").fetchone()
print(json.dumps({
    "Rows": {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables},
    "Processes": processes,
    "Unknown": [r[1] for r in ask("unknown")],
    "Binary": sorted({str(r[0]) for r in ask("binary", program="/memfd:update%")}),
    "Address": [str(r[0]) for r in ask("address", address=address[0] if address else "127.0.0.1")],
    "Rare": [str(r[1]) for r in ask("rare", nodes=1)],
    "BPF": len(ask("bpf", program=tag[0])) if tag else 0,
    "Changed": len(ask("changed", day1="2026-11-21", day2="2026-11-22")),
}))
