package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// keeper tells systemd how the process is, as a unit of Type=notify wants: sd_notify(3) in the few lines that klaxon needs. A nil
// keeper tells nobody. It is safe for concurrent use.
type keeper struct {
	conn     net.Conn
	watchdog time.Duration // silent for longer, the process is killed; 0: never
}

// keepEvery is how often the status line is brought up to date.
const keepEvery = 5 * time.Second

// newKeeper answers nil where the environment names no socket to tell.
func newKeeper(env func(string) string, pid int) (*keeper, error) {
	socket := env("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil //nolint:nilnil // a nil keeper is one that tells nobody
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q, which is no path of a socket: leave it to systemd", socket)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot reach systemd at NOTIFY_SOCKET: %w", err)
	}
	k := &keeper{conn: conn}
	if whose := env("WATCHDOG_PID"); whose == "" || whose == strconv.Itoa(pid) {
		if usec, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
			k.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return k, nil
}

// withKeeper makes the app tell k.
func withKeeper(k *keeper) option { return func(a *app) { a.keeper = k } }

// tell sends assignments. That systemd does not listen changes nothing for the process.
func (k *keeper) tell(lines ...string) {
	if k == nil {
		return
	}
	_ = k.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = k.conn.Write([]byte(strings.Join(lines, "\n")))
}

// stopping asks for as much time as draining may take, whatever the unit's TimeoutStopSec is.
func (k *keeper) stopping(within time.Duration) {
	k.tell("STOPPING=1", "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(within.Microseconds(), 10))
}

// keep feeds the watchdog and brings the status line up to date until ctx ends. Summary asks the process; as long as it does not
// answer, the watchdog is not fed.
func (k *keeper) keep(ctx context.Context, summary func() string) {
	if k == nil {
		return
	}
	every, last := keepEvery, ""
	if k.watchdog > 0 {
		every = min(every, k.watchdog/2)
	}
	t := time.NewTicker(max(every, time.Millisecond))
	defer t.Stop()
	for {
		now := summary()
		lines := []string{}
		if now != last {
			last, lines = now, append(lines, "STATUS="+oneLine(now))
		}
		if k.watchdog > 0 {
			lines = append(lines, "WATCHDOG=1")
		}
		if len(lines) > 0 {
			k.tell(lines...)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (k *keeper) close() {
	if k != nil {
		_ = k.conn.Close()
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
