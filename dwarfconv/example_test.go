package dwarfconv_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/dwarfconv"
)

func ExampleConvertFile() {
	symbols, err := dwarfconv.ConvertFile(context.Background(), "vmlinux.xz", &dwarfconv.Options{
		Warn: func(err error) { log.Print("lost: ", err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	comm, err := symbols.Field("task_struct", "comm")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("comm is", comm.Offset, "bytes into a task_struct, of type", comm.Type)
	if err := symbols.WriteFile("vmlinux.isf.json.xz"); err != nil {
		log.Fatal(err)
	}
}
