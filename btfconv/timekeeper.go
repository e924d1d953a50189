package btfconv

import "encoding/binary"

// A clock is where the fields of struct timekeeper are that tell it.
type clock struct {
	seconds, nanoseconds, real uint64 // wall_to_monotonic.tv_sec, .tv_nsec, offs_real
}

// fromTimekeeper finds tk_core, since 6.17 timekeeper_data. In a struct
// timekeeper, offs_real is the opposite of wall_to_monotonic
// (tk_set_wall_to_mono in kernel/time/timekeeping.c). The shadow of the time
// keeper fulfils that too; but only in tk_core is the time keeper where a cache
// line and a sequence count put it.
func (f *finder) fromTimekeeper() {
	name, inner := f.timekeeperName()
	var c clock
	var ok [3]bool
	c.seconds, ok[0] = f.layouts.offset("timekeeper", "wall_to_monotonic.tv_sec")
	c.nanoseconds, ok[1] = f.layouts.offset("timekeeper", "wall_to_monotonic.tv_nsec")
	c.real, ok[2] = f.layouts.offset("timekeeper", "offs_real")
	size, _ := f.layouts.size("timekeeper")
	if ok != [3]bool{true, true, true} || f.has(name) {
		return
	}
	for at, b := range f.image.chunks(f.dataStart(), f.end, int(size+inner)) {
		for i := int(inner); i+int(size) <= len(b); i += 8 {
			if (at+uint64(i)-inner)%cacheLine == 0 && c.isAt(b[i:]) {
				f.found(name, at+uint64(i)-inner, "timekeeper.offs_real is the opposite of wall_to_monotonic")
				return
			}
		}
	}
}

const cacheLine = 64

// isAt reports whether b is a struct timekeeper whose clock was set, to a time
// after 2001.
func (c *clock) isAt(b []byte) bool {
	sec := int64(binary.LittleEndian.Uint64(b[c.seconds:]))
	if sec > -1e9 || sec < -1e10 {
		return false
	}
	nsec := int64(binary.LittleEndian.Uint64(b[c.nanoseconds:]))
	return nsec >= 0 && nsec < 1e9 && int64(binary.LittleEndian.Uint64(b[c.real:])) == -(sec*1e9+nsec)
}

// timekeeperName returns what the core time keeper is called, and where in that
// object its struct timekeeper is.
func (f *finder) timekeeperName() (name string, offset uint64) {
	offset, ok := f.layouts.offset("tk_data", "timekeeper")
	if !ok {
		return "tk_core", 8 // to 6.12: struct { seqcount_raw_spinlock_t seq; struct timekeeper timekeeper; }
	}
	if _, ok := f.layouts.offset("timekeeper", "id"); ok {
		return "timekeeper_data", offset
	}
	return "tk_core", offset
}
