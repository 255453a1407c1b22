package main

import (
	"path/filepath"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// StoreConfig says where incidents, the outbox and checkpoints are.
type StoreConfig struct{ Path string }

func (r configReader) store(n diag.Node, c *StoreConfig) {
	c.Path = filepath.Join(r.dir, c.Path)
	if m, ok := n.Map(); ok {
		set(&c.Path, r.path(m.Get("path")))
		m.Done()
	}
}
