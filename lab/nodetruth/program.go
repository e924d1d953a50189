package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/unix"
)

// programInfo is the beginning of struct bpf_prog_info of linux/bpf.h.
type programInfo struct {
	kind, id                  uint32
	tag                       [8]byte
	jitedLength, xlatedLength uint32
	jited, xlated             uint64
}

// dumps adds the instructions of programs as bpftool shows them, one run for all: each takes a second or more.
func (a *archive) dumps(dir string, programs []uint32) {
	var batch bytes.Buffer
	for _, id := range programs {
		fmt.Fprintf(&batch, "prog dump xlated id %d opcodes\n", id)
	}
	cmd := exec.Command("bpftool", "-j", "batch", "file", "-")
	cmd.Stdin = &batch
	out, err := cmd.Output()
	var all []struct{ Output json.RawMessage }
	if err = errors.Join(err, json.Unmarshal(out, &all)); err != nil || len(all) != len(programs) {
		a.add(dir+"xlated.err", fmt.Appendf(nil, "%d of %d: %v\n", len(all), len(programs), err))
	}
	for i := range min(len(all), len(programs)) {
		a.add(fmt.Sprintf("%s%d.xlated.json", dir, programs[i]), all[i].Output)
	}
}

// program adds the instructions of a program, by its number, as bytes before and after they were compiled, as the kernel
// gives them to bpftool.
func (a *archive) program(dir string, id uint32) {
	name := fmt.Sprint(id)
	attributes := [3]uint32{id}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_GET_FD_BY_ID, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	if errno != 0 {
		a.add(dir+name+".err", fmt.Appendln(nil, errno))
		return
	}
	defer unix.Close(int(fd))
	var info programInfo
	if errno := describe(fd, &info); errno != 0 {
		a.add(dir+name+".err", fmt.Appendln(nil, errno))
		return
	}
	lengths := programInfo{jitedLength: info.jitedLength, xlatedLength: info.xlatedLength}
	jited, xlated := make([]byte, lengths.jitedLength+1), make([]byte, lengths.xlatedLength+1)
	lengths.jited, lengths.xlated = uint64(uintptr(unsafe.Pointer(&jited[0]))), uint64(uintptr(unsafe.Pointer(&xlated[0])))
	if errno := describe(fd, &lengths); errno != 0 {
		a.add(dir+name+".err", fmt.Appendln(nil, errno))
		return
	}
	a.add(dir+name+".jited.bin", jited[:info.jitedLength])
	a.add(dir+name+".xlated.bin", xlated[:info.xlatedLength])
}

func describe(fd uintptr, info *programInfo) unix.Errno {
	attributes := struct {
		fd, length uint32
		info       uint64
	}{uint32(fd), uint32(unsafe.Sizeof(*info)), uint64(uintptr(unsafe.Pointer(info)))}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET_INFO_BY_FD, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	return errno
}
