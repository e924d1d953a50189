// Boot starts a lab node under QEMU, waits until the node says that it is ready, and dumps its memory while it is paused.
//
//	boot -kernel VMLINUZ -disk NODE.img -out DIR [-memory MIB] [-cpu CPU] [-append ARGUMENTS]
//
// DIR then holds dump.elf (physical memory, an ELF core), truth.tar (what the node wrote to its second disk), registers.txt and serial.log.
// The disk itself is not changed. The processor is emulated in software unless told otherwise, so that a node is the same whatever machine it is made on.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// truthSize is the size of the node's second disk; it is sparse on the host.
const truthSize = 256 << 20

type machine struct {
	kernel, disk, out, accelerator, cpu, arguments, bus string
	memory, processors                                  int
	limit                                               time.Duration
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("boot: ")
	var m machine
	flag.StringVar(&m.kernel, "kernel", "", "kernel `image`")
	flag.StringVar(&m.disk, "disk", "", "the node's root `disk`")
	flag.StringVar(&m.out, "out", "", "`directory` for what comes out")
	flag.StringVar(&m.accelerator, "accel", "tcg", "QEMU's `accelerator`: tcg or kvm")
	flag.StringVar(&m.cpu, "cpu", "max,-la57", "QEMU's `name` of the processor; plain max has 5-level paging")
	flag.StringVar(&m.arguments, "append", "", "more kernel `arguments`")
	flag.StringVar(&m.bus, "bus", "nvme", "the disks' `bus`: nvme or virtio, whichever driver the kernel has built in")
	flag.IntVar(&m.memory, "memory", 192, "`MiB` of memory")
	flag.IntVar(&m.processors, "processors", 2, "`number` of processors")
	flag.DurationVar(&m.limit, "limit", 15*time.Minute, "how `long` the node may take")
	flag.Parse()
	if m.kernel == "" || m.disk == "" || m.out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := m.run(); err != nil {
		log.Fatal(err)
	}
}

// run boots, waits, dumps and ends the machine.
func (m *machine) run() (err error) {
	if err := m.prepare(); err != nil {
		return err
	}
	cmd := exec.Command("qemu-system-x86_64", m.command()...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Kill() // has ended already, if all went well
		for range ended {
		}
		err = errors.Join(err, os.RemoveAll(m.path("qmp")), os.RemoveAll(m.path("ready")))
	}()
	started := time.Now()
	if err := m.waitReady(ended); err != nil {
		return err
	}
	log.Printf("ready after %v", time.Since(started).Round(time.Second))
	return m.dump()
}

func (m *machine) path(name string) string {
	return filepath.Join(m.out, name)
}

// prepare makes the output directory and an empty second disk.
func (m *machine) prepare() error {
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return err
	}
	f, err := os.Create(m.path("truth.tar"))
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(truthSize), f.Close())
}

// rootPartition is the identity that disk.sh gives the root's partition. Names of disks are given by chance where a kernel probes several at once.
const rootPartition = "65646f6e-01"

// command is QEMU's command line. No initial RAM disk is needed: NVMe's driver is part of Debian's cloud kernels.
func (m *machine) command() []string {
	device := "nvme,serial="
	if m.bus == "virtio" {
		device = "virtio-blk-pci,serial="
	}
	arguments := "console=ttyS0 root=PARTUUID=" + rootPartition + " rw init=/lib/systemd/systemd panic=-1 " + m.arguments
	socket := func(name string) string { return "unix:" + m.path(name) + ",server=on,wait=off" }
	return []string{"-nodefaults", "-machine", "q35", "-accel", m.accelerator, "-cpu", m.cpu,
		"-m", fmt.Sprint(m.memory), "-smp", fmt.Sprint(m.processors), "-kernel", m.kernel, "-append", arguments,
		"-drive", "id=root,if=none,format=raw,snapshot=on,file=" + m.disk, "-device", device + "root,drive=root",
		"-drive", "id=truth,if=none,format=raw,file=" + m.path("truth.tar"), "-device", device + "truth,drive=truth",
		"-serial", "file:" + m.path("serial.log"), "-serial", socket("ready"), "-qmp", socket("qmp"),
		"-display", "none", "-vga", "none", "-no-reboot"}
}
