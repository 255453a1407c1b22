package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// BenchmarkApply is one transaction with so many new alerts of so many incidents, told to two destinations.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{0, 1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "klaxon.db"))
			defer s.Close()
			book := incidents.NewBook(s, incidents.Policy{Destinations: []incidents.Destination{
				{Name: "topic", Types: []string{incidents.TypeAlert}, Shadow: true}, {Name: "soc", Types: []string{incidents.TypeIncident}}}})
			st, err := book.Claim(b.Context(), 0, "T")
			if err != nil {
				b.Fatal(err)
			}
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			made := 0
			b.ResetTimer()
			for i := range b.N {
				alerts := make([]alert.Alert, n)
				for j := range alerts {
					made++
					alerts[j] = alert.Alert{ID: alert.NewID(strconv.Itoa(made)), Revision: 1, Rule: alert.Rule{ID: "ssh-bruteforce", Title: "SSH password guessing", Mode: alert.Live},
						Tenant: "acme", Severity: alert.High, Title: "203.0.113.9: 40 failed SSH logins in a minute", Explanation: "40 events of source.ip 203.0.113.9 within 1m.",
						Incident: fmt.Sprint("ssh-bruteforce source.ip=", made%1000), Time: 1, First: 0, Last: 2, Count: 40, Events: make([]alert.Event, 8)}
				}
				if err := book.Apply(b.Context(), now, []incidents.ShardWrite{{Epoch: st.Epoch, Next: int64(i), TopicID: "T", Alerts: alerts}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(max(n, 1)), "us/alert")
		})
	}
}
