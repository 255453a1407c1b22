package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
)

func TestHashOfSources(t *testing.T) {
	hash := func(rules, lists fstest.MapFS) string {
		t.Helper()
		h, err := (&sources{rules: []fs.FS{rules}, lists: []fs.FS{lists}}).hash()
		if err != nil || len(h) != 12 {
			t.Fatalf("%q, %v", h, err)
		}
		return h
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	first := hash(fstest.MapFS{"a.yaml": file("x")}, fstest.MapFS{})
	if again := hash(fstest.MapFS{"a.yaml": file("x"), ".git/HEAD": file("y"), ".a.swp": file("z")}, fstest.MapFS{}); again != first {
		t.Error("hidden files count")
	}
	for name, other := range map[string]string{
		"content": hash(fstest.MapFS{"a.yaml": file("y")}, fstest.MapFS{}), "name": hash(fstest.MapFS{"b.yaml": file("x")}, fstest.MapFS{}),
		"kind": hash(fstest.MapFS{}, fstest.MapFS{"a.yaml": file("x")}), "another": hash(fstest.MapFS{"a.yaml": file("x"), "b.yaml": file("")}, fstest.MapFS{}),
	} {
		if other == first {
			t.Errorf("%s makes no difference", name)
		}
	}
}

// TestHashFollowsLinks: a folder that Kubernetes mounts from a ConfigMap holds links.
func TestHashFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "..data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "..data", "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := (&sources{rules: dirs([]string{dir})}).hash()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if err := os.Symlink(filepath.Join("..data", "a.yaml"), filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if write("one") == write("two") {
		t.Error("what a link leads to makes no difference")
	}
	if _, err := (&sources{rules: dirs([]string{filepath.Join(dir, "nowhere")})}).hash(); err == nil {
		t.Error("a folder that is not there has a hash")
	}
}

func TestGenerations(t *testing.T) {
	cfg := defaultConfig()
	l, err := loadOrExplain(cfg.sources())
	if err != nil {
		t.Fatal(err)
	}
	var g generations
	at := time.Unix(1000, 0)
	g.loaded(l, "abc", at)
	if got := g.get(); got.Hash != "abc" || !got.Loaded.Equal(at) || got.Rules < 20 || got.Datasets < 5 || got.Lists < 3 || got.Failed != "" {
		t.Errorf("%+v", got)
	}
	g.failed("r.yaml:1:1: no", at.Add(time.Minute))
	if got := g.get(); got.Hash != "abc" || got.Failed == "" || !got.FailedAt.Equal(at.Add(time.Minute)) {
		t.Errorf("a failed reload: %+v", got)
	}
	g.loaded(l, "def", at.Add(time.Hour))
	if got := g.get(); got.Hash != "def" || got.Failed != "" || !got.FailedAt.IsZero() {
		t.Errorf("a reload that succeeded: %+v", got)
	}
}
