package isf_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// text is a small database. Those of kernels are files, for isf.Open.
const text = `{
	"metadata": {"format": "6.2.0", "producer": {"name": "dwarf2json", "version": "0.9.0"}},
	"base_types": {
		"int": {"size": 4, "signed": true, "kind": "int", "endian": "little"},
		"pointer": {"size": 8, "signed": false, "kind": "int", "endian": "little"}
	},
	"user_types": {
		"hlist_node": {"size": 16, "kind": "struct", "fields": {
			"next": {"offset": 0, "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "hlist_node"}}},
			"pprev": {"offset": 8, "type": {"kind": "pointer", "subtype": {"kind": "base", "name": "pointer"}}}
		}},
		"pid": {"size": 48, "kind": "struct", "fields": {
			"level": {"offset": 4, "type": {"kind": "base", "name": "int"}},
			"unnamed_field_0": {"offset": 8, "anonymous": true, "type": {"kind": "union", "name": "unnamed_1"}},
			"tasks": {"offset": 16, "type": {"kind": "array", "count": 4, "subtype": {"kind": "struct", "name": "hlist_node"}}}
		}},
		"unnamed_1": {"size": 8, "kind": "union", "fields": {
			"ino": {"offset": 0, "type": {"kind": "base", "name": "int"}}
		}}
	},
	"enums": {},
	"symbols": {"init_struct_pid": {"address": 18446744071595706368, "type": {"kind": "struct", "name": "pid"}}}
}`

func decode() *isf.File {
	f, err := isf.Decode(strings.NewReader(text))
	if err != nil {
		log.Fatal(err)
	}
	return f
}

func Example() {
	f, err := isf.Decode(strings.NewReader(text))
	if err != nil {
		log.Fatal(err)
	}
	s, err := f.Symbol("init_struct_pid")
	if err != nil {
		log.Fatal(err)
	}
	size, err := f.SizeOf(s.Type)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %v of %d bytes at %#x\n", s.Name, s.Type, size, s.Address)
	for u := range f.UserTypes() {
		fmt.Println(u.Kind, u.Name, len(u.Fields))
	}
	// Output:
	// init_struct_pid: struct pid of 48 bytes at 0xffffffff82014800
	// struct hlist_node 2
	// struct pid 3
	// union unnamed_1 1
}

func ExampleFile_Field() {
	f := decode()
	for _, path := range []string{"level", "ino", "tasks[2].pprev", "numbers"} {
		m, err := f.Field("pid", path)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: %v at %d\n", path, m.Type, m.Offset)
	}
	// Output:
	// level: int at 4
	// ino: int at 8
	// tasks[2].pprev: pointer * at 56
	// isf: struct pid has no field numbers
}

func ExampleResolver() {
	r := isf.NewResolver(decode())
	pid := r.Type("pid")
	offsets := struct{ level, inode, stashed uint64 }{
		level:   pid.Offset("level"),
		inode:   pid.Offset("inode", "ino"), // either name will do
		stashed: pid.OptionalOffset("stashed"),
	}
	fmt.Println(offsets.level, offsets.inode, offsets.stashed == isf.Absent, r.Err())

	pid.Offset("numbers")
	r.Symbol("init_task")
	fmt.Println(r.Err())
	// Output:
	// 4 8 true <nil>
	// isf: struct pid has no field numbers; no symbol init_task
}
