package dwarfconv

import "sync"

// A teller tells the progress, one call at a time.
type teller struct {
	tellFunc func(stage string, done, total int64)

	mu    sync.Mutex // guards what follows, and the calls
	stage string
	done  int64 // as told last
}

// tellStep is after how many bytes progress is told.
const tellStep = 4 << 20

// tell tells that done bytes of total are done, if that is news.
func (t *teller) tell(stage string, done, total int64) {
	if t.tellFunc == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if stage == t.stage && done-t.done < tellStep && done < total || stage == t.stage && done <= t.done {
		return
	}
	t.stage, t.done = stage, done
	t.tellFunc(stage, done, total)
}
