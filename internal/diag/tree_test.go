package diag

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
)

func TestFilePath(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "sub", "a.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("a: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := Dir(folder)
	if data, err := fs.ReadFile(tree, "sub/a.yaml"); err != nil || string(data) != "a: 1\n" {
		t.Errorf("%q, %v", data, err)
	}
	if got := FilePath(tree, "sub/a.yaml"); got != file {
		t.Errorf("got %s, want %s", got, file)
	}
	if got := FilePath(fstest.MapFS{}, "sub/a.yaml"); got != "sub/a.yaml" {
		t.Errorf("got %s", got)
	}
}

// TestWalk walks a folder as Kubernetes mounts it: the files are links into a hidden folder, which must not be read a second time.
func TestWalk(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("..2026_11_25/b.yaml", "b")
	write("sub/a.yml", "a")
	write("c.yaml", "c")
	write(".c.yaml.swp", "no")
	write("README.md", "no")
	for link, target := range map[string]string{"..data": "..2026_11_25", "b.yaml": "..data/b.yaml", "gone.yaml": "..data/gone.yaml"} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	var list List
	var got []string
	Walk(Dir(folder), []string{".yaml", ".yml"}, &list, func(file string, data []byte) { got = append(got, file+"="+string(data)) })
	want := []string{filepath.Join(folder, "b.yaml") + "=b", filepath.Join(folder, "c.yaml") + "=c", filepath.Join(folder, "sub/a.yml") + "=a"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(list) != 1 || list[0].File != filepath.Join(folder, "gone.yaml") {
		t.Errorf("reported %v, want the link that leads nowhere", list)
	}
	Walk(Dir(filepath.Join(folder, "nowhere")), []string{".yaml"}, &list, func(string, []byte) { t.Error("a file of a folder that is not there") })
	if len(list) != 2 {
		t.Errorf("reported %v, want the missing folder too", list[1:])
	}
}
