package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

// diskEvery is how often free space is looked at.
const diskEvery = 30 * time.Second

// disk is the file system where a folder of klaxon's is.
type disk struct {
	Folder    string `json:"folder"` // what it is for: archive or store
	Path      string `json:"path"`
	FreeBytes int64  `json:"free_bytes"`
	SizeBytes int64  `json:"size_bytes"`
	Low       bool   `json:"low"` // less is free than limits.disk_free says
}

// disks is what was last found of the folders that klaxon writes to. Its zero value has none.
type disks struct {
	mu  sync.Mutex
	all []disk
}

func (d *disks) get() []disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]disk{}, d.all...)
}

func (d *disks) free() map[string]float64 {
	return d.sizes(func(one disk) int64 { return one.FreeBytes })
}

func (d *disks) size() map[string]float64 {
	return d.sizes(func(one disk) int64 { return one.SizeBytes })
}

func (d *disks) sizes(of func(disk) int64) map[string]float64 {
	out := map[string]float64{}
	for _, one := range d.get() {
		out[one.Folder] = float64(of(one))
	}
	return out
}

// folders is where this process writes, by what for.
func (a *app) folders() map[string]string {
	out := map[string]string{}
	if a.has("archive") && a.cfg.Archive.Local != nil {
		out["archive"] = a.cfg.Archive.Local.Dir
	}
	if a.needsStore() && a.cfg.Store.Postgres == nil {
		out["store"] = filepath.Dir(a.cfg.Store.Path)
	}
	return out
}

// watchDisks looks at free space until ctx ends, and warns while there is little.
func (a *app) watchDisks(ctx context.Context) {
	for {
		a.lookAtDisks(diskSpace)
		select {
		case <-ctx.Done():
			return
		case <-time.After(diskEvery):
		}
	}
}

func (a *app) lookAtDisks(space func(path string) (free, size int64, err error)) {
	var all []disk
	for _, folder := range []string{"archive", "store"} {
		path := a.folders()[folder]
		if path == "" {
			continue
		}
		free, size, err := space(path)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			a.log.Warn("cannot see how much space is free", zap.String("path", path), zap.Error(err))
			continue
		}
		one := disk{Folder: folder, Path: path, FreeBytes: free, SizeBytes: size, Low: free < int64(a.cfg.Limits.DiskFree)}
		if all = append(all, one); one.Low {
			a.log.Warn("little space is left: when none is, the "+folder+" stands still until there is some again",
				zap.String("path", path), zap.String("hint", fmt.Sprintf("free some, or lower limits.disk_free, which is %s", byteText(int64(a.cfg.Limits.DiskFree)))), zap.Int64("free_bytes", free))
		}
	}
	a.stats.disks.mu.Lock()
	defer a.stats.disks.mu.Unlock()
	a.stats.disks.all = all
}
