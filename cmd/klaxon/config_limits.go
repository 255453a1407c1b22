package main

import (
	"slices"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// What a process takes beside what its limits bound: the program with its rules and tables, and what an archive collects for one
// write. Measured with the shipped rules, and rounded up.
const (
	baseBytes    = 96 << 20
	archiveBytes = 32 << 20
	minMemory    = 128 << 20
)

func (r configReader) limits(m *diag.Map, c *Config) {
	r.size(m.Get("record_bytes"), &c.Limits.RecordBytes, 1<<10, 1<<30)
	r.size(m.Get("fetch_bytes"), &c.Limits.FetchBytes, 1<<10, 1<<40)
	r.size(m.Get("queue_bytes"), &c.Limits.QueueBytes, 1<<10, 1<<40)
	r.size(m.Get("disk_free"), &c.Limits.DiskFree, 0, 1<<50)
	memory := m.Get("memory")
	r.size(memory, &c.Limits.Memory, minMemory, 1<<50)
	if need := c.memoryNeed(); c.Limits.Memory > 0 && int64(c.Limits.Memory) < need {
		memory.Warnf("is less than the %s that the other limits allow", byteText(need)).Hint("raise it, or lower limits.fetch_bytes, limits.queue_bytes or detect.max_bytes_per_shard")
	}
	r.drain(m.Get("drain"), &c.Limits.Drain)
	m.Done()
}

// memoryNeed is about what the process takes at most when everything that is bounded is full. Roles must be known.
func (c *Config) memoryNeed() int64 {
	need, fetch := int64(baseBytes), int64(c.Limits.FetchBytes)
	if slices.Contains(c.Roles, "match") {
		need += fetch + int64(c.Limits.QueueBytes)
	}
	if slices.Contains(c.Roles, "detect") {
		need += fetch + hitShards*int64(c.Detect.MaxBytes)
	}
	if slices.Contains(c.Roles, "archive") {
		for _, on := range []bool{c.Archive.Local != nil, c.Archive.Elasticsearch != nil} {
			if on {
				need += fetch + archiveBytes
			}
		}
	}
	return need
}
