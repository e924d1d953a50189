package isf

// Kind says what a [Type] is.
type Kind uint8

// The kinds of types. The names are those of ISF's own "kind" where it has one.
const (
	KindVoid     Kind = iota // base type "void"
	KindBase                 // a base type, by Name
	KindPointer              // to Elem
	KindArray                // Count times Elem
	KindStruct               // a user type, by Name
	KindUnion                // a user type, by Name
	KindClass                // a user type, by Name
	KindEnum                 // an enumeration, by Name
	KindFunction             // a function; ISF has no signature
	KindBitfield             // BitLength bits from BitPosition on of Elem
)

// A Type describes the type of a field or a symbol. Types are shared and must
// not be changed.
type Type struct {
	Kind        Kind
	Name        string // of base types, user types and enumerations; of pointers the base type that gives their size, "" for "pointer"
	Elem        *Type  // of pointers, arrays and bitfields
	Count       uint64 // of arrays, in elements; 0 for a flexible array
	BitPosition uint8  // of bitfields: the lowest bit, counted from the least significant of Elem at the field's offset
	BitLength   uint8  // of bitfields
}

// BaseKind says how to read a base type.
type BaseKind uint8

// The kinds of base types.
const (
	BaseVoid BaseKind = iota
	BaseInt
	BaseChar
	BaseBool
	BaseFloat
)

// A BaseType is a scalar.
type BaseType struct {
	Name      string
	Size      uint64 // in bytes
	Kind      BaseKind
	Signed    bool
	BigEndian bool
}

// A UserType is a struct, union or class.
type UserType struct {
	Name   string
	Kind   Kind    // KindStruct, KindUnion or KindClass
	Size   uint64  // in bytes
	Fields []Field // by offset, then bit position, then name
}

// A Field is a member of a user type.
type Field struct {
	Name      string
	Offset    uint64 // in bytes from the start of the user type
	Type      *Type
	Anonymous bool // an unnamed struct or union, whose members belong to the enclosing type
}

// An Enum is an enumeration.
type Enum struct {
	Name      string
	Size      uint64     // in bytes
	Base      string     // name of the base type; "void" where not known
	Constants []Constant // by value, then name
}

// A Constant is an enumerator.
type Constant struct {
	Name  string
	Value int64 // values above the int64 range wrap; Base says whether to read it as unsigned
}

// A Symbol is a named address: an object with static storage, or a function.
type Symbol struct {
	Name         string
	Address      uint64 // as linked: without any KASLR shift
	Type         *Type  // nil where not known
	ConstantData []byte // the object's initial bytes, where the database keeps them (linux_banner)
}

// Contents is all that a database holds, as a producer makes it and New takes it.
type Contents struct {
	Metadata Metadata
	Bases    []BaseType
	Types    []UserType
	Enums    []Enum
	Symbols  []Symbol
	// Lost is what the source has and the database lacks, because it was damaged or
	// could not be read.
	Lost []error
}

// Metadata says where a database comes from.
type Metadata struct {
	Format   string // the schema version, such as 6.2.0
	Producer Producer
	Symbols  []Source // of the "linux" part: where symbols came from
	Types    []Source // of the "linux" part: where types came from
}

// A Producer is the program that wrote a database.
type Producer struct {
	Name     string
	Version  string
	Datetime string // when the database was made, RFC 3339; "" where not told
}

// A Source is a file that a database was made from.
type Source struct {
	Kind      string // dwarf, symtab or system-map
	Name      string // the file's base name
	HashType  string // sha256
	HashValue string // lower-case hexadecimal
}
