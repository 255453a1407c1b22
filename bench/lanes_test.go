package bench

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/traffic"
)

// Numbers are per core, so there is one: the garbage collector's work counts too. The flag -cpu overrides it.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// seed decides the traffic: other numbers than those of this seed cannot be compared with the recorded ones.
const seed = 20261124

// perBatch is how many records a batch holds, as a fetch brings them.
const perBatch = 1000

// batches is how many of them a lane goes round in.
const batches = 16

func start() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }

// lane is traffic of one kind: batches of one partition each.
type lane struct {
	name    string
	batches []*event.Batch
	bytes   int // of all values
}

// lanes is the mix as it comes, topic by topic as fetches bring it, and each topic alone.
func lanes() []lane {
	named := []lane{{name: "mixed"}, {name: "nginx"}, {name: "sshd"}, {name: "cloudtrail"}, {name: "app"}}
	topics := []string{traffic.TopicNginx, traffic.TopicAuth, traffic.TopicCloudTrail, traffic.TopicApp}
	filling := map[string]*event.Batch{}
	full := func() bool {
		return !slices.ContainsFunc(named, func(l lane) bool { return len(l.batches) < batches })
	}
	gen := traffic.New(traffic.Options{Seed: seed, Start: start(), Rate: 2000, Duration: 8 * time.Second})
	for !full() {
		m := gen.Next()
		if !slices.Contains(topics, m.Topic) || bytes.Contains(m.Value, []byte("; COMMAND=")) {
			continue // the programs that are compared know four kinds of log, and sudo is not among them
		}
		b := filling[m.Topic]
		if b == nil {
			b = &event.Batch{Source: event.Source{Topic: m.Topic}, Partitions: 1}
			filling[m.Topic] = b
		}
		b.Records = append(b.Records, event.Record{Source: b.Source, Offset: b.First + int64(len(b.Records)), Time: m.Time.UnixMilli(), Key: m.Key, Value: m.Value,
			Headers: []event.Header{{Key: traffic.TenantHeader, Value: []byte(m.Headers[traffic.TenantHeader])}}})
		b.Bytes += len(m.Value)
		if len(b.Records) < perBatch {
			continue
		}
		b.Next = b.First + perBatch
		b.End = b.Next
		filling[m.Topic] = &event.Batch{Source: b.Source, Partitions: 1, First: b.Next}
		for _, l := range []*lane{&named[0], &named[1+slices.Index(topics, m.Topic)]} {
			if len(l.batches) < batches {
				l.batches = append(l.batches, b)
				l.bytes += b.Bytes
			}
		}
	}
	return named
}
