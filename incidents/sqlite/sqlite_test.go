package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) func() incidents.Store {
		path := filepath.Join(t.TempDir(), "klaxon.db")
		return func() incidents.Store { return open(t, path) }
	})
}
