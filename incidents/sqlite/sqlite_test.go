package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
)

func TestSmoke(t *testing.T) {
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "sub dir?#%", "klaxon.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := incidents.NewBook(s, incidents.Policy{Destinations: []incidents.Destination{{Name: "x", Types: []string{"alert", "incident"}}}})
	ctx := context.Background()
	st, err := b.Claim(ctx, 3, "T")
	t.Log(st, err)
	now := time.Now()
	a := alert.Alert{ID: alert.NewID("a"), Revision: 1, Rule: alert.Rule{ID: "r", Mode: alert.Live}, Tenant: "acme", Severity: alert.High, Title: "hello", Incident: "r x", Time: 1000, First: 500, Last: 2000}
	if err := b.Apply(ctx, now, []incidents.ShardWrite{{Shard: 3, Epoch: st.Epoch, Next: 5, TopicID: "T", Checkpoint: []byte("x"), Alerts: []alert.Alert{a}}}); err != nil {
		t.Fatal(err)
	}
	due, err := b.Due(ctx, "x", now, 10)
	for _, m := range due {
		t.Log(m.Seq, m.ID, m.Type, string(m.Body))
		if err := b.Sent(ctx, m, "ref", now); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.List(ctx, incidents.Filter{Open: true})
	t.Log(list, err)
	in, tl, al, err := b.Show(ctx, list[0].ID[:6])
	t.Log(in, tl, al, err)
	if _, err := b.Acknowledge(ctx, now, in.ID[:5], "joe"); err != nil {
		t.Fatal(err)
	}
	t.Log(b.Tally(ctx))
	_, _ = os.Stat, strings.Contains
}
