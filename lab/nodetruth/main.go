// Nodetruth writes down, inside a lab node, what the node's own /proc says of it.
//
//	nodetruth [-net] [-kernel] [-files] [-task] [-signal PID,...] -out DEVICE [FILE ...]
//
// It waits until no process comes or goes, writes a tar archive to DEVICE, and makes sure that the processes are still the same; otherwise it begins again.
// The named files go into the archive too, under their base names. With -net it also has what
// programs like ss, ip, nft and conntrack say in each network namespace, with -kernel what the kernel says of its settings,
// probes and BPF programs, with -files what its file systems hold and have in memory, with -task what more is said of
// processes and their pages. The processes that -signal names get SIGUSR1 before: they have states that pass. The archive's layout is described in the README of the lab.
package main

import (
	"flag"
	"fmt"
	"log"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("nodetruth: ")
	out := flag.String("out", "", "`device` or file for the archive")
	network := flag.Bool("net", false, "take what each network namespace has, too")
	kernel := flag.Bool("kernel", false, "take what the kernel was made to do, too")
	files := flag.Bool("files", false, "take what file systems hold, too")
	tasks := flag.Bool("task", false, "take what more is said of processes and their pages, too")
	signal := flag.String("signal", "", "`processes` to wake, separated by commas")
	flag.Parse()
	parts := parts{network: *network, kernel: *kernel, files: *files, tasks: *tasks}
	if err := prepare(parts, *signal); err != nil {
		log.Fatal(err)
	}
	if err := collect(*out, parts, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// parts are what is taken beside the processes.
type parts struct{ network, kernel, files, tasks bool }

// prepare has the network's programs load the modules that they need, once and for all, and wakes the processes.
func prepare(parts parts, signal string) error {
	if parts.network {
		new(archive).network()
	}
	for pid := range strings.SplitSeq(signal, ",") {
		if pid == "" {
			continue
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			return err
		}
		if err := unix.Kill(n, unix.SIGUSR1); err != nil {
			return err
		}
	}
	return nil
}

// collect writes the archive anew until one pass sees the same processes before and after.
func collect(out string, parts parts, files []string) error {
	const passes = 5
	before, err := settled()
	if err != nil {
		return err
	}
	for range passes {
		if err := writeArchive(out, parts, files); err != nil {
			return err
		}
		after, err := population("/proc")
		if err != nil {
			return err
		}
		diff := before.changes(after)
		if len(diff) == 0 {
			return nil
		}
		log.Printf("processes changed: %v", diff)
		before = after
	}
	return fmt.Errorf("processes still change after %d passes", passes)
}

// settled waits until the processes have been the same for three seconds.
func settled() (processes, error) {
	const patience = 3 * time.Minute
	last, err := population("/proc")
	end := time.Now().Add(patience)
	for calm := 0; err == nil && calm < 3; calm++ {
		time.Sleep(time.Second)
		var now processes
		if now, err = population("/proc"); err != nil {
			break
		}
		if diff := last.changes(now); len(diff) > 0 {
			log.Printf("processes change: %v", diff)
			calm = -1
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("processes still change after %v", patience)
		}
		last = now
	}
	return last, err
}
