package kstruct_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// openNode finds the kernel in the image of a small node.
func openNode() *linux.Kernel {
	k, err := bundled()
	if err != nil {
		log.Fatal(err)
	}
	return k
}

// Who started whom: the first task, and the parent that it says it has.
func ExampleBind() {
	k := openNode()

	type task struct {
		PID    int32         `kernel:"pid"`
		State  int64         `kernel:"__state|state"` // since 5.14 unsigned int, before long
		Comm   [16]byte      `kernel:"comm"`
		Parent vmem.VirtAddr `kernel:"real_parent"`
		InIO   bool          `kernel:"in_iowait"`
	}
	b := kstruct.NewBinder(k.Symbols())
	tasks := kstruct.Bind[task](b, "task_struct")
	if err := b.Err(); err != nil {
		log.Fatal(err)
	}

	addr, err := k.Symbol("init_task")
	if err != nil {
		log.Fatal(err)
	}
	t, err := tasks.Load(k.Space(), addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s, state %d, child of itself: %v\n", t.PID, bytes.TrimRight(t.Comm[:], "\x00"), t.State, t.Parent == addr)
	// Output: 0 swapper/0, state 0, child of itself: true
}

// What the kernel does not have is known before anything is read.
func ExampleBinder_Err() {
	k := openNode()

	type task struct {
		PID  uint16 `kernel:"pid"`
		Name string `kernel:"comm"`
		Idle uint64 `kernel:"idle_since"`
	}
	b := kstruct.NewBinder(k.Symbols())
	kstruct.Bind[task](b, "task_struct")
	fmt.Println(b.Err())
	// Output: kstruct: struct task_struct has no field idle_since; task_struct.pid: the kernel has int, kstruct_test.task reads it as uint16: it does not hold all values; kstruct_test.task.Name: string can't be read: only bool, sized integers, arrays and structs can
}
