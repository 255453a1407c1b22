package realtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// stopGrace is how long a server that was asked to stop may take before it is killed.
const stopGrace = 30 * time.Second

// process is a server as a local process, in a process group of its own, with a folder of its own.
type process struct {
	argv    []string
	env     []string
	dir     string // its folder: working directory, data, log; deleted by remove
	log     string // standard output and error are appended to this file
	user    int    // user and group id to run as, -1 for our own
	running *running
}

// running is one run of a process.
type running struct {
	pid  int
	done chan struct{} // closed once the process was waited for
	err  error         // why it ended; read only after done
}

func (p *process) start(context.Context) error {
	if p.ended() == nil {
		return errors.New("it runs already")
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env, cmd.Dir = p.env, p.dir
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the server's log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup(p.user)

	run := &running{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// On Linux the child dies with the *thread* that started it, so the thread stays with it until it has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		run.pid = cmd.Process.Pid
		started <- nil
		run.err = cmd.Wait()
		close(run.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot start %s: %w", p.argv[0], err)
	}
	p.running = run
	return nil
}

func (p *process) ended() error {
	if p.running == nil {
		return errors.New("it was never started")
	}
	select {
	case <-p.running.done:
		return fmt.Errorf("%w; its log ends:\n%s", orClean(p.running.err), tail(p.log, 15))
	default:
		return nil
	}
}

func orClean(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (p *process) end(ctx context.Context, kill bool) error {
	if p.ended() != nil {
		return nil
	}
	if !kill {
		if err := terminateGroup(p.running.pid); err != nil {
			return err
		}
		select {
		case <-p.running.done:
			return nil
		case <-time.After(stopGrace):
		}
	}
	if err := killGroup(p.running.pid); err != nil {
		return err
	}
	select {
	case <-p.running.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d does not end: %w", p.running.pid, ctx.Err())
	}
}

func (p *process) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := p.end(ctx, true); err != nil {
		return // its files are in use; the next process's sweep takes them
	}
	// A child of the process may still be writing as its parent dies.
	for range 50 {
		if os.RemoveAll(p.dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tail returns the last lines of a file, for an error message.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
