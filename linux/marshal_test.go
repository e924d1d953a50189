package linux

import "testing"

func TestStateText(t *testing.T) {
	for _, want := range []State{Running, Sleeping, DiskSleep, Stopped, TracingStop, Dead, Zombie, Parked, Idle, 0} {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got := State('!')
		if err := got.UnmarshalText(text); err != nil || got != want || string(text) != want.String() {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "R", "R (sleeping)", "? (odd)", "\xff"} {
		if err := new(State).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestTaskSourcesText(t *testing.T) {
	for want, text := range map[TaskSources]string{0: "none", InTaskList: "task list", InPIDIDR: "PID IDR", InTaskList | InPIDIDR: "task list+PID IDR"} {
		written, err := want.MarshalText()
		if err != nil || string(written) != text {
			t.Errorf("%q, %v, want %s", written, err, text)
		}
		var got TaskSources
		if err := got.UnmarshalText(written); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"PID IDR+task list", "task list+task list", "task list+", "", "view 3"} {
		if err := new(TaskSources).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if got := (InPIDIDR | 1<<15).String(); got != "PID IDR+view 15" {
		t.Errorf("a view without a name: %s", got)
	}
}

func TestExpected(t *testing.T) {
	if got := (&Task{PID: 7, TGID: 7}).Expected(); got != InTaskList|InPIDIDR {
		t.Errorf("leader: %v", got)
	}
	if got := (&Task{PID: 8, TGID: 7, Sources: InPIDIDR}).Expected(); got != InTaskList|InPIDIDR {
		t.Errorf("said to be a thread, and in a view of leaders: %v", got)
	}
	if got := (&Task{PID: 8, TGID: 7}).Expected(); got != 0 {
		t.Errorf("thread: %v", got)
	}
}
