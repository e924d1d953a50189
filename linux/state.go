package linux

import "fmt"

// A State is what a task was doing, as the letter that /proc/PID/stat shows.
type State byte

// The states, by their letters (task_state_array in fs/proc/array.c).
const (
	Running     State = 'R'
	Sleeping    State = 'S'
	DiskSleep   State = 'D'
	Stopped     State = 'T'
	TracingStop State = 't'
	Dead        State = 'X'
	Zombie      State = 'Z'
	Parked      State = 'P'
	Idle        State = 'I'
)

// Bits of task_struct.__state and exit_state (include/linux/sched.h).
const (
	taskUninterruptible = 0x2
	taskReport          = 0x7f   // TASK_REPORT: the bits that have a letter
	taskIdle            = 0x402  // TASK_IDLE: taskUninterruptible and TASK_NOLOAD
	taskRTLockWait      = 0x1000 // reported as uninterruptible since 5.16
	taskFrozen          = 0x8000 // reported as uninterruptible since 6.1
)

// taskState follows __task_state_index of include/linux/sched.h. Other bits may be set
// beside those of TASK_IDLE, as TASK_FREEZABLE (0d6b35283bcf, 6.6).
func taskState(state, exit uint32) State {
	if state&taskIdle == taskIdle {
		return Idle
	}
	bits := (state | exit) & taskReport
	if state&(taskRTLockWait|taskFrozen) != 0 {
		bits |= taskUninterruptible
	}
	letters := [...]State{Sleeping, DiskSleep, Stopped, TracingStop, Dead, Zombie, Parked}
	for i := len(letters) - 1; i >= 0; i-- {
		if bits&(1<<i) != 0 {
			return letters[i]
		}
	}
	return Running
}

// String returns the letter and its meaning as /proc/PID/status shows them.
func (s State) String() string {
	switch s {
	case Running:
		return "R (running)"
	case Sleeping:
		return "S (sleeping)"
	case DiskSleep:
		return "D (disk sleep)"
	case Stopped:
		return "T (stopped)"
	case TracingStop:
		return "t (tracing stop)"
	case Dead:
		return "X (dead)"
	case Zombie:
		return "Z (zombie)"
	case Parked:
		return "P (parked)"
	case Idle:
		return "I (idle)"
	}
	return "? (unknown)"
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives; the
// unknown state is 0.
func (s *State) UnmarshalText(b []byte) error {
	*s = 0
	if len(b) > 0 && b[0] != '?' {
		*s = State(b[0])
	}
	if s.String() != string(b) {
		return fmt.Errorf("linux: unknown state %q", b)
	}
	return nil
}
