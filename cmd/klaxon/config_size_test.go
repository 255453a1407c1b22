package main

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "64 MiB": 64 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40, "12B": 12, "4KiB": 4096} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "1.5GiB", "64MB", "64mib", "1e9", "GiB", "9999999999999GiB", "1  KiB", "0x10"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 3 << 40: "3 TiB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestSizesAreReadAsTheyAreWritten: what an error suggests can be written into the file.
func TestSizesAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1023).Draw(t, "n") << (10 * rapid.IntRange(0, 4).Draw(t, "unit"))
		if got, ok := parseSize(byteText(n)); !ok || got != n {
			t.Fatalf("%d is written %s and read %d", n, byteText(n), got)
		}
	})
}

func TestLimitsInConfig(t *testing.T) {
	c, list := parse(t, smallConfig+"limits: {memory: 1GiB, record_bytes: 2MiB, fetch_bytes: 33554432, queue_bytes: 16MiB, disk_free: 10 GiB}\n", noEnv)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Limits, (LimitsConfig{Memory: 1 << 30, RecordBytes: 2 << 20, FetchBytes: 32 << 20, QueueBytes: 16 << 20, DiskFree: 10 << 30, Drain: defaultConfig().Limits.Drain}); got != want {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"limits: {memory: lots}":           "limits.memory: must be a number of bytes",
		"limits: {memory: [1]}":            "limits.memory: must be a number of bytes",
		"limits: {memory: 64MiB}":          "limits.memory: must be between 128 MiB and",
		"limits: {record_bytes: 1}":        "limits.record_bytes: must be between 1 KiB and 1 GiB",
		"limits: {memory: 128MiB}":         "limits.memory: is less than the 896 MiB that the other limits allow",
		"limits: {disk_free: 10%}":         "limits.disk_free: must be a number of bytes",
		"detect: {max_bytes_per_shard: 1}": "detect.max_bytes_per_shard: must be between 1 MiB and 64 GiB",
	} {
		if _, list := parse(t, smallConfig+text+"\n", noEnv); !strings.Contains(fmt.Sprint(list), want) {
			t.Errorf("%s: %q is not in\n%s", text, want, list)
		}
	}
}
