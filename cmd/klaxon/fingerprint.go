package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
	"github.com/klaxonhq/klaxon/rules"
)

// fingerprint is a hash of the names and contents of every file that a generation is made of. It is equal in all processes that
// have the same files under the same names, wherever their folders are.
func fingerprint(s sources, sums *fileSums) string {
	h := sha256.New()
	for _, kind := range []struct {
		trees      []fs.FS
		extensions []string
	}{{s.datasets, datasets.Extensions()}, {s.rules, rules.Extensions()}, {s.lists, lists.Extensions()}} {
		for _, tree := range kind.trees {
			var broken diag.List
			diag.Walk(tree, kind.extensions, &broken, func(file string, data []byte) { part(h, filepath.Base(file), data) })
			for _, d := range broken { // a file that cannot be read now may be readable later
				part(h, filepath.Base(d.File), []byte(d.Message))
			}
			part(h, "", nil)
		}
	}
	for _, f := range s.geoip {
		part(h, string(f.Kind), []byte(sums.of(f.Path)))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// part adds one file to a hash, so that no two lists of files give the same bytes.
func part(h hash.Hash, name string, data []byte) {
	fmt.Fprintf(h, "%d %d\n%s", len(name), len(data), name)
	_, _ = h.Write(data) // a hash takes everything
}

// fileSums are the hashes of files that are too large to be read every few seconds: they are read anew when their size or time of
// change is another one. The zero value is ready for use. It is not safe for concurrent use.
type fileSums struct{ known map[string]fileSum }

type fileSum struct {
	size    int64
	changed time.Time
	sum     string
}

// of is the hash of a file's content, or why it cannot be read.
func (f *fileSums) of(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	if k, ok := f.known[path]; ok && k.size == info.Size() && k.changed.Equal(info.ModTime()) {
		return k.sum
	}
	sum, err := sumFile(path)
	if err != nil {
		return err.Error()
	}
	if f.known == nil {
		f.known = map[string]fileSum{}
	}
	f.known[path] = fileSum{info.Size(), info.ModTime(), sum}
	return sum
}

func sumFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
