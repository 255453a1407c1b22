package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"
)

// Generation is what a process decides by, and how the last attempt to replace it ended.
type Generation struct {
	Hash     string    `json:"hash"` // of all files that it was made from
	Loaded   time.Time `json:"loaded,omitzero"`
	Rules    int       `json:"rules"`
	Datasets int       `json:"datasets"`
	Lists    int       `json:"lists"`
	Failed   string    `json:"failed,omitempty"` // why the last reload failed; "" when it succeeded or there was none
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// generations knows the generation of a running process. Its zero value knows of none. It is safe for concurrent use.
type generations struct {
	mu  sync.Mutex
	now Generation
}

// loaded says that a generation is in use, which ends what was said of an attempt that failed.
func (g *generations) loaded(l *loaded, hash string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = Generation{Hash: hash, Loaded: at, Rules: len(l.Rules.Rules()), Datasets: len(l.datasets.List()), Lists: len(l.lists.Names())}
}

// failed says why the generation in use could not be replaced.
func (g *generations) failed(why string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.Failed, g.now.FailedAt = why, at
}

func (g *generations) get() Generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

// hash tells one state of the files of datasets, rules and lists from another. Hidden files and folders do not count.
func (s *sources) hash() (string, error) {
	h := sha256.New()
	for _, trees := range [][]fs.FS{s.datasets, s.rules, s.lists} {
		for i, tree := range trees {
			fmt.Fprintf(h, "tree %d\n", i)
			if err := hashTree(h, tree); err != nil {
				return "", err
			}
		}
	}
	return shortHash(h), nil
}

func hashTree(h hash.Hash, tree fs.FS) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && name != "." {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := fs.Stat(tree, name) // a link counts as what it leads to
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		fmt.Fprintf(h, "file %q %d\n", name, info.Size())
		f, err := tree.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		return errors.Join(err, f.Close())
	})
}

// shortHash is enough of a hash to tell states of files apart that nobody chose to look alike.
func shortHash(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:12] }
