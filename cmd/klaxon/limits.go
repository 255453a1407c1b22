package main

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// memoryShare is how much of the control group's limit the Go runtime may use: what it does not count (stacks of the kernel, the
// page cache's dirty pages, fragmentation) has to fit too.
const memoryShare = 0.9

// limitMemory makes the garbage collector work harder as the process comes near its limit, instead of being killed there. The
// configuration says how much that is, else GOMEMLIMIT, which the runtime has read already, else the control group. 0 is no limit.
func limitMemory(c *Config, log *zap.Logger, root string) int64 {
	limit, from := int64(c.Limits.Memory), "limits.memory"
	switch group := groupMemory(root); {
	case limit > 0:
	case os.Getenv("GOMEMLIMIT") != "":
		if limit, from = debug.SetMemoryLimit(-1), "GOMEMLIMIT"; limit == math.MaxInt64 {
			return 0 // GOMEMLIMIT=off
		}
	case group > 0:
		limit, from = int64(float64(group)*memoryShare), "the control group"
	default:
		return 0
	}
	debug.SetMemoryLimit(limit)
	if need := c.memoryNeed(); limit < need {
		log.Warn("the memory limit is below what the other limits allow: when all of them are full, the process slows down",
			zap.String("from", from), zap.Int64("limit_bytes", limit), zap.Int64("need_bytes", need),
			zap.String("hint", "raise it to "+byteText(need)+", or lower limits.fetch_bytes, limits.queue_bytes or detect.max_bytes_per_shard"))
	}
	return limit
}

// groupMemory is the least memory limit of the control groups that the process is in, 0 if there is none. Root is where the
// system's files are.
func groupMemory(root string) int64 {
	data, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0": // the second version: one hierarchy
			least = leastLimit(least, filepath.Join(root, "sys/fs/cgroup"), parts[2], "memory.max")
		case strings.Contains(","+parts[1]+",", ",memory,"):
			least = leastLimit(least, filepath.Join(root, "sys/fs/cgroup/memory"), parts[2], "memory.limit_in_bytes")
		}
	}
	return least
}

// leastLimit looks at a group and at those that it is in. In a container its own group may look like the root.
func leastLimit(least int64, mount, group, file string) int64 {
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		data, err := os.ReadFile(filepath.Join(mount, group, file))
		if n, bad := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && bad == nil && n > 0 && n < unlimited && (least == 0 || n < least) {
			least = n
		}
		if group == "/" {
			return least
		}
	}
}

// unlimited is more than any machine has: the first version of control groups says so where there is no limit.
const unlimited = 1 << 60

// fewFiles is how many open files are few: a connection for each broker and loop, for each node of Elasticsearch and each
// destination, files of the archive and of the store, and those that Go needs to look up names.
const fewFiles = 1024

// checkFiles warns before the process runs out of files in the middle of its work.
func checkFiles(log *zap.Logger, limit func() (uint64, bool)) {
	if n, ok := limit(); ok && n < fewFiles {
		log.Warn("the process may open few files, and would fail in the middle of its work", zap.Uint64("files", n),
			zap.String("hint", "allow at least 1024: ulimit -n, LimitNOFILE= in the systemd unit, or the container's ulimits"))
	}
}
