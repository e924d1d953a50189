package btfconv_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/kcore"
)

func ExampleConvert() {
	btf, err := os.ReadFile("testdata/btf/kinds.btf") // such as /sys/kernel/btf/vmlinux
	if err != nil {
		log.Fatal(err)
	}
	symbols := strings.NewReader("ffffffff9a000000 T _text\nffffffff9c613940 D init_task\n") // such as /proc/kallsyms
	db, err := btfconv.Convert(bytes.NewReader(btf), symbols, nil)
	if err != nil {
		log.Fatal(err)
	}
	field, err := db.Field("all", "bits.c")
	if err != nil {
		log.Fatal(err)
	}
	task, err := db.Symbol("init_task")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("c has %d bits from byte %d on, init_task is linked at %#x\n", field.Type.BitLength, field.Offset, task.Address)
	// Output: c has 17 bits from byte 228 on, init_task is linked at 0xffffffff83613940
}

func ExampleFromMemory() {
	image, err := kcore.Open("node.elf")
	if err != nil {
		log.Fatal(err)
	}
	db, report, err := btfconv.FromMemory(context.Background(), image, nil)
	if err != nil {
		log.Fatal(err) // says which file would help instead
	}
	fmt.Println(report.Release, report.FoundBy, len(report.Missing))
	if err := cmp.Or(db.WriteFile(report.Release+".isf.json.xz"), image.Close()); err != nil {
		log.Fatal(err)
	}
}
