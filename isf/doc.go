// Package isf holds what is known of a kernel's types and symbols, and reads
// and writes it in the Intermediate Symbol Format (ISF), the JSON that
// Volatility 3 takes its symbols from.
//
// A [File] is one database: base types, user types (structs, unions and
// classes), enumerations and symbols, each sorted by name. It comes from an ISF
// file ([Open], [Decode]) or from a producer that reads another format and hands
// its findings to [New]. A File never changes, and is safe for concurrent use.
//
// # Looking things up
//
// [File.Field] finds a member of a type by a dotted path, looks into members that
// are unnamed structs and unions as C does, and gives the offset from the start
// of the outermost type. A program that reads kernel structures resolves all the
// offsets it needs once; a [Resolver] does that and names everything that is
// missing at once. What is missing is a [*LookupError].
//
// # The format
//
// An ISF file is one JSON object with the members metadata, base_types,
// user_types, enums and symbols. All but metadata map names to entries; a type is
// described by a nested object with the member "kind". The schemas are those that
// Volatility 3 carries as schemas/schema-VERSION.json. Writers are dwarf2json
// (Linux and macOS, from DWARF), btf2json (Linux, from BTF), Volatility's own
// pdbconv (Windows) and [File.Encode].
//
// Decode reads the versions 2.0 to 6.3, and later ones of major version 6:
//
//   - 2.0 and 2.1 give base types a size only; kind and signedness are then
//     inferred from the C name, and the byte order is taken as little endian;
//   - 2.1 brought the types of symbols;
//   - 4.0 brought kind, signed and endian, 4.1 constant_data;
//   - 6.1 brought the base of a pointer;
//   - 6.2 brought "anonymous" for unnamed members. dwarf2json called them
//     unnamed_field_N before that, and such a name is taken to say the same.
//
// A file may be compressed by xz, gzip, bzip2 or zstd, which is found out by its
// content. File.Encode writes version 6.2.0.
//
// # What is kept
//
// Names are bytes. One that is not UTF-8 is written with a lone surrogate for
// each stray byte, as Python's surrogateescape has it (PEP 383), and read back
// from that form.
//
// Where JSON repeats a key, the last one holds, as with other readers. An entry
// that is JSON but not ISF, such as a symbol without address, is left out with a
// note in [File.Malformed], and the rest of the file is kept; so is a single field
// of a user type and a single constant of an enumeration. Where such an entry
// repeats a key, the one before it stays. Broken JSON is an error, and so are a
// section that is no object, and more entries to leave out than any mistake of a
// writer explains.
//
// # Not supported
//
// Versions before 2.0 and files inside a .zip archive are refused. The "windows" and
// "mac" parts of metadata, and linkage_name of symbols, are passed over. ISF itself
// has no typedefs, no signatures of functions, no alignment, and one type and one
// symbol a name.
package isf
