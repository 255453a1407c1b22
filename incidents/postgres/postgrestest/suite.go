// Package postgrestest is what every PostgreSQL has to do for incidents/postgres: the contract of stores, and what only a server can do to
// one. It is run against real servers.
package postgrestest

import (
	"context"
	"net/url"
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

// Suite runs the tests against the server at an address, as its superuser. It makes databases and users of its own and removes them. CA is
// the authority of its certificate for localhost; "" leaves out what needs one.
func Suite(t *testing.T, address, ca string) {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: u, ca: ca}
	t.Run("contract", func(t *testing.T) {
		database := s.database(t, "")
		storetest.Suite(t, func(t *testing.T) func() incidents.Store {
			at := s.schema(t, database).String()
			return func() incidents.Store {
				store, err := postgres.Open(context.Background(), postgres.Config{URL: at})
				if err != nil {
					t.Fatal(err)
				}
				return store
			}
		})
	})
	for _, one := range []struct {
		name string
		run  func(*testing.T, *server)
	}{
		{"opened by many at once", openedAtOnce},
		{"open existing", openExisting},
		{"refuses", refuses},
		{"tls", overTLS},
		{"a process that stands still in a transaction", standsStill},
		{"a connection that is cut", cut},
		{"a server that answers nothing", silent},
		{"connections are bounded", bounded},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			one.run(t, s)
		})
	}
}
