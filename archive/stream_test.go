package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// names is the names of the files of the documents' hour, without the zeros of offsets.
func (d *Dir) names(t *testing.T, like Document) []string {
	t.Helper()
	entries, err := d.List(t.Context(), keyFor(like).folder())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return out
}

func segmentFile(d *Dir, first Document, suffix string) string {
	return filepath.Join(d.root, filepath.FromSlash(keyFor(first).base(positionOf(first.ID), 0)+suffix))
}

// A topic that was made anew repeats offsets; its documents are others, and stand in a segment of another name.
func TestPutOfTopicMadeAnew(t *testing.T) {
	dir, r := openDir(t)
	before, after := doc(5, start, start, ""), doc(5, start+1000, start+1000, "")
	store(t, dir, before, doc(6, start, start, ""))
	for range 2 { // and again
		store(t, dir, after)
	}
	if got := dir.names(t, before); len(got) != 4 || !strings.HasPrefix(got[2], "logs-0-00000000000000000005.") {
		t.Errorf("files %v", got)
	}
	if got, _ := offsets(t, r, Query{}); len(got) != 3 {
		t.Errorf("found %v", got)
	}
}

// Damage of what is there costs at most a document twice, never one that is missing.
func TestPutBesideDamage(t *testing.T) {
	tests := []struct {
		name string
		harm func(t *testing.T, d *Dir, first Document)
		want int // documents that are found
	}{
		{"no index", func(t *testing.T, d *Dir, first Document) { remove(t, segmentFile(d, first, indexSuffix)) }, 4},
		{"a torn index", func(t *testing.T, d *Dir, first Document) {
			change(t, segmentFile(d, first, indexSuffix), func(b []byte) []byte { return b[:9] })
		}, 4},
		{"a segment that is garbage", func(t *testing.T, d *Dir, first Document) {
			remove(t, segmentFile(d, first, indexSuffix))
			change(t, segmentFile(d, first, dataSuffix), func([]byte) []byte { return []byte("garbage") })
		}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, r := openDir(t)
			docs := []Document{doc(5, start, start, ""), doc(6, start+1, start+1, ""), doc(7, start+2, start+2, ""), doc(8, start+3, start+3, "")}
			store(t, dir, docs[:2]...)
			tt.harm(t, dir, docs[0])
			store(t, dir, docs...)
			if got, _ := offsets(t, r, Query{}); len(got) != tt.want {
				t.Errorf("found %v", got)
			}
			store(t, dir, docs...)
			if got, _ := offsets(t, r, Query{}); len(got) != tt.want {
				t.Errorf("a second replay: found %v", got)
			}
		})
	}
}

// An index that a crash left out is made anew by the next writer.
func TestPutRepairsIndex(t *testing.T) {
	dir, _ := openDir(t)
	docs := []Document{doc(5, start, start, ""), doc(6, start, start, "")}
	store(t, dir, docs...)
	index := segmentFile(dir, docs[0], indexSuffix)
	want, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, index)
	store(t, dir, docs[1])
	if got, err := os.ReadFile(index); err != nil || string(got) != string(want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// Large documents make several segments, and what a caller gave is left as it was.
func TestPutCutsSegments(t *testing.T) {
	dir, r := openDir(t)
	var docs []Document
	for i := range int64(5) {
		docs = append(docs, doc(4-i, start, start, fmt.Sprintf(`"message":%q`, strings.Repeat("x", 7<<20))))
	}
	store(t, dir, docs...)
	if got := dir.names(t, docs[0]); len(got) != 6 || docs[0].ID.Offset != 4 {
		t.Errorf("files %v", got)
	}
	if n, err := r.Count(t.Context()); n != 5 || err != nil {
		t.Errorf("Count = %d, %v", n, err)
	}
}

func TestPutFails(t *testing.T) {
	dir, _ := openDir(t)
	w, err := NewWriter(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := doc(1, start, start, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := w.Stream(keyFor(d)).Put(ctx, []Document{d}); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %d, %v", n, err)
	}
	// A folder that stands where the segment belongs is nothing that can be waited for; it is said.
	if err := os.MkdirAll(segmentFile(dir, d, dataSuffix), 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Stream(keyFor(d)).Put(t.Context(), []Document{d}); err == nil || n != 0 {
		t.Errorf("Put: %d, %v", n, err)
	}
}
