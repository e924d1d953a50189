package fdinfo

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// TestKernels: what is read of files is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	files := testimages.SymbolFiles(t)
	if len(files) < 2 {
		t.Skip("there is none but that of the bundled node, which other tests read")
	}
	for release, name := range files {
		types, err := isf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		v := bindViews(types)
		for what, err := range map[string]error{"files": v.err, "epoll": v.anon.epErr, "notification": v.notify.err, "locks": v.locks.err, "pipes": v.pipes.err} {
			if err != nil {
				t.Errorf("%s: %s: %v", release, what, err)
			}
		}
		for what, ok := range map[string]bool{
			"eventfd": v.anon.eventfd.Ok(), "timerfd": v.anon.timerfd.Ok(), "signalfd": v.anon.sigmask.Ok(), "io_uring": v.anon.ring.Ok() && v.anon.rings.Ok(), "pidfd": v.anon.pidTask.Ok() && v.anon.numbers.Ok(),
			"inotify": v.notify.wd.Ok(), "fanotify": v.notify.initFlags.Ok() && v.notify.mountHead.Ok() && v.notify.superHead.Ok(), "unix": v.sockets.fds.Ok(), "paths": v.alias.Ok(),
		} {
			if !ok {
				t.Errorf("%s: %s", release, what)
			}
		}
	}
}
