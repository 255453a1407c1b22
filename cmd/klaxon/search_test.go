package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/sinks/blob"
)

// writeArchive makes an archive of n documents.
func writeArchive(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	bucket, err := archive.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := blob.New(blob.Config{Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).UnixMilli()
	for i := range n {
		id := event.ID{Topic: "logs", Offset: int64(i), Time: at}
		body := fmt.Sprintf(`{"@timestamp":"2026-11-24T10:00:00.000Z","klaxon":{"id":"%s","tenant":"acme"},"user":{"name":"u%d"}}`, id, i)
		sink.Add(&event.Document{ID: id, Tenant: "acme", Dataset: "text", Time: at, Received: at, Body: []byte(body)})
	}
	if rejected, err := sink.Flush(t.Context()); err != nil || len(rejected) > 0 {
		t.Fatal(rejected, err)
	}
	return dir
}

func searchIn(t *testing.T, dir string, c searchCmd) (lines int, stderr string, err error) {
	t.Helper()
	var out, told bytes.Buffer
	c.Where, c.Archive = "has(user.name)", dir
	err = c.Run(context.Background(), streams{nil, &out, &told})
	return strings.Count(out.String(), "\n"), told.String(), err
}

// TestSearchLimit: what is cut off is said to be, and nothing else.
func TestSearchLimit(t *testing.T) {
	dir := writeArchive(t, 5)
	for limit, c := range map[limit]struct {
		lines int
		told  string
	}{0: {5, ""}, 4: {4, "klaxon: stopped after 4; --limit 0 prints all\n"}, 5: {5, ""}, 6: {5, ""}} {
		if lines, told, err := searchIn(t, dir, searchCmd{Limit: limit}); lines != c.lines || told != c.told || err != nil {
			t.Errorf("--limit %d: %d lines, %q, %v", limit, lines, told, err)
		}
	}
	if lines, told, err := searchIn(t, dir, searchCmd{Limit: 2, Count: true}); lines != 1 || told != "" || err != nil {
		t.Errorf("--count: %d lines, %q, %v", lines, told, err)
	}
}

// TestSearchDamaged: what cannot be read is a finding, and what can is printed.
func TestSearchDamaged(t *testing.T) {
	dir := writeArchive(t, 5)
	damaged := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".zst") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		damaged++
		data[len(data)/2] ^= 0xff
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil || damaged == 0 {
		t.Fatal(damaged, err)
	}
	lines, told, err := searchIn(t, dir, searchCmd{})
	if lines != 0 || !strings.Contains(told, "is damaged") || !errors.Is(err, errFindings) {
		t.Errorf("%d lines, %q, %v", lines, told, err)
	}
}

// TestCountDocuments: documents are counted by reading them, and one that is there twice is seen.
func TestCountDocuments(t *testing.T) {
	dir := writeArchive(t, 100)
	n, err := countDocuments(t.Context(), dir)
	if err != nil || n.Documents != 100 || n.Repeated != 0 || len(n.Damages) != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	var segments []string
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "tenant=acme") {
			segments = append(segments, path)
		}
		return err
	})
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	if err := os.CopyFS(filepath.Join(dir, "tenant=again"), os.DirFS(filepath.Join(dir, "tenant=acme"))); err != nil {
		t.Fatal(err)
	}
	n, err = countDocuments(t.Context(), dir)
	if err != nil || n.Documents != 200 || n.Repeated != 100 {
		t.Errorf("%+v, %v", n, err)
	}
}
