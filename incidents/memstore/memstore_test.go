package memstore_test

import (
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/memstore"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Suite(t, func(*testing.T) func() incidents.Store {
		s := memstore.New()
		return func() incidents.Store { return s }
	})
}
