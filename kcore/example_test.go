package kcore_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/kcore"
)

// A core of one segment: its bytes lie at a physical address that is not its place in the
// file.
func ExampleNewFile() {
	var core bytes.Buffer
	header := elf.Header64{Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Phoff: 64, Phentsize: 56, Phnum: 1}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	segment := elf.Prog64{Type: uint32(elf.PT_LOAD), Off: 120, Paddr: 0x1000, Filesz: 13, Memsz: 13}
	for _, part := range []any{header, segment, []byte("Linux version")} {
		if err := binary.Write(&core, binary.LittleEndian, part); err != nil {
			log.Fatal(err)
		}
	}

	f, err := kcore.NewFile(bytes.NewReader(core.Bytes()), int64(core.Len()))
	if err != nil {
		log.Fatal(err)
	}
	word := make([]byte, 5)
	if _, err := f.ReadAt(word, 0x1000); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: %s\n", f.Ranges(), word)
	// Output: [[0x1000, 0x100c]]: Linux
}
