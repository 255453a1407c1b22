package real

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildKlaxon builds the binary once for all tests of the package.
var buildKlaxon = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "klaxon-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "klaxon")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/klaxonhq/klaxon/cmd/klaxon").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// lookAtSources lists every folder of the module. Go's test cache keeps a result while what a test imports and the files and
// folders that it looked at stay as they are; of the binary that it builds and starts it knows nothing.
func lookAtSources() error {
	return filepath.WalkDir("../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		return err
	})
}

// process is a klaxon that runs as a child.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *journal
	admin string
	ended chan error
}

// startKlaxon starts `klaxon run` and waits until it says where its admin port is.
func startKlaxon(t *testing.T, config string) *process {
	t.Helper()
	bin, err := buildKlaxon()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(bin, "run", "-c", config), log: &journal{}, ended: make(chan error, 1)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	found := make(chan string, 1)
	go p.follow(stderr, found)
	select {
	case p.admin = <-found:
	case <-time.After(30 * time.Second):
		t.Fatalf("klaxon did not start:\n%s", p.log)
	}
	return p
}

// follow keeps the process's log and finds the line that names the admin port.
func (p *process) follow(stderr io.Reader, found chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(p.log, lines.Text())
		var line struct{ Message, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "started" {
			found <- line.Admin
		}
	}
	p.ended <- p.cmd.Wait()
}

// metric is the sum of a metric's values over its labels.
func (p *process) metric(name string) float64 {
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
			sum += v
		}
	}
	return sum
}

// stop sends SIGTERM and wants a clean end.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Fatalf("after SIGTERM: %v\n%s", err, p.log)
		}
	case <-time.After(40 * time.Second):
		p.t.Fatalf("did not end after SIGTERM:\n%s", p.log)
	}
}

// signal sends the process a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill9 ends the process as a power cut would.
func (p *process) kill9() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
}

// eventually waits until a condition holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s still not: %s", limit, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var errStatus = errors.New("unexpected status")

// getJSON asks a server.
func getJSON(method, url, body string, into any) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%w %d: %s", errStatus, resp.StatusCode, b)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
