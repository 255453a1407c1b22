package main

import (
	"cmp"
	"maps"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"
)

// statusReport is the answer of /status. Its names are stable: docs/operations.md lists them.
type statusReport struct {
	Ready        bool                `json:"ready"`
	Stopping     bool                `json:"stopping"`
	Time         time.Time           `json:"time"`
	Version      string              `json:"version"`
	Started      time.Time           `json:"started,omitzero"` // when the loops began
	Roles        []string            `json:"roles"`
	Parts        map[string]string   `json:"parts"` // why each part is not ready; "" is ready
	ConfigHash   string              `json:"config_hash"`
	Generation   Generation          `json:"generation"`
	Loops        []loopStatus        `json:"loops"`
	Destinations []destinationStatus `json:"destinations"`
	Store        *storeStatus        `json:"store,omitempty"`
	Memory       memoryStatus        `json:"memory"`
	Disks        []disk              `json:"disks"`
	Errors       []lastError         `json:"errors"` // of the log, the newest first
}

// loopStatus is a loop that reads Kafka.
type loopStatus struct {
	Name              string           `json:"name"`
	Group             string           `json:"group"`
	Owned             int64            `json:"owned"` // partitions, or shards of detect
	Records           int64            `json:"records"`
	Lag               int64            `json:"lag"`
	LagByTopic        map[string]int64 `json:"lag_by_topic,omitempty"`
	OldestUncommitted time.Time        `json:"oldest_uncommitted,omitzero"`
}

// destinationStatus is somebody who is told. Waiting, Parked and Oldest are the store's, the rest is this process's.
type destinationStatus struct {
	Name         string    `json:"name"`
	Due          int64     `json:"due"`  // counts to 100
	Held         bool      `json:"held"` // this is the process that delivers to it
	BreakerOpen  bool      `json:"breaker_open"`
	Waiting      int64     `json:"waiting"`
	Parked       int64     `json:"parked"`
	Oldest       time.Time `json:"oldest,omitzero"` // when the oldest that waits was written
	Delivered    int64     `json:"delivered"`
	Failures     int64     `json:"failures"`
	LastDelivery time.Time `json:"last_delivery,omitzero"`
}

type storeStatus struct {
	Name          string           `json:"name"`
	OpenIncidents int64            `json:"open_incidents"`
	Errors        map[string]int64 `json:"errors"` // by what the store was called for
}

type memoryStatus struct {
	UsedBytes     int64 `json:"used_bytes"`
	LimitBytes    int64 `json:"limit_bytes,omitempty"` // 0: none
	DetectorBytes int64 `json:"detector_bytes"`
	DetectorKeys  int64 `json:"detector_keys"`
}

// statusErrors is how many errors a status shows.
const statusErrors = 20

// ready is what /readyz says.
func (a *app) ready() readiness {
	stopping, parts := a.state.stopping(), a.state.get()
	r := readiness{Ready: !stopping && len(unready(parts)) == 0, Stopping: stopping, Parts: parts, Notes: a.notes()}
	for part, why := range parts {
		parts[part] = a.hide.Replace(why)
	}
	return r
}

// summary is the state in one line.
func (a *app) summary() string {
	r := a.ready()
	switch {
	case r.Stopping:
		return "stopping"
	case r.Ready:
		return "ready"
	}
	var why []string
	for _, part := range unready(r.Parts) {
		why = append(why, part+": "+r.Parts[part])
	}
	return "not ready: " + strings.Join(why, "; ")
}

// status is what /status says.
func (a *app) status() statusReport {
	r := a.ready()
	s := statusReport{Ready: r.Ready, Stopping: r.Stopping, Time: time.Now().UTC(), Version: readBuildInfo().Version, Started: fromMilli(a.stats.start.Load()), Roles: a.cfg.Roles, Parts: r.Parts,
		ConfigHash: a.cfg.Hash, Generation: a.using(), Loops: a.loopStatus(), Destinations: a.destinationStatus(), Memory: a.memoryStatus(), Disks: a.stats.disks.get(), Errors: a.lastErrors()}
	if name := a.stats.store.getName(); name != "" {
		s.Store = &storeStatus{name, a.stats.store.open(), a.stats.storeErrors.get()}
	}
	return s
}

func (a *app) lastErrors() []lastError {
	all := a.stats.log.last(statusErrors)
	for i := range all {
		all[i].Error = a.hide.Replace(all[i].Error)
	}
	return all
}

// fromMilli is a gauge's time; 0 is none.
func fromMilli(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (a *app) loopStatus() []loopStatus {
	out, prefix := []loopStatus{}, a.cfg.Kafka.Group+"."
	if a.has("archive") {
		for _, sink := range a.sinks {
			s, name := a.stats.archive[sink.name], "archive."+sink.name
			out = append(out, loopStatus{name, prefix + name, s.Partitions.Load(), s.Records.Load(), s.Lag.Load(), fewTopics(s.Lag.Topics()), fromMilli(s.OldestUncommitted.Load())})
		}
	}
	if a.has("match") {
		s := &a.stats.match
		out = append(out, loopStatus{"match", prefix + "match", s.Partitions.Load(), s.Records.Load(), s.Lag.Load(), fewTopics(s.Lag.Topics()), fromMilli(s.OldestUncommitted.Load())})
	}
	if a.has("detect") {
		s := &a.stats.detect
		out = append(out, loopStatus{"detect", prefix + "detect", s.Shards.Load(), s.Frames.Load(), s.Lag.Load(), nil, fromMilli(s.OldestUncommitted.Load())})
	}
	return out
}

func (a *app) destinationStatus() []destinationStatus {
	byName := map[string]destinationStatus{}
	if a.has("deliver") {
		for name, s := range a.stats.deliver {
			byName[name] = destinationStatus{Name: name, Due: s.Waiting.Load(), Held: a.stats.leases[name].Load() == 1, BreakerOpen: s.BreakerOpen.Load() == 1, Delivered: s.Delivered.Load(), Failures: s.Failures.Load(), LastDelivery: fromMilli(s.LastDelivery.Load())}
		}
	}
	for _, b := range a.stats.store.get().Outbox {
		d := byName[b.Destination]
		d.Name, d.Waiting, d.Parked, d.Oldest = b.Destination, b.Waiting, b.Parked, b.Oldest
		byName[b.Destination] = d
	}
	return append([]destinationStatus{}, slices.SortedFunc(maps.Values(byName), func(x, y destinationStatus) int { return cmp.Compare(x.Name, y.Name) })...)
}

// memoryStatus asks the runtime, which does not stop the world for it.
func (a *app) memoryStatus() memoryStatus {
	used := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(used)
	m := memoryStatus{UsedBytes: int64(used[0].Value.Uint64() - used[1].Value.Uint64()), DetectorBytes: a.stats.detect.MemoryBytes.Load(), DetectorKeys: a.stats.detect.Keys.Load()}
	if limit := debug.SetMemoryLimit(-1); limit < unlimited {
		m.LimitBytes = limit
	}
	return m
}
