// Package fdinfo tells of open files what /proc/PID/fdinfo shows, and what it does not: positions and flags, locks, what epoll waits for, watches of
// inotify and fanotify with their paths, the state of eventfd, signalfd, timerfd, pidfd and io_uring, and of pipes who has their ends and the
// bytes that nobody read yet.
//
//	r := fdinfo.New(k)
//	for fd, err := range task.Files(ctx) {
//		info, err := r.Info(ctx, task, fd)
//	locks, gaps := r.Locks(ctx, tasks) // as /proc/locks
//	pipes, gaps := r.Pipes(ctx, tasks)
//
// What a file is, is told by its path, which is that of the kernel's own file systems, and verified where the object leads back. All is reached from
// descriptors, so that nothing here needs a symbol.
//
// # Not supported
//
// The file handles in lines of inotify and fanotify are made by file systems, and are left out. Descriptors of BPF objects are in package bpf, what else
// drivers and sockets tell of themselves is not shown. Locks that no descriptor leads to, as those of NFS clients, are not found.
package fdinfo
