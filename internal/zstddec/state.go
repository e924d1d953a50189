package zstddec

import "github.com/nodelens/nodelens/internal/checkpoint"

// A state is what a decoder needs besides the window to go on. It is not changed
// once it is in a [checkpoint.State].
type state struct {
	off    int64 // in the file
	place  place
	tables *tables // nil between frames
}

func (d *decoder) State() *checkpoint.State {
	if d.err != nil {
		return nil
	}
	s := &state{off: d.in.off, place: d.place}
	var window []byte
	if d.inside && !d.last {
		s.tables = new(tables)
		s.tables.set(&d.tables)
		window = d.hist.tail(int(min(int64(d.frame.window), d.decoded)))
	}
	return &checkpoint.State{Window: window, Rest: s}
}

// resume makes d go on from s. It reads the window in place.
func (d *decoder) resume(s *state, window []byte) {
	d.in.off = s.off
	d.place = s.place
	d.hist.reset(s.place.frame.window, s.place.frame.blockMax())
	d.hist.old = window
	if s.tables != nil {
		d.tables.set(s.tables)
	}
}
