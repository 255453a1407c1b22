package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

// TestPrivate: incidents name victims, attackers and weaknesses; nobody else on the machine reads them.
func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	s := open(t, filepath.Join(dir, "klaxon.db"))
	defer s.Close()
	if _, err := s.Claim(t.Context(), 1, "x"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
}

// TestModeIsKept: somebody chose the mode of a file that is there, perhaps so that a group may read it.
func TestModeIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "klaxon.db")
	open(t, path).Close()
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	open(t, path).Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestEmptyFile: a process that was killed while it made its store leaves one.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "klaxon.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenExisting(path); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("OpenExisting: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("it has changed: %v, %v", info.Size(), err)
	}
	open(t, path).Close()
}

// TestForeignFilesAreLeftAlone: whatever somebody names by mistake stays as it is, byte for byte, and nothing appears beside it.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("my notes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	other, migrated := filepath.Join(dir, "browser.db"), filepath.Join(dir, "migrated.db")
	raw(t, other, `CREATE TABLE bookmarks (url TEXT)`)
	raw(t, migrated, `CREATE TABLE goose_db_version (version_id INTEGER); CREATE TABLE bookmarks (url TEXT)`)
	for _, path := range []string{text, other, migrated} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenExisting": sqlite.OpenExisting} {
			if _, err := open(path); err == nil || !strings.Contains(err.Error(), "not a database of klaxon") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s(%s): %v", name, path, err)
			}
		}
		after, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || !bytes.Equal(before, after) || info.Mode().Perm() != 0o644 {
			t.Errorf("%s has changed: %d bytes were %d, mode %v, %v, %v", path, len(after), len(before), info.Mode(), err, statErr)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("something appeared: %v, %v", files, err)
	}
}

// TestOpenExisting: a command makes no store and changes no tables.
func TestOpenExisting(t *testing.T) {
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "new", "klaxon.db")
	if _, err := sqlite.OpenExisting(nowhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(nowhere)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
	path := filepath.Join(dir, "klaxon.db")
	daemon := open(t, path)
	defer daemon.Close()
	if _, err := daemon.Claim(t.Context(), 1, "x"); err != nil {
		t.Fatal(err)
	}
	command, err := sqlite.OpenExisting(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := command.Claim(t.Context(), 1, "x"); err != nil || st.Epoch != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := command.Close(); err != nil {
		t.Error(err)
	}
	for version, want := range map[int]string{0: "start 'klaxon run' of this version first", 999: "newer klaxon"} {
		path := filepath.Join(dir, strconv.Itoa(version)+".db")
		open(t, path).Close()
		raw(t, path, `DELETE FROM goose_db_version`)
		raw(t, path, fmt.Sprintf(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, 1)`, version))
		if _, err := sqlite.OpenExisting(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func TestOddPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b.db", "100%25.db", "what?_pragma=x.db", "a#b.db", "ä&ö.db"} {
		path := filepath.Join(dir, name)
		s := open(t, path)
		if _, err := s.Claim(t.Context(), 1, "x"); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		s = open(t, path)
		if st, err := s.Claim(t.Context(), 1, "x"); err != nil || st.Epoch != 2 {
			t.Errorf("%s: what was written is gone: %+v, %v", name, st, err)
		}
		s.Close()
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	open(t, newer).Close()
	raw(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
	broken := filepath.Join(dir, "broken.db")
	open(t, broken).Close()
	raw(t, broken, `DROP TABLE entries`)
	for name, c := range map[string]struct{ path, want string }{
		"a folder":       {dir, "is a directory"},
		"no database":    {garbage, "not a database"},
		"a newer klaxon": {newer, "newer klaxon"},
		"a table gone":   {broken, "not as they should be"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.Open(c.path)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("error %v, want %q with the path", err, c.want)
			}
		})
	}
}

func raw(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenedAtOnce: the daemon and commands may all be the first.
func TestOpenedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "klaxon.db")
	var wg sync.WaitGroup
	for i := range int32(4) {
		wg.Go(func() {
			s, err := sqlite.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Claim(context.Background(), i, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestViewDoesNotWrite: a view does not write, whatever it tries.
func TestViewDoesNotWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "klaxon.db"))
	defer s.Close()
	err := s.View(t.Context(), func(v incidents.View) error {
		tx, ok := v.(incidents.Tx)
		if !ok {
			return errors.New("no way to try")
		}
		return tx.PutIncident(&incidents.Incident{ID: "x"})
	})
	if err == nil {
		t.Error("a view has written")
	}
}

const (
	childPath = "KLAXON_TEST_CHILD_STORE"
	perWrite  = 3
)

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		fmt.Println(writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver prints each offset once it is acknowledged.
func writeForEver(path string) error {
	store, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	b := incidents.NewBook(store, incidents.Policy{Destinations: []incidents.Destination{{Name: "soc", Types: []string{incidents.TypeAlert, incidents.TypeIncident}}}})
	s, err := b.Claim(context.Background(), 0, "T")
	if err != nil {
		return err
	}
	for next := max(s.Next, 0) + 1; ; next++ {
		w := incidents.ShardWrite{Epoch: s.Epoch, Next: next, TopicID: "T", Checkpoint: []byte(strings.Repeat("x", 100_000))}
		for i := range int64(perWrite) {
			w.Alerts = append(w.Alerts, alert.Alert{ID: alert.NewID(strconv.FormatInt(next*perWrite+i, 10)), Revision: 1, Tenant: "acme", Severity: alert.High, Incident: fmt.Sprint(next % 5)})
		}
		if err := b.Apply(context.Background(), time.Unix(next, 0), []incidents.ShardWrite{w}); err != nil {
			return err
		}
		fmt.Println("acknowledged", next)
	}
}

// TestKill: what was acknowledged is there after kill -9, and nothing is there by halves.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "klaxon.db")
	for range 3 {
		acknowledged := runAndKill(t, path)
		s := open(t, path)
		st, err := s.Claim(t.Context(), 0, "T")
		if err != nil {
			t.Fatal(err)
		}
		if st.Next < acknowledged || st.CheckpointAt != st.Next || len(st.Checkpoint) != 100_000 {
			t.Errorf("acknowledged %d, found %d with a checkpoint of %d bytes at %d", acknowledged, st.Next, len(st.Checkpoint), st.CheckpointAt)
		}
		var d storetest.Dump
		if err := s.View(t.Context(), func(v incidents.View) error {
			d, err = storetest.Read(v)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if len(d.Alerts) != int(st.Next)*perWrite || len(d.Messages) < len(d.Alerts) {
			t.Errorf("%d alerts and %d messages up to offset %d", len(d.Alerts), len(d.Messages), st.Next)
		}
		s.Close()
	}
}

// runAndKill lets the child write a little more than last time, and answers what it had acknowledged.
func runAndKill(t *testing.T, path string) (acknowledged int64) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childPath+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); {
		if _, n, ok := strings.Cut(lines.Text(), "acknowledged "); ok {
			if acknowledged, err = strconv.ParseInt(n, 10, 64); err != nil {
				t.Error(err)
			}
			if seen++; seen == 20 {
				child.Process.Kill()
			}
		}
	}
	child.Wait()
	return acknowledged
}
