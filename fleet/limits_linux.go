package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// rlimitData is RLIMIT_DATA (include/uapi/asm-generic/resource.h): since Linux 4.7 it counts all private memory that can be written.
const rlimitData = 2

// applySystem sets the limits that the kernel keeps. Where memory gets short for the whole machine or container, the child is to end and not who started it.
func (l Limits) applySystem() error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // /proc may not be there
	var errs []error
	if l.Memory > 0 {
		errs = append(errs, limit(rlimitData, uint64(l.Memory), uint64(l.Memory)))
	}
	if l.CPU > 0 {
		exitAt(syscall.SIGXCPU)
		seconds := uint64((l.CPU + time.Second - 1) / time.Second)
		errs = append(errs, limit(syscall.RLIMIT_CPU, seconds, seconds+cpuGrace))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("limits can't be set: %w", err)
	}
	return nil
}

// cpuGrace is how many seconds of CPU time a child has to end by itself, before the kernel ends it.
const cpuGrace = 2

// exitAt ends the process when a signal comes that Go ignores.
func exitAt(s os.Signal) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	go func() {
		<-c
		os.Exit(exitCPU)
	}()
}

// limit lowers a limit of this process; one that is lower already stays.
func limit(resource int, soft, hard uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(resource, &now); err != nil {
		return err
	}
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: min(soft, now.Max), Max: min(hard, now.Max)})
}
