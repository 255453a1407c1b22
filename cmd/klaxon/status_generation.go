package main

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"time"
)

// Generation is what a process decides by, and how the last attempt to replace it ended.
type Generation struct {
	Hash     string    `json:"hash"` // of all files that it was made from
	Loaded   time.Time `json:"loaded,omitzero"`
	Rules    int       `json:"rules"`
	Datasets int       `json:"datasets"`
	Lists    int       `json:"lists"`
	Failed   string    `json:"failed,omitempty"` // why the files on disk are not in force; "" while they are
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// using is the generation in force.
func (a *app) using() Generation {
	l := a.loaded.get()
	g := Generation{Hash: l.short(), Loaded: l.at.UTC(), Rules: len(l.Rules.Rules()), Datasets: len(l.datasets.List()), Lists: len(l.lists.Names()), Failed: a.loaded.trouble()}
	if g.Failed != "" {
		g.FailedAt = fromMilli(a.stats.generation.Changed.Load())
	}
	return g
}

// hashOf is the short hash of a text.
func hashOf(data []byte) string {
	h := sha256.New()
	h.Write(data)
	return shortHash(h)
}

// shortHash is enough of a hash to tell states of files apart that nobody chose to look alike.
func shortHash(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:12] }
