package realtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parentVariable makes the test binary play a test process that starts a server and is then killed.
const parentVariable = "KLAXON_REALTEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		os.Exit(playParent(dir))
	}
	os.Exit(m.Run())
}

func playParent(dir string) int {
	p := &process{argv: []string{"sleep", "300"}, dir: dir, log: filepath.Join(dir, "log"), user: -1}
	if err := p.start(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(p.running.pid)
	select {}
}

func TestServersDieWithTheTest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	server, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the process that plays the test says %q", line)
	}
	if !alive(server) {
		t.Fatal("the server does not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	within(t, 5*time.Second, func() bool { return !runs(server) })
}

func TestProcess(t *testing.T) {
	dir := t.TempDir()
	// A child of its own, as Elasticsearch's launcher has one, and deaf to a request to stop.
	script := `trap '' TERM; sleep 300 & echo child $!; wait`
	p := &process{argv: []string{"/bin/sh", "-c", script}, dir: dir, log: filepath.Join(dir, "log"), user: -1}
	if err := p.ended(); err == nil {
		t.Error("runs before it was started")
	}
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.start(t.Context()); err == nil {
		t.Error("was started twice")
	}
	var child int
	within(t, 5*time.Second, func() bool {
		_, err := fmt.Sscanf(tail(p.log, 1), "child %d", &child)
		return err == nil
	})
	if err := p.end(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, func() bool { return !runs(child) })
	if err := p.ended(); err == nil || !strings.Contains(err.Error(), "killed") || !strings.Contains(err.Error(), "child") {
		t.Errorf("how it ended, and its log's end: %v", err)
	}
	p.remove()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its folder is left behind: %v", err)
	}
}

// runs tells whether a process still executes: one that is only not waited for yet does not.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func within(t *testing.T, limit time.Duration, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("not so after %v", limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
