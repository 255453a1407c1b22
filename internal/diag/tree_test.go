package diag

import (
	"io/fs"
	"os"
	"path/filepath"
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
