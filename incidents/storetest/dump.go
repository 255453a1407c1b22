package storetest

import (
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// Dump is everything that a store holds, but for shards.
type Dump struct {
	Incidents []incidents.Incident
	Timelines map[string][]incidents.Entry
	Evidence  map[string][]string // ids of alerts, by incident
	Alerts    []alert.Alert
	Messages  []incidents.Message // Seq is the place in this list
}

// Read reads all that a view shows.
func Read(v incidents.View) (Dump, error) {
	d := Dump{Timelines: map[string][]incidents.Entry{}, Evidence: map[string][]string{}}
	const all = 10_000
	var err error
	if d.Incidents, err = v.Incidents(incidents.Filter{Limit: all}); err != nil {
		return d, err
	}
	for _, in := range d.Incidents {
		if d.Timelines[in.ID], err = v.Entries(in.ID, all); err != nil {
			return d, err
		}
		alerts, err := v.Alerts(incidents.AlertFilter{Incident: in.ID, Limit: all})
		if err != nil {
			return d, err
		}
		for _, a := range alerts {
			d.Evidence[in.ID] = append(d.Evidence[in.ID], a.ID)
		}
	}
	if d.Alerts, err = v.Alerts(incidents.AlertFilter{Limit: all}); err != nil {
		return d, err
	}
	d.Messages, err = v.Messages(incidents.MessageFilter{Limit: all})
	for i := range d.Messages {
		d.Messages[i].Seq = int64(i + 1)
	}
	return d, err
}

func (f *fixture) dump() (d Dump) {
	f.Helper()
	f.must(f.store.View(f.ctx(), func(v incidents.View) (err error) {
		d, err = Read(v)
		return err
	}))
	return d
}
