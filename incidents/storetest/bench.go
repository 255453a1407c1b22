package storetest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// BenchmarkApply is one transaction with so many new alerts of so many incidents, told to two destinations. Open returns a new, empty
// store each time.
func BenchmarkApply(b *testing.B, open func(b *testing.B) incidents.Store) {
	for _, n := range []int{0, 1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b)
			defer s.Close()
			book := incidents.NewBook(s, incidents.Policy{Destinations: []incidents.Destination{
				{Name: "topic", Types: []string{incidents.TypeAlert}, Shadow: true}, {Name: "soc", Types: []string{incidents.TypeIncident}}}})
			st, err := book.Claim(b.Context(), 0, "T")
			if err != nil {
				b.Fatal(err)
			}
			made := 0
			b.ResetTimer()
			for i := range b.N {
				alerts := make([]alert.Alert, n)
				for j := range alerts {
					made++
					alerts[j] = benchAlert(made)
				}
				if err := book.Apply(b.Context(), start(), []incidents.ShardWrite{{Epoch: st.Epoch, Next: int64(i), TopicID: "T", Alerts: alerts}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(max(n, 1)), "us/alert")
		})
	}
}

// benchAlert is an alert like many.
func benchAlert(n int) alert.Alert {
	return alert.Alert{ID: alert.NewID(strconv.Itoa(n)), Revision: 1, Rule: alert.Rule{ID: "ssh-bruteforce", Title: "SSH password guessing", Mode: alert.Live},
		Tenant: "acme", Severity: alert.High, Title: "203.0.113.9: 40 failed SSH logins in a minute", Explanation: "40 events of source.ip 203.0.113.9 within 1m.",
		Incident: fmt.Sprint("ssh-bruteforce source.ip=", n%1000), Time: 1, First: 0, Last: 2, Count: 40, Events: make([]alert.Event, 8)}
}

// BenchmarkShards is one transaction that moves all 32 shards on, as every second has one, and what it costs to raise one alert then.
func BenchmarkShards(b *testing.B, open func(b *testing.B) incidents.Store) {
	s := open(b)
	defer s.Close()
	book := incidents.NewBook(s, incidents.Policy{})
	writes := make([]incidents.ShardWrite, 32)
	for i := range writes {
		st, err := book.Claim(b.Context(), int32(i), "T")
		if err != nil {
			b.Fatal(err)
		}
		writes[i] = incidents.ShardWrite{Shard: int32(i), Epoch: st.Epoch, TopicID: "T"}
	}
	b.ResetTimer()
	for n := range b.N {
		for i := range writes {
			writes[i].Next++
		}
		writes[n%32].Alerts = []alert.Alert{benchAlert(n)}
		if err := book.Apply(b.Context(), start(), writes); err != nil {
			b.Fatal(err)
		}
		writes[n%32].Alerts = nil
	}
}
