"""Makes the files beside it with drgn: memory, the types in it as ISF, and how drgn prints the objects.

    pip install drgn && python3 make.py

Types and memory are made up, for no kernel has all cases. The memory is mapped at BASE.
"""

import json
import pathlib
import struct

import isf

from drgn import Architecture, Object, Platform, Program, Symbol, SymbolBinding, SymbolKind, TypeEnumerator, TypeKind, TypeMember

BASE = 0xFFFF888000200000
here = pathlib.Path(__file__).parent
memory = bytearray(4096)
prog = Program(Platform(Architecture.X86_64))
prog.add_memory_segment(BASE, len(memory), lambda addr, count, offset, physical: bytes(memory[offset : offset + count]))

char = prog.int_type("char", 1, True)
schar = prog.int_type("signed char", 1, True)
uchar = prog.int_type("unsigned char", 1, False)
boolean = prog.bool_type("_Bool", 1)
short = prog.int_type("short", 2, True)
ushort = prog.int_type("unsigned short", 2, False)
int_ = prog.int_type("int", 4, True)
uint = prog.int_type("unsigned int", 4, False)
ulong = prog.int_type("unsigned long", 8, False)
int128 = prog.int_type("__int128", 16, True)
double = prog.float_type("double", 8)
float_ = prog.float_type("float", 4)
void = prog.void_type()


def pointer(t):
    return prog.pointer_type(t, 8)


def array(t, *bounds):
    for n in reversed(bounds):
        t = prog.array_type(t, n)
    return t


def bits(t, size):
    return Object(prog, t, value=0, bit_field_size=size)


point = prog.struct_type("point", 8, [TypeMember(int_, "x", 0), TypeMember(int_, "y", 32)])
padded = prog.struct_type("padded", 8, [TypeMember(char, "c", 0), TypeMember(int_, "n", 32)])
empty = prog.struct_type("empty", 0, [])
either = prog.union_type("either", 8, [TypeMember(point, "p", 0), TypeMember(ulong, "whole", 0)])
state = prog.enum_type("state", uint, [TypeEnumerator("ST_A", 0), TypeEnumerator("ST_B", 2)])
sign = prog.enum_type("sign", int_, [TypeEnumerator("NEG", -1), TypeEnumerator("NONE", 0)])
unnamed_union = prog.union_type(None, 8, [TypeMember(point, "halves", 0), TypeMember(ulong, "word", 0)])
unnamed = prog.struct_type(None, 8, [TypeMember(int_, "inner1", 0), TypeMember(int_, "inner2", 32)])

members = []  # of struct all
offset = 0


def member(name, t, data, kind=TypeMember):
    """Puts a member with its bytes behind those before it."""
    global offset
    memory[offset : offset + len(data)] = data
    members.append(kind(t, name, offset * 8))
    offset += max(8, (len(data) + 7) // 8 * 8)


def words(fmt, *values):
    return struct.pack("<" + fmt, *values)


HELLO, POINT, EMPTY_TEXT, TO_HELLO = 0x800, 0x810, 0x820, 0x828
memory[HELLO : HELLO + 6] = b"hello\0"
memory[POINT : POINT + 8] = words("ii", 8, -9)
memory[TO_HELLO : TO_HELLO + 8] = words("Q", BASE + HELLO)
NOWHERE = 0x1234

member("i", int_, words("i", -5))
member("c", char, b"A")
member("control", schar, b"\xf9")
member("flag", boolean, b"\1")
member("s", short, words("h", -32768))
member("ul", ulong, words("Q", 1 << 63))
member("wide", int128, words("QQ", 5, 1))
member("real", double, words("d", 1.5))
member("single", float_, words("f", 0.1))
member("text", array(char, 16), b'ab\x1b"\\\n\xffz\0')
member("letters", array(char, 16), b"\xffa\t'?\r\x7f\v\f\a\b\xe2\x80\xae\0")
member("full", array(char, 4), b"wxyz")
member("none", array(char, 4), b"\0\0\0\0")
member("octets", array(uchar, 4), b"abc\0")
member("ints", array(int_, 6), words("6i", 1, 0, 3, 0, 0, 0))
member("rows", array(int_, 2, 2), words("4i", 0, 1, 0, 0))
member("names", array(char, 2, 4), b"ab\0\0cd\0\0")
member("points", array(point, 4), words("8i", 1, 2, 0, 0, 0, 0, 0, 0))
member("grid", array(point, 2, 2), words("8i", 1, 0, 0, 0, 0, 2, 0, 0))
member("no_points", array(point, 3), bytes(24))
member("paddings", array(padded, 2), words("b3siB3si", 0, b"\7\7\7", 0, 0, b"\7\7\7", 0))
member("eithers", array(either, 2), words("QQ", 5, 0))
member("empties", array(empty, 2), b"")
member("nothings", array(int_, 3, 0), b"")
member("states", array(state, 2), words("II", 0, 2))
member("flags", array(boolean, 2), b"\1\0")
member("e1", state, words("I", 2))
member("e2", state, words("I", 5))
member("e3", sign, words("i", -1))
member("to_char", pointer(char), words("Q", BASE + HELLO))
member("to_empty", pointer(char), words("Q", BASE + EMPTY_TEXT))
member("to_nowhere", pointer(char), words("Q", NOWHERE))
member("to_null", pointer(char), words("Q", 0))
member("to_point", pointer(point), words("Q", BASE + POINT))
member("to_void", pointer(void), words("Q", BASE + POINT))
member("to_pointer", pointer(pointer(char)), words("Q", BASE + TO_HELLO))
member("to_itself", pointer(point), words("Q", BASE))
member("to_symbol", pointer(char), words("Q", BASE + 8))
member("to_inside", pointer(pointer(void)), words("Q", BASE + 16))
member("to_row", pointer(array(int_, 2)), words("Q", BASE + POINT))
member("to_lost", pointer(point), words("Q", NOWHERE))
member("texts", array(pointer(char), 3), words("QQQ", 0, BASE + HELLO, 0))
member(None, unnamed_union, words("II", 3, 4))
member(None, unnamed, words("II", 6, 7))
member("sub", either, words("Q", 1))
member("tagless", unnamed, words("ii", 1, 2))
at = offset * 8
member("bit3", bits(int_, 3), words("I", 0b11101))
members.append(TypeMember(bits(uint, 5), "bit5", at + 3))
members.append(TypeMember(bits(boolean, 1), "bit1", at + 8))
member("last", prog.array_type(int_), b"")
everything = prog.struct_type("all", offset, members)

symbol = Symbol("everything", BASE, offset, SymbolBinding.GLOBAL, SymbolKind.OBJECT)


def symbols(prog, name, address, one):
    return [symbol] if address is not None and BASE <= address < BASE + offset else []


prog.register_symbol_finder("made up", symbols, enable_index=0)


def description():
    d = isf.Description()
    for t in everything, ushort:
        d.add(t)
    d.symbols["everything"] = {"address": BASE, "type": {"kind": "struct", "name": "all"}}
    return d.isf()


def outputs():
    whole = Object(prog, everything, address=BASE)
    yield "String", str(whole)
    yield "OmitTypes", whole.format_(type_name=False, member_type_names=False, element_type_names=False)
    yield "OmitZeros", whole.format_(implicit_members=False)
    yield "AllElements", whole.format_(implicit_elements=True)
    yield "OmitSymbols", whole.format_(symbolize=False)
    yield "to_point without types", whole.to_point.format_(type_name=False, member_type_names=False, element_type_names=False)
    for m in everything.members:
        if m.name:
            yield m.name, str(whole.member_(m.name))


for name, data in ("memory.bin", bytes(memory)), ("types.json", json.dumps(description(), indent=1, sort_keys=True).encode()):
    (here / name).write_bytes(data)
(here / "printed.txt").write_text("".join("-- %s\n%s\n" % o for o in outputs()))
