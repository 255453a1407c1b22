package main

import (
	"context"
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/blob"
)

// archiveSink is one archive: how to open a writer for a generation of its loop, and what must hold before.
type archiveSink struct {
	name      string
	first     bool // it writes the dead letters of what cannot be decoded
	every     time.Duration
	documents int
	prepare   func(context.Context) error // nil: nothing to prepare
	open      func() (pipeline.ArchiveSink, error)
}

// wireSinks makes the archives that the configuration names.
func (a *app) wireSinks() error {
	if c := a.cfg.Archive.Local; c != nil {
		dir, err := archive.OpenDir(c.Dir)
		if err != nil {
			return fmt.Errorf("archive.local: %w", err)
		}
		a.addSink(archiveSink{name: "local", every: c.Every, documents: 50_000, open: func() (pipeline.ArchiveSink, error) {
			return blob.New(blob.Config{Bucket: dir, Log: a.log})
		}})
	}
	return nil
}

func (a *app) addSink(s archiveSink) {
	s.first = len(a.sinks) == 0
	a.sinks = append(a.sinks, s)
	a.stats.archive[s.name] = &pipeline.ArchiveStats{}
}
