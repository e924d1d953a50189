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
	if err := new(TaskSources).UnmarshalText([]byte("PID IDR+task list")); err == nil {
		t.Error("views in another order are taken")
	}
}
