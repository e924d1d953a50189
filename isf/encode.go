package isf

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/internal/text"
)

// Encode writes the database as ISF 6.2.0, all maps sorted by key, without white
// space: the same bytes for the same database.
//
// The schema leaves some things out, and so does Encode: sources of a kind other than
// dwarf, symtab and system-map, hashes other than sha256, and a producer without name.
func (f *File) Encode(w io.Writer) error {
	f = f.whole()
	e := &encoder{w: bufio.NewWriterSize(w, 256<<10)}
	e.raw(`{"base_types":{`)
	for i := range f.bases {
		e.base(i, &f.bases[i])
	}
	e.raw(`},"enums":{`)
	for i := range f.enums {
		e.enum(i, &f.enums[i])
	}
	e.raw(`},"metadata":`)
	e.metadata(&f.metadata)
	e.raw(`,"symbols":{`)
	for i := range f.symbols {
		e.symbol(i, &f.symbols[i])
	}
	e.raw(`},"user_types":{`)
	for i := range f.types {
		e.userType(i, &f.types[i])
	}
	e.raw("}}\n")
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("isf: %w", err)
	}
	return nil
}

// An encoder writes JSON. Errors stay in w until it is flushed.
type encoder struct {
	w      *bufio.Writer
	buf    []byte
	fields []*Field // of one user type, for reuse
}

func (e *encoder) raw(s string) { _, _ = e.w.WriteString(s) }

// key writes the key of entry i of an object.
func (e *encoder) key(i int, name string) {
	if i > 0 {
		e.raw(",")
	}
	e.str(name)
	e.raw(":")
}

func (e *encoder) uint(n uint64) {
	e.buf = strconv.AppendUint(e.buf[:0], n, 10)
	_, _ = e.w.Write(e.buf)
}

func (e *encoder) int(n int64) {
	e.buf = strconv.AppendInt(e.buf[:0], n, 10)
	_, _ = e.w.Write(e.buf)
}

// str writes a string. Bytes that are not UTF-8 become lone surrogates (PEP 383), for ISF
// has no other place for them, and Volatility 3 reads them so.
func (e *encoder) str(s string) {
	_, _ = e.w.Write(text.AppendJSONBytes(e.w.AvailableBuffer(), s))
}

func (e *encoder) base(i int, b *BaseType) {
	e.key(i, b.Name)
	e.raw(`{"endian":`)
	if b.BigEndian {
		e.raw(`"big"`)
	} else {
		e.raw(`"little"`)
	}
	e.raw(`,"kind":`)
	e.str(b.Kind.String())
	e.raw(`,"signed":`)
	e.raw(strconv.FormatBool(b.Signed))
	e.raw(`,"size":`)
	e.uint(b.Size)
	e.raw("}")
}

func (e *encoder) enum(i int, t *Enum) {
	e.key(i, t.Name)
	e.raw(`{"base":`)
	e.str(t.Base)
	e.raw(`,"constants":{`)
	constants := slices.Clone(t.Constants)
	slices.SortFunc(constants, func(a, b Constant) int { return strings.Compare(a.Name, b.Name) })
	for i, c := range constants {
		e.key(i, c.Name)
		e.int(c.Value)
	}
	e.raw(`},"size":`)
	e.uint(t.Size)
	e.raw("}")
}

func (e *encoder) metadata(m *Metadata) {
	e.raw(`{"format":"` + version + `"`)
	symbols, types := known(m.Symbols), known(m.Types)
	if len(symbols)+len(types) > 0 {
		e.raw(`,"linux":{"symbols":`)
		e.sources(symbols)
		e.raw(`,"types":`)
		e.sources(types)
		e.raw("}")
	}
	if m.Producer.Name != "" {
		e.raw(`,"producer":{"name":`)
		e.str(m.Producer.Name)
		e.raw(`,"version":`)
		e.str(m.Producer.Version)
		if m.Producer.Datetime != "" {
			e.raw(`,"datetime":`)
			e.str(m.Producer.Datetime)
		}
		e.raw("}")
	}
	e.raw("}")
}

// known returns the sources of the kinds that schema 6.2.0 knows.
func known(sources []Source) []Source {
	return slices.DeleteFunc(slices.Clone(sources), func(s Source) bool {
		return s.Kind != "dwarf" && s.Kind != "symtab" && s.Kind != "system-map"
	})
}

// hashed reports whether s has a hash that schema 6.2.0 knows.
func hashed(s *Source) bool {
	return s.HashType == "sha256" && s.HashValue != "" && strings.Trim(s.HashValue, "0123456789abcdefABCDEF") == ""
}

func (e *encoder) sources(sources []Source) {
	e.raw("[")
	for i, s := range sources {
		if i > 0 {
			e.raw(",")
		}
		e.raw("{")
		if hashed(&s) {
			e.raw(`"hash_type":`)
			e.str(s.HashType)
			e.raw(`,"hash_value":`)
			e.str(s.HashValue)
			e.raw(",")
		}
		e.raw(`"kind":`)
		e.str(s.Kind)
		e.raw(`,"name":`)
		e.str(s.Name)
		e.raw("}")
	}
	e.raw("]")
}

func (e *encoder) symbol(i int, s *Symbol) {
	e.key(i, s.Name)
	e.raw(`{"address":`)
	e.uint(s.Address)
	if len(s.ConstantData) > 0 {
		e.raw(`,"constant_data":"`)
		e.raw(base64.StdEncoding.EncodeToString(s.ConstantData))
		e.raw(`"`)
	}
	if s.Type != nil {
		e.raw(`,"type":`)
		e.typ(s.Type)
	}
	e.raw("}")
}

func (e *encoder) userType(i int, u *UserType) {
	e.key(i, u.Name)
	e.raw(`{"fields":{`)
	fields := e.fields[:0]
	for i := range u.Fields {
		fields = append(fields, &u.Fields[i])
	}
	slices.SortFunc(fields, func(a, b *Field) int { return strings.Compare(a.Name, b.Name) })
	e.fields = fields
	for i, m := range fields {
		e.key(i, m.Name)
		e.raw("{")
		switch {
		case m.Anonymous:
			e.raw(`"anonymous":true,`)
		case m.looksAnonymous():
			e.raw(`"anonymous":false,`)
		}
		e.raw(`"offset":`)
		e.uint(m.Offset)
		e.raw(`,"type":`)
		e.typ(m.Type)
		e.raw("}")
	}
	e.raw(`},"kind":"` + u.Kind.String() + `","size":`)
	e.uint(u.Size)
	e.raw("}")
}

func (e *encoder) typ(t *Type) {
	switch t.Kind {
	case KindVoid:
		e.raw(`{"kind":"base","name":"void"}`)
		return
	case KindArray:
		e.raw(`{"count":`)
		e.uint(t.Count)
		e.raw(`,"kind":"array","subtype":`)
		e.typ(t.Elem)
	case KindPointer:
		e.raw("{")
		if t.Name != "" {
			e.raw(`"base":`)
			e.str(t.Name)
			e.raw(",")
		}
		e.raw(`"kind":"pointer","subtype":`)
		e.typ(t.Elem)
	case KindBitfield:
		e.raw(`{"bit_length":`)
		e.uint(uint64(t.BitLength))
		e.raw(`,"bit_position":`)
		e.uint(uint64(t.BitPosition))
		e.raw(`,"kind":"bitfield","type":`)
		e.typ(t.Elem)
	case KindFunction:
		e.raw(`{"kind":"function"`)
	default:
		e.raw(`{"kind":"`)
		e.raw(t.Kind.String())
		e.raw(`","name":`)
		e.str(t.Name)
	}
	e.raw("}")
}
