package ingest

import (
	"maps"

	"github.com/klaxonhq/klaxon/ingest/datasets"
)

// DatasetStats counts what became of the records of one dataset, since the normaliser was made.
type DatasetStats struct {
	Dataset        string
	Events         uint64 // handed on
	PipelineErrors uint64 // of those, lines that no pattern fits
	ArchiveOnly    uint64 // of those, archived without being evaluated
	BadFields      uint64 // of those, events with a value that did not convert
	ClockSkew      uint64 // of those, events whose clock is far off
	InvalidUTF8    uint64 // of those, events that are not UTF-8
	TooManyValues  uint64 // of those, events that lost values because they had too many
	Dropped        uint64 // events that the dataset declares as dropped
}

// Stats counts what a normaliser did since it was made.
type Stats struct {
	Records     uint64
	Redacted    uint64 // values taken out
	Datasets    []DatasetStats
	DeadLetters map[string]uint64 // by reason
}

type stats struct {
	records, redacted uint64
	datasets          []DatasetStats // by the dataset's index; the last is text that no dataset claims
	dead              map[string]uint64
}

func (s *stats) of(d *datasets.Dataset) *DatasetStats {
	if d == nil {
		return &s.datasets[len(s.datasets)-1]
	}
	return &s.datasets[d.Index()]
}

// Stats is a copy of the counters; datasets without records are left out. Not safe while Normalize runs.
func (n *Normalizer) Stats() Stats {
	out := Stats{Records: n.stats.records, Redacted: n.stats.redacted, DeadLetters: maps.Clone(n.stats.dead)}
	for i, d := range n.stats.datasets {
		if d == (DatasetStats{}) {
			continue
		}
		d.Dataset = textDataset
		if all := n.set.All(); i < len(all) {
			d.Dataset = all[i].Name
		}
		out.Datasets = append(out.Datasets, d)
	}
	return out
}
