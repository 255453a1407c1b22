package realtest

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFetched(t *testing.T) {
	c := cache{dir: t.TempDir()}
	broken := errors.New("the network is gone")
	_, err := c.fetched("thing", func(dir string) error {
		write(t, filepath.Join(dir, "half"), "x")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatalf("a failed download says %v", err)
	}

	// What an interrupted process left behind is not taken for a download either.
	if err := os.MkdirAll(filepath.Join(c.dir, "thing.partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.dir, "thing.partial", "half"), "x")
	fills := 0
	for range 2 {
		dir, err := c.fetched("thing", func(dir string) error {
			fills++
			write(t, filepath.Join(dir, "whole"), "x")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"whole"}) {
			t.Errorf("the download holds %v", got)
		}
	}
	if fills != 1 {
		t.Errorf("downloaded %d times", fills)
	}
}

func TestLockExcludes(t *testing.T) {
	c := cache{dir: t.TempDir()}
	unlock, err := c.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	if _, err := c.lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second holder of the lock gets %v", err)
	}
	unlock()
	unlock, err = c.lock(t.Context())
	if err != nil {
		t.Fatalf("the lock was released, but: %v", err)
	}
	unlock()
}

func TestSweepTakesOnlyTheDead(t *testing.T) {
	c := cache{dir: t.TempDir()}
	mine := fmt.Sprintf("%d-kafka-1", os.Getpid())
	const dead = "2147483600-kafka-1" // above every system's largest process id
	for _, name := range []string{mine, dead, "notes"} {
		if err := os.MkdirAll(filepath.Join(c.runs(), name, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.sweep()
	if got, want := names(t, c.runs()), []string{mine, "notes"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(slices.Clone(ports))) != 20 {
		t.Errorf("a port was given twice: %v", ports)
	}
	for _, port := range ports {
		if port < 15000 || port >= 32000 {
			t.Errorf("port %d may be taken by an outgoing connection", port)
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Errorf("port %d is not free: %v", port, err)
			continue
		}
		_ = l.Close()
	}
}

func TestUnzip(t *testing.T) {
	t.Run("keeps what is executable and leaves out what is named", func(t *testing.T) {
		dir := t.TempDir()
		archive := pack(t, map[string]os.FileMode{"a/bin/run": 0o755, "a/skipped": 0o644, "a/conf": 0o600})
		if err := unzip(archive, dir, func(name string) bool { return name == "a/skipped" }); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Join(dir, "a")); !slices.Equal(got, []string{"bin", "conf"}) {
			t.Errorf("unpacked %v", got)
		}
		for name, want := range map[string]os.FileMode{"a/bin/run": 0o755, "a/conf": 0o644} { // another user must read it
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, want)
			}
		}
	})
	t.Run("refuses to leave the folder", func(t *testing.T) {
		archive := pack(t, map[string]os.FileMode{"../escaped": 0o644})
		if err := unzip(archive, t.TempDir(), func(string) bool { return false }); err == nil {
			t.Error("a name that leads out of the folder was unpacked")
		}
	})
}

func TestMavenOutputHidesCredentials(t *testing.T) {
	var out strings.Builder
	for i := range 30 {
		fmt.Fprintf(&out, "[ERROR] %d https://user:secret@mirror.example/a from https://repo.example/x@y\n", i)
	}
	got := lastLines([]byte(out.String()))
	if strings.Contains(got, "secret") || !strings.Contains(got, "https://mirror.example/a") || !strings.Contains(got, "x@y") {
		t.Errorf("shown is %s", got)
	}
	if n := strings.Count(got, "\n"); n != 9 {
		t.Errorf("%d line ends, want 9", n)
	}
}

func TestJavaSetting(t *testing.T) {
	out := []byte("Property settings:\n    java.home = /usr/lib/jvm/a b\n    java.specification.version = 17\n        more\nopenjdk version \"17\"\n")
	if got := setting(out, "java.home"); got != "/usr/lib/jvm/a b" {
		t.Errorf("java.home is %q", got)
	}
	if got := setting(out, "java.specification.version"); got != "17" {
		t.Errorf("version is %q", got)
	}
	if got := setting(out, "absent"); got != "" {
		t.Errorf("absent is %q", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func pack(t *testing.T, files map[string]os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for name, mode := range files {
		header := &zip.FileHeader{Name: name}
		header.SetMode(mode)
		if _, err := w.CreateHeader(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVersionsAgree(t *testing.T) {
	for version, pom := range map[string][]byte{kafkaVersion: kafkaPOM, elasticsearchVersion: elasticsearchPOM} {
		if !strings.Contains(string(pom), "<version>"+version+"</version>") {
			t.Errorf("the pom does not fetch %s", version)
		}
	}
}
