package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

func newStore(b *testing.B) incidents.Store { return open(b, filepath.Join(b.TempDir(), "klaxon.db")) }

func BenchmarkApply(b *testing.B) { storetest.BenchmarkApply(b, newStore) }

func BenchmarkShards(b *testing.B) { storetest.BenchmarkShards(b, newStore) }
