package realtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// unprivileged is the user that Elasticsearch runs as when we are root, which it refuses: `nobody` of every Linux.
const unprivileged = 65534

// cache is the folder that holds what was downloaded, and the folders of running servers.
type cache struct{ dir string }

// openCache makes the folder. Root's own cache folder is closed to the user that Elasticsearch must run as, so root uses the
// system's.
func openCache() (cache, error) {
	dir, err := os.UserCacheDir()
	if err == nil && os.Geteuid() == 0 {
		dir = "/var/cache"
	}
	if err != nil {
		return cache{}, fmt.Errorf("cannot find a folder for downloaded servers: %w", err)
	}
	c := cache{dir: filepath.Join(dir, "klaxon-realtest")}
	if err := os.MkdirAll(c.runs(), 0o755); err != nil {
		return cache{}, fmt.Errorf("cannot make the folder for downloaded servers: %w", err)
	}
	return c, nil
}

func (c cache) runs() string { return filepath.Join(c.dir, "run") }

// lock waits until no other process downloads or starts a server, or ctx ends. The returned function releases the lock.
func (c cache) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(c.dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock: %w", err)
	}
	for {
		got, err := tryLock(f)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		if got {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("another process holds %s: %w", path, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newRun makes the folder of a server, named after our process so that a later one can tell whether it is still in use.
func (c cache) newRun(name string) (string, error) {
	dir, err := os.MkdirTemp(c.runs(), fmt.Sprintf("%d-%s-", os.Getpid(), name))
	if err != nil {
		return "", fmt.Errorf("cannot make a folder for %s: %w", name, err)
	}
	return dir, nil
}

// sweep deletes the folders of servers whose test process is gone.
func (c cache) sweep() {
	entries, err := os.ReadDir(c.runs())
	if err != nil {
		return
	}
	for _, entry := range entries {
		first, _, _ := strings.Cut(entry.Name(), "-")
		if pid, err := strconv.Atoi(first); err == nil && !alive(pid) {
			_ = os.RemoveAll(filepath.Join(c.runs(), entry.Name()))
		}
	}
}

// freePorts returns different loopback ports that nobody listens on. They lie below the range that systems take outgoing
// connections' ports from: a client that redials a dead server's port from that range can end up connected to itself.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 100 * n {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // only once all were chosen, so that no two are the same
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("not %d free ports on 127.0.0.1 among %d tried", n, 100*n)
}
