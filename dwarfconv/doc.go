// Package dwarfconv makes the symbol database of a kernel out of its vmlinux, or out of
// a module, by way of the DWARF debugging information in it.
//
// Compilers describe each unit of a program on its own, so a kernel's vmlinux holds
// most types a hundred times or more. The scanner goes through all entries once, with
// the abbreviation tables of each unit compiled to short programs, keeps one copy of
// each distinct definition, and builds types of those alone. Units are read in parallel
// and one at a time by each worker: memory grows with what is distinct, not with the
// number of units.
//
// # Input
//
// DWARF 4 and 5 as gcc and clang write it (dwarfstd.org), with type, partial and
// imported units; sections compressed by zlib or zstd; relocations of modules (ET_REL),
// but not those that a vmlinux keeps although they are applied. The file may be
// compressed as a whole by xz, gzip, bzip2 or zstd, or be inside a -dbg package of Debian
// or a -debuginfo package in RPM. A System.map can add symbols and move them.
// A boot image (vmlinuz), a stripped file and a file that is no kernel are refused with
// an error that says what to give instead.
//
// # Output
//
// Structs, unions, enumerations and base types under the names that dwarf2json gives
// them: typedefs and qualifiers are dropped, and an unnamed type takes the name of its
// typedef. Of several definitions of one name the one that most units agree on holds,
// and of several such the first in the file. Symbols are the functions and the objects
// with static storage of the symbol table, with types of the variables that DWARF has at
// their addresses; local variables are none.
//
// # Damage
//
// A unit that can't be read is skipped and told to Options.Warn; the rest is converted.
// So is one with a type that nests deeper than isf.MaxTypeDepth, for ISF has no room for
// it. Of two members or constants of one name, which C does not have, the last holds, as
// it does for dwarf2json, and that is told as well. A damaged symbol table, or part of
// one, costs the symbols alone.
//
// Files may be hostile: no count in one sizes an allocation, and time and memory are
// bounded by its size. What a conversion returns, isf can write and, up to its limit of
// 2 GiB, read again.
//
// # Not supported
//
// Split DWARF (.dwo files) and units in Rust, which are left out: their types are not C's,
// and have the same names.
package dwarfconv
