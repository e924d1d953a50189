package fdinfo

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: what is read of files is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v := bindViews(types)
		nodetest.Bound(t, map[string]error{"files": v.err, "epoll": v.anon.epErr, "notification": v.notify.err, "locks": v.locks.err, "pipes": v.pipes.err}, map[string]bool{
			"eventfd": v.anon.eventfd.Ok(), "timerfd": v.anon.timerfd.Ok(), "signalfd": v.anon.sigmask.Ok(), "io_uring": v.anon.ring.Ok() && v.anon.rings.Ok(), "pidfd": v.anon.pidTask.Ok() && v.anon.numbers.Ok(),
			"inotify": v.notify.wd.Ok(), "fanotify": v.notify.initFlags.Ok() && v.notify.mountHead.Ok() && v.notify.superHead.Ok(), "unix": v.sockets.fds.Ok(), "paths": v.alias.Ok(),
		})
	})
}
