package main

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// notifySocket is systemd's end.
type notifySocket struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenNotify(t *testing.T, path string) *notifySocket {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notifySocket{t, conn, path}
}

// until reads what is told until a line comes that begins so.
func (n *notifySocket) until(prefix string) (line string) {
	n.t.Helper()
	buf := make([]byte, 4096)
	for {
		if err := n.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			n.t.Fatal(err)
		}
		size, err := n.conn.Read(buf)
		if err != nil {
			n.t.Fatalf("waiting for %s: %v", prefix, err)
		}
		for l := range strings.SplitSeq(string(buf[:size]), "\n") {
			if strings.HasPrefix(l, prefix) {
				return l
			}
		}
	}
}

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestKeeperFeedsTheWatchdogWhileTheProcessAnswers(t *testing.T) {
	n := listenNotify(t, filepath.Join(t.TempDir(), "notify"))
	k, err := newKeeper(env(map[string]string{"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "7"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	if k.watchdog != 20*time.Millisecond {
		t.Fatal(k.watchdog)
	}
	k.tell("READY=1")
	n.until("READY=1")
	ctx, stop := context.WithCancel(t.Context())
	var state atomic.Value
	state.Store("not ready:\n  kafka: no answer")
	ended := make(chan struct{})
	go func() {
		k.keep(ctx, func() string { return state.Load().(string) })
		close(ended)
	}()
	if got := n.until("STATUS="); got != "STATUS=not ready: kafka: no answer" {
		t.Error(got)
	}
	n.until("WATCHDOG=1")
	n.until("WATCHDOG=1")
	state.Store("ready")
	if got := n.until("STATUS="); got != "STATUS=ready" {
		t.Error(got)
	}
	stop()
	<-ended
	k.stopping(27 * time.Second)
	if got := n.until("EXTEND_TIMEOUT_USEC="); got != "EXTEND_TIMEOUT_USEC=27000000" {
		t.Error(got)
	}
}

func TestKeeperTakesTheSocketThatItIsGiven(t *testing.T) {
	if k, err := newKeeper(env(nil), 1); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
	var nobody *keeper // as where nothing is to be told
	nobody.tell("READY=1")
	nobody.stopping(time.Second)
	nobody.keep(t.Context(), nil)
	nobody.close()

	n := listenNotify(t, "@klaxon-test-"+filepath.Base(t.TempDir())+time.Now().Format("150405.000000"))
	k, err := newKeeper(env(map[string]string{"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "8"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	if k.watchdog != 0 {
		t.Error("another process's watchdog is fed")
	}
	k.tell("READY=1")
	n.until("READY=1")
	for _, bad := range []string{"relative", "/nowhere/at/all", "vsock:2:1"} {
		if _, err := newKeeper(env(map[string]string{"NOTIFY_SOCKET": bad}), 1); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, usec := range []string{"", "soon", "-1", "0"} {
		k, err := newKeeper(env(map[string]string{"NOTIFY_SOCKET": n.path, "WATCHDOG_USEC": usec}), 1)
		if err != nil || k.watchdog != 0 {
			t.Errorf("WATCHDOG_USEC=%q: %v, %v", usec, k, err)
		}
		k.close()
	}
	if !slices.Equal(strings.Fields(oneLine(" a\nb\t c")), []string{"a", "b", "c"}) || strings.Contains(oneLine("a\nb"), "\n") {
		t.Error("a status is no line")
	}
}
