package taskshape

// In other structures: how far into one is looked.
const (
	pidWindow    = 512
	signalWindow = 1024
	credWindow   = 512
)

// pointed returns the place in what a member points to at which nearly all tasks have what
// fits, the first.
func (l *layout) pointed(member uint64, from, window, step uint64, least int, fits func(t sample, at uint64, b []byte, off uint64) bool) (uint64, bool) {
	type target struct {
		t  sample
		va uint64
		b  []byte
	}
	var all []target
	for _, t := range l.tasks {
		va := word(t.b, member)
		if b := l.read(va, int(window)); plausible(va) && uint64(len(b)) == window {
			all = append(all, target{t, va, b})
		}
	}
	if 100*len(all) < least*len(l.tasks) {
		return 0, false
	}
	for off := from; off+16 <= window; off += step {
		n := 0
		for _, x := range all {
			if fits(x.t, x.va, x.b, off) {
				n++
			}
		}
		if 100*n >= least*len(l.tasks) {
			return off, true
		}
	}
	return 0, false
}

// threadPID finds the struct pid, which has the number and leads back to the task.
func (l *layout) threadPID() {
	if !l.has("pid") {
		l.fail("thread_pid", "pid is not known")
		return
	}
	member, links, pid := l.init.kin+offThreadPID, l.init.kin+offLinks, l.at["pid"]
	number, ok := l.pointed(member, 8, pidWindow, 8, l.least, func(t sample, _ uint64, b []byte, off uint64) bool {
		return half(b, off) == half(t.b, pid) && plausible(word(b, off+8))
	})
	heads, ok2 := l.pointed(member, 8, pidWindow, 8, l.least, func(t sample, _ uint64, b []byte, off uint64) bool {
		return word(b, off) == t.va+links && word(b, off+8) == t.va+links+16
	})
	level, ok3 := l.pointed(member, 4, 32, 4, l.least, func(_ sample, _ uint64, b []byte, off uint64) bool { return half(b, off) <= 32 })
	if !ok || !ok2 || !ok3 || level != 4 {
		l.fail("thread_pid", "what it would point to is no struct pid")
		return
	}
	l.at["thread_pid"], l.at["pid_links"] = member, links
	l.at["pid.level"], l.at["pid.tasks"], l.at["pid.numbers"] = level, heads, number
}

// threadNode finds the list of threads, of which a process with one has its head on both sides.
// Up to 6.6 the older list thread_group is before it.
func (l *layout) threadNode() {
	end := l.init.kin + offLinks + 4*16
	l.only("thread_node", end, end+48, 16, func(off uint64) bool {
		return l.share(func(t sample) bool { return l.alone(t, off) }) >= mostOf
	})
}

// alone reports whether a task is in a list of its own, whose head is elsewhere.
func (l *layout) alone(t sample, off uint64) bool {
	head := word(t.b, off)
	return head == word(t.b, off+8) && head-t.va >= taskWindow && l.word(head) == t.va+off && l.word(head+8) == t.va+off
}

// kthread finds where kernel threads have their struct kthread, behind vfork_done: in
// worker_private, or before 5.17 in set_child_tid.
func (l *layout) kthread() {
	if !l.has("thread_node") || !l.has("mm") {
		l.fail("worker_private", "thread_node or mm is not known")
		return
	}
	mm, first := l.at["mm"], l.at["thread_node"]+16+8
	for _, m := range []struct {
		name string
		off  uint64
	}{{"worker_private", first + 16}, {"set_child_tid", first}} {
		if l.share(func(t sample) bool { return (word(t.b, mm) == 0) == plausible(word(t.b, m.off)) }) >= l.least {
			l.at[m.name] = m.off
			return
		}
	}
	l.fail("worker_private", "no place fits")
}

// signal finds the signal_struct, which has the head of the list of threads, and the struct pid
// of the group.
func (l *layout) signal() {
	if !l.has("thread_node") || !l.has("comm") || !l.has("thread_pid") {
		l.fail("signal", "thread_node, comm or thread_pid is not known")
		return
	}
	node, pid := l.at["thread_node"], l.at["thread_pid"]
	const reach = 64
	distance := func(t sample, off uint64) uint64 { return word(t.b, node) - word(t.b, off) }
	if !l.only("signal", l.at["comm"]+16, taskWindow, 8, func(off uint64) bool {
		return l.share(func(t sample) bool { d := distance(t, off); return l.alone(t, node) && d >= 8 && d < reach }) >= mostOf
	}) {
		return
	}
	signal := l.at["signal"]
	head, ok := l.pointed(signal, 8, signalWindow, 8, mostOf, func(t sample, va uint64, b []byte, off uint64) bool {
		return word(b, off) == t.va+node && word(t.b, node+8) == va+off
	})
	threads, ok2 := l.pointed(signal, 8, reach, 4, mostOf, func(t sample, _ uint64, b []byte, off uint64) bool {
		return l.alone(t, node) && half(b, off) == 1 && half(b, off-4) == 1 && half(b, off-8) == 1 // sigcnt, live
	})
	group, ok3 := l.pointed(signal, 16, signalWindow, 8, l.least, func(t sample, _ uint64, b []byte, off uint64) bool {
		return word(b, off) == word(t.b, pid)
	})
	if !ok || !ok2 || !ok3 || threads != 8 {
		l.fail("signal", "what it would point to is no signal_struct")
		delete(l.at, "signal")
		return
	}
	l.at["signal_struct.thread_head"], l.at["signal_struct.nr_threads"], l.at["signal_struct.pids"] = head, threads, group-8
}

// aroundSignal finds what lies beside signal: fs, files, io_uring where it is configured, and
// nsproxy before it, and sighand behind it.
func (l *layout) aroundSignal() {
	if !l.has("signal") {
		l.fail("nsproxy, files, fs, sighand", "signal is not known")
		return
	}
	signal := l.at["signal"]
	pointers := func(off uint64) bool {
		return l.share(func(t sample) bool { return plausible(word(t.b, off)) }) >= l.least
	}
	most := map[uint64]int{} // of few namespaces there are many processes
	for _, t := range l.tasks {
		most[word(t.b, signal-8)]++
	}
	shared := 0
	for _, n := range most {
		shared = max(shared, n)
	}
	if !pointers(signal-8) || !pointers(signal+8) || 100*shared < 30*len(l.tasks) {
		l.fail("nsproxy, files, fs, sighand", "no place fits")
		return
	}
	l.at["nsproxy"], l.at["sighand"] = signal-8, signal+8
	for _, files := range []uint64{signal - 16, signal - 24, signal - 32} { // for io_uring there are up to two
		if pointers(files) && pointers(files-8) {
			l.at["files"], l.at["fs"] = files, files-8
			return
		}
	}
	l.fail("files, fs", "no place fits")
}

// startTime finds start_boottime behind start_time: it is no less, and that of a process is not
// before its parent's.
func (l *layout) startTime() {
	if !l.has("thread_node") || !l.has("comm") {
		l.fail("start_time", "thread_node or comm is not known")
		return
	}
	const tenYears = 10 * 366 * 24 * 3600 * 1e9
	byAddr := map[uint64]sample{l.idle.va: l.idle}
	for _, t := range l.tasks {
		byAddr[t.va] = t
	}
	if l.only("start_time", l.at["thread_node"]+16, l.at["comm"], 8, func(off uint64) bool {
		return l.share(func(t sample) bool {
			mono, boot := word(t.b, off), word(t.b, off+8)
			parent, ok := byAddr[word(t.b, l.init.kin)]
			return mono > 0 && boot >= mono && boot < tenYears && (!ok || uint64(len(parent.b)) >= off+16 && word(parent.b, off+8) <= boot)
		}) >= l.least && l.distinct(func(t sample) uint64 { return word(t.b, off+8) }) >= mostOf
	}) {
		l.at["start_boottime"] = l.at["start_time"] + 8
	}
}

// creds finds the credentials, which are before the name, twice, and the ids in them.
func (l *layout) creds() {
	if !l.has("comm") {
		l.fail("real_cred", "comm is not known")
		return
	}
	comm := l.at["comm"]
	if !l.only("real_cred", comm-24, comm+8, 8, func(off uint64) bool {
		return off < comm-8 && l.share(func(t sample) bool { v := word(t.b, off); return plausible(v) && v == word(t.b, off+8) }) >= l.least
	}) {
		return
	}
	at := l.at["real_cred"]
	// The usage before the ids became a long in 6.7 (f8fa5d769526). Of root all ids are 0, and so
	// fit in both places: those of others decide.
	all, fits := 0, [2]int{}
	for _, t := range l.tasks {
		b := l.read(word(t.b, at), 48)
		if len(b) < 48 {
			continue
		}
		all++
		short, long := isIDs(b[4:]), isIDs(b[8:])
		switch {
		case short && !long:
			fits[0]++
		case long && !short:
			fits[1]++
		case !short:
			all--
		}
	}
	switch {
	case 100*all < l.least*len(l.tasks) || fits[0] > 0 && fits[1] > 0:
		l.fail("cred.uid", "no place fits")
	case fits[0] > 0:
		l.owner(at, 4)
	case fits[1] > 0:
		l.owner(at, 8)
	default:
		l.fail("cred.uid", "all processes are root, so that two places fit")
	}
}

// isIDs reports whether b can begin with the four pairs of ids of a cred: of a process that
// changed none for another, all four are the same.
func isIDs(b []byte) bool {
	for i := uint64(8); i < 32; i += 8 {
		if word(b, i) != word(b, 0) {
			return false
		}
	}
	return true
}

// owner finds the user and the user namespace of a cred: side by side, and of init_task both
// in the kernel's image.
func (l *layout) owner(cred, ids uint64) {
	idle := l.read(word(l.idle.b, cred), credWindow)
	user, ok := l.pointed(cred, ids+32, credWindow, 8, l.least, func(_ sample, _ uint64, b []byte, off uint64) bool {
		return plausible(word(b, off)) && plausible(word(b, off+8)) && uint64(len(idle)) >= off+16 && word(b, off+8) == word(idle, off+8) && isImage(word(idle, off)) && isImage(word(idle, off+8))
	})
	if !ok {
		l.fail("cred.user", "no place fits")
		return
	}
	l.at["cred.uid"], l.at["cred.user"] = ids, user
}
