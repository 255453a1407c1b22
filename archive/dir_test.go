package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestDir(t *testing.T) {
	for _, links := range []bool{true, false} {
		t.Run(fmt.Sprintf("links=%t", links), func(t *testing.T) {
			d, _ := openDir(t)
			if !links {
				d.link = func(string, string) error { return errors.New("operation not supported") }
			}
			put := func(name, data string) error { return d.PutIfAbsent(t.Context(), name, []byte(data)) }
			if err := errors.Join(put("a=1/b/c.x", "one"), put("a=1/b/c.y", ""), put("a=2/d", "three")); err != nil {
				t.Fatal(err)
			}
			if err := put("a=1/b/c.x", "two"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a name that is taken: %v", err)
			}
			for name, want := range map[string]string{"a=1/b/c.x": "one", "a=1/b/c.y": "", "a=2/d": "three"} {
				if got, err := d.Get(t.Context(), name, 0, -1); string(got) != want || err != nil {
					t.Errorf("%s holds %q, %v", name, got, err)
				}
			}
			if got, err := d.Get(t.Context(), "a=2/d", 1, 3); string(got) != "hre" || err != nil {
				t.Errorf("a part is %q, %v", got, err)
			}
			if _, err := d.Get(t.Context(), "a=2/d", 3, 3); !errors.Is(err, ErrDamaged) {
				t.Errorf("more than there is: %v", err)
			}
			if _, err := d.Get(t.Context(), "a=2/e", 0, -1); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing there: %v", err)
			}
			if got, err := d.List(t.Context(), ""); !slices.Equal(got, []Entry{{"a=1", true}, {"a=2", true}}) || err != nil {
				t.Errorf("the root holds %v, %v", got, err)
			}
			if got, err := d.List(t.Context(), "a=1/b"); !slices.Equal(got, []Entry{{"c.x", false}, {"c.y", false}}) || err != nil {
				t.Errorf("a folder holds %v, %v", got, err)
			}
			if got, err := d.List(t.Context(), "none"); len(got) > 0 || err != nil {
				t.Errorf("no folder holds %v, %v", got, err)
			}
			for _, name := range []string{"../x", "/x", "a/../../x", "a//b"} {
				if err := put(name, "x"); err == nil || errors.Is(err, fs.ErrExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if left, err := os.ReadDir(filepath.Join(d.root, tempFolder)); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// Of many that put the same name, one does.
func TestDirPutsOnce(t *testing.T) {
	d, _ := openDir(t)
	var done atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			err := d.PutIfAbsent(t.Context(), "x/y", []byte{byte(i)})
			if err == nil {
				done.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 {
		t.Errorf("%d put it", done.Load())
	}
}

// What a crash left half written is removed when it is old, and never seen.
func TestDirSweeps(t *testing.T) {
	d, r := openDir(t)
	torn, fresh := filepath.Join(d.root, tempFolder, "put-1"), filepath.Join(d.root, tempFolder, "put-2")
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(torn, []byte("half"), 0o600), os.WriteFile(fresh, []byte("half"), 0o600), os.Chtimes(torn, old, old)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(d.root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(torn); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the torn file: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("another process's file: %v", err)
	}
	if n, err := r.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("Count = %d, %v", n, err)
	}
}

func TestDirCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(file); err == nil {
		t.Error("a file is no folder")
	}
	d, _ := openDir(t)
	if err := os.WriteFile(filepath.Join(d.root, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.PutIfAbsent(t.Context(), "a/b", nil); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("below a file: %v", err)
	}
}
