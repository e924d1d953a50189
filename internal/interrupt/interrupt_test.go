package interrupt

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain is the command that the tests interrupt, if they start it: it does not end by
// itself when its context does.
func TestMain(m *testing.M) {
	if os.Getenv("INTERRUPTED_COMMAND") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := Context(os.Interrupt)
	defer stop()
	fmt.Println("runs")
	<-ctx.Done()
	fmt.Println("ends with", Exit(ctx, 1), Exit(ctx, 3))
	select {}
}

// The first interrupt ends the context, the second the program.
func TestInterrupts(t *testing.T) {
	t.Parallel()
	// In the background of a shell an interrupt is ignored, which a command inherits but where its
	// parent takes it.
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, os.Interrupt)
	defer signal.Stop(taken)
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "INTERRUPTED_COMMAND=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for _, want := range []string{"runs", "ends with 130 3"} {
		if !said.Scan() || said.Text() != want {
			t.Errorf("said %q, want %q", said.Text(), want)
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	err = c.Wait()
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("the second interrupt: %v", err)
	}
}

func TestExit(t *testing.T) {
	t.Parallel()
	ctx, stop := Context(os.Interrupt)
	if got := Exit(ctx, 1); got != 1 {
		t.Errorf("not interrupted: status %d", got)
	}
	stop()
}
