package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// startDemo starts a demo in a process of its own that keeps its temporary folder in tmp, and waits until traffic flows.
func startDemo(t *testing.T, tmp string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"klaxon", "demo", "--for", "1h", "--rate", "100"} // the test's binary is klaxon under that name
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	waitFor(t, lines, "events")
	return cmd, lines
}

func waitFor(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), want) {
			return
		}
	}
	t.Fatalf("the demo ended without %q", want)
}

func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if files, err := os.ReadDir(tmp); err != nil || len(files) > 0 {
		t.Errorf("the temporary folder is still there: %v, %v", files, err)
	}
}

// TestDemoInterrupted: one signal ends the traffic, what was written is counted, and nothing is claimed of what was not over.
func TestDemoInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a demo")
	}
	t.Parallel()
	tmp := t.TempDir()
	cmd, lines := startDemo(t, tmp)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for lines.Scan() {
		text.Write(append(lines.Bytes(), '\n'))
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &text)
	}
	for _, want := range []string{stopping, ", interrupted\n", "Planted attacks\n  none was over yet\n", "False alerts: 0\n", "balances\n", "all of them and no others\n", "each of them once\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	nothingLeft(t, tmp)
}

// TestDemoSecondSignal: a second signal leaves at once, and leaves nothing behind.
func TestDemoSecondSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a demo")
	}
	t.Parallel()
	tmp := t.TempDir()
	cmd, lines := startDemo(t, tmp)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	waitFor(t, lines, stopping)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Planted attacks") {
			t.Error("it went on to the summary")
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != exitInterrupted {
		t.Errorf("exit %v", err)
	}
	nothingLeft(t, tmp)
}

func TestIDSet(t *testing.T) {
	s := idSet{}
	for _, c := range []struct {
		id  string
		new bool
	}{
		{"logs-0-0-mv2gim18", true}, {"logs-0-1-mv2gim18", true}, {"logs-1-0-mv2gim18", true}, {"other-0-0-mv2gim18", true}, {"logs-0-0-mv2gim18-1", true},
		{"logs-0-70000-mv2gim18", true}, {"logs-0-64-mv2gim18", true}, {"logs-0-0-mv2gim18", false}, {"logs-0-0-mv2gim18-1", false}, {"logs-0-70000-mv2gim18", false},
		{"", false}, {"logs", false}, {"logs-0-x-mv2gim18", false}, {"logs-0-99999999999999-mv2gim18", false},
	} {
		if got := s.add(c.id); got != c.new {
			t.Errorf("%q: new is %v", c.id, got)
		}
	}
}
