"""Describes drgn's types in ISF."""

import hashlib

from drgn import TypeKind

AGGREGATES = TypeKind.STRUCT, TypeKind.UNION


def plain(t):
    """Returns a type without typedefs and qualifiers, which ISF does not have."""
    while t.kind == TypeKind.TYPEDEF:
        t = t.type
    return t.unqualified()


def tag(t):
    return t.tag or "unnamed_" + hashlib.sha256(str(t).encode()).hexdigest()[:16]


def field_type(t, bits=None, position=0):
    t = plain(t)
    if bits is not None:
        return {"kind": "bitfield", "bit_position": position, "bit_length": bits, "type": field_type(t)}
    if t.kind == TypeKind.POINTER:
        return {"kind": "pointer", "subtype": field_type(t.type)}
    if t.kind == TypeKind.ARRAY:
        return {"kind": "array", "count": t.length or 0, "subtype": field_type(t.type)}
    if t.kind in AGGREGATES + (TypeKind.ENUM,):
        return {"kind": t.kind.name.lower(), "name": tag(t)}
    if t.kind == TypeKind.FUNCTION:
        return {"kind": "function"}
    return {"kind": "base", "name": "void" if t.kind == TypeKind.VOID else t.name}


class Description:
    """An ISF file in the making."""

    def __init__(self):
        pointer = {"kind": "int", "size": 8, "signed": False, "endian": "little"}
        void = {"kind": "void", "size": 0, "signed": False, "endian": "little"}
        self.bases, self.users, self.enums, self.symbols = {"pointer": pointer, "void": void}, {}, {}, {}

    def add(self, t):
        """Adds a type with all that is inside it. What pointers lead to has no more than a name."""
        t = plain(t)
        if t.kind == TypeKind.ARRAY:
            self.add(t.type)
        elif t.kind in AGGREGATES and tag(t) not in self.users:
            self.users[tag(t)] = user = {"kind": t.kind.name.lower(), "size": t.size, "fields": {}}
            for m in t.members:
                self.member(user["fields"], m)
        elif t.kind == TypeKind.ENUM:
            constants = {e.name: e.value for e in t.enumerators}
            self.add(t.type)
            self.enums[tag(t)] = {"size": t.type.size, "base": t.type.name, "constants": constants}
        elif t.kind in (TypeKind.INT, TypeKind.BOOL, TypeKind.FLOAT):
            self.base(t)

    def member(self, fields, m):
        self.add(m.type)
        bits, offset, position = m.bit_field_size, m.bit_offset // 8, 0
        if bits is not None:
            unit = plain(m.type)
            size = 8 * (unit.type if unit.kind == TypeKind.ENUM else unit).size
            offset, position = m.bit_offset // size * size // 8, m.bit_offset % size
        field = {"offset": offset, "type": field_type(m.type, bits, position)}
        if m.name is None:
            field["anonymous"] = True
        fields[m.name or "unnamed_field_%d" % len(fields)] = field

    def base(self, t):
        kind = "char" if t.name.endswith("char") else t.kind.name.lower()
        signed = t.kind == TypeKind.FLOAT or t.kind == TypeKind.INT and t.is_signed
        self.bases[t.name] = {"kind": kind, "size": t.size, "signed": signed, "endian": "little"}

    def isf(self):
        metadata = {"format": "6.2.0", "producer": {"name": "make.py", "version": "1"}}
        return {"metadata": metadata, "base_types": self.bases, "user_types": self.users, "enums": self.enums, "symbols": self.symbols}
