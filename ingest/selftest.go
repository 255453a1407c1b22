package ingest

import (
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
)

// TestDatasets runs the tests inside the units with a normaliser of its own.
func TestDatasets(o Options) []datasets.TestResult {
	n := NewNormalizer(o)
	e := event.New(n.schema)
	return o.Datasets.Test(func(name string, rec *event.Record, each func(*event.Event)) error {
		return n.NormalizeAs(name, rec, e, each)
	})
}
