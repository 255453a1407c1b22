package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// A record of the greatest size, made to be slow to read, is read in linear time by every dataset.
func TestHostileRecordsAreReadInLinearTime(t *testing.T) {
	set := shipped(t)
	n := NewNormalizer(Options{Datasets: set})
	e := event.New(set.Schema())
	for _, unit := range []string{" [", " from 1.2.3.4 port 22", ` "x" `, ` [10/Oct/2026:13:55:36 +0000] "x" 1 1`, "\\", "[", " ", "-", "1.2.3.4 ", "<13>", ", client: ", " ; USER="} {
		for _, prefix := range []string{"", "Failed password for ", "Invalid user ", "1.2.3.4 - x", "2026/10/10 13:55:36 [error] 1#1: *1 x", "<13>Oct 10 13:55:36 h sudo: a : b ; TTY=c ; PWD="} {
			line := prefix + strings.Repeat(unit, (DefaultMaxBytes-len(prefix))/len(unit))
			for _, d := range append(set.All(), nil) {
				name := ""
				if d != nil {
					name = d.Name
				}
				if testing.Short() && name != "" && name != "system.auth" {
					continue
				}
				begin := time.Now()
				_ = n.NormalizeAs(name, &event.Record{Value: []byte(line), Time: now}, e, func(*event.Event) {})
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("%s: %q and many of %q take %v", name, prefix, unit, d)
				}
			}
		}
	}
}
