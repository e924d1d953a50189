package main

import "syscall"

// prSetTHPDisable is PR_SET_THP_DISABLE (include/uapi/linux/prctl.h).
const prSetTHPDisable = 41

// smallPages keeps the kernel from giving this process huge pages for a few small objects
// each: what it uses is taken from the memory that it captures, and becomes part of the
// image. Where that fails it uses more.
func smallPages() { _, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTHPDisable, 1, 0, 0, 0, 0) }
