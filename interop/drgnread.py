"""Reads random addresses of an image by types with drgn, for TestDrgn of kstruct to do the same.

    drgnread.py IMAGE VMLINUX <TYPES

Each line of the input is a type and how many addresses to read, such as "struct sock 1000". Each line of the output is
a JSON array: type, size, address, value. The size is null for an unknown type. The value is null where memory can't be
read; else it is an object for a struct or union, an array, or a number. For a line such as "print init_task" it is the
text that drgn prints of the variable, without types and symbols.
"""

import json
import random
import sys

import drgn

image, vmlinux = sys.argv[1:]
prog = drgn.Program()
prog.set_core_dump(image)
prog.load_debug_info([vmlinux])


def addresses(chance):
    """Yields addresses in the direct mapping and in the kernel's image; three of four are where there is data."""
    base, memory = prog["page_offset_base"].value_(), prog["max_pfn"].value_() << 12
    start, end = (prog.symbol(s).address for s in ("_sdata", "_end"))
    while True:
        address = base + chance.randrange(memory) if chance.random() < 0.7 else chance.randrange(start, end)
        if chance.random() < 0.75:
            address &= ~7
            try:
                if not any(prog.read(address, 64)):
                    continue
            except drgn.FaultError:
                continue
        yield address


def read(typ, address):
    try:
        return drgn.Object(prog, typ, address=address).value_()
    except drgn.FaultError:
        return None


def printed(variable):
    try:
        return prog[variable].format_(type_name=False, member_type_names=False, element_type_names=False, symbolize=False)
    except LookupError:
        return None


at = addresses(random.Random(20260101))
for line in sys.stdin:
    name, count = line.rsplit(None, 1)
    if name == "print":
        print(json.dumps([name + " " + count, None, 0, printed(count)]))
        continue
    try:
        typ = prog.type(name)
        size = typ.size
    except (LookupError, AttributeError):
        print(json.dumps([name, None, 0, None]))
        continue
    for _ in range(int(count)):
        address = next(at)
        print(json.dumps([name, size, address, read(typ, address)]))
