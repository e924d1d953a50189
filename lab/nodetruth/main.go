// Nodetruth writes down, inside a lab node, what the node's own /proc says of it, and then holds the node still.
//
//	nodetruth -out DEVICE [-ready TTY] [-drop-caches] [FILE ...]
//
// It waits until no process comes or goes, writes a tar archive to DEVICE, makes sure that the processes are still the same, frees what memory it can,
// writes a line to TTY for the host, and sleeps for ever. So the memory that the host then dumps is the memory that the archive describes: the last thing
// to happen on the node is the last line of this program. The named files go into the archive too, under their base names.
//
// The archive's layout is described in the README of the lab.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// readyLine is what the host waits for.
const readyLine = "LAB-READY\n"

func main() {
	log.SetFlags(0)
	log.SetPrefix("nodetruth: ")
	out := flag.String("out", "", "`device` or file for the archive")
	ready := flag.String("ready", "", "`tty` that tells the host")
	drop := flag.Bool("drop-caches", false, "drop clean page cache before and after")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)
	if *drop {
		dropCaches()
	}
	if err := collect(*out, flag.Args()); err != nil {
		log.Fatal(err)
	}
	debug.FreeOSMemory()
	if *drop {
		dropCaches()
	}
	if *ready != "" {
		if err := os.WriteFile(*ready, []byte(readyLine), 0); err != nil {
			log.Fatal(err)
		}
	}
	for {
		time.Sleep(time.Hour)
	}
}

// collect writes the archive anew until one pass sees the same processes before and after.
func collect(out string, files []string) error {
	const passes = 5
	before, err := settled()
	if err != nil {
		return err
	}
	for range passes {
		if err := writeArchive(out, files); err != nil {
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
	last, err := population("/proc")
	for calm := 0; err == nil && calm < 3; calm++ {
		time.Sleep(time.Second)
		var now processes
		if now, err = population("/proc"); err == nil && len(last.changes(now)) > 0 {
			calm = -1
		}
		last = now
	}
	return last, err
}

// dropCaches writes everything out and gives up clean page cache and unused inodes.
func dropCaches() {
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0); err != nil {
		log.Print(err)
	}
}
