package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/internal/traffic"
)

// summary is what a demo came to.
type summary struct {
	Seed        uint64         `json:"seed"`
	Seconds     float64        `json:"seconds"`
	Interrupted bool           `json:"interrupted"`
	Planted     []plantedCheck `json:"planted"`
	Unfinished  int            `json:"planted_not_over"`
	False       []falseAlert   `json:"false_alerts"`
	Produced    int64          `json:"records_in"`
	Archived    int64          `json:"records_archived"`
	Dead        int64          `json:"records_dead_lettered"`
	Dropped     int64          `json:"records_dropped"`
	Undecodable int64          `json:"records_undecodable"` // as they were made
	Documents   int64          `json:"documents_counted"`   // by reading the archive
	Repeated    int64          `json:"documents_repeated"`
	Damaged     int            `json:"archive_damages"`
	Expected    int64          `json:"documents_written"`
	Drained     bool           `json:"drained"`
	Alerts      int            `json:"alerts"`
	Incidents   int64          `json:"open_incidents"`
	Rate        float64        `json:"events_per_second"`
	P50Millis   float64        `json:"record_to_alert_p50_ms"`
	P99Millis   float64        `json:"record_to_alert_p99_ms"`
	LagReported int64          `json:"lag"`
}

type plantedCheck struct {
	Name   string   `json:"name"`
	Rule   string   `json:"rule"`
	Tenant string   `json:"tenant"`
	Caught bool     `json:"caught"`
	Alerts []string `json:"alerts,omitempty"`
}

type falseAlert struct {
	Rule   string `json:"rule"`
	Tenant string `json:"tenant"`
	Title  string `json:"title"`
	ID     string `json:"id"`
}

func (s *summary) missed() int {
	n := 0
	for _, p := range s.Planted {
		if !p.Caught {
			n++
		}
	}
	return n
}

func (s *summary) balanced() bool {
	return s.Drained && s.Produced == s.Archived+s.Dead+s.Dropped && s.Dead == s.Undecodable && s.whole()
}

// whole says whether the archive holds every document that was written, once.
func (s *summary) whole() bool {
	return s.Documents == s.Expected && s.Repeated == 0 && s.Damaged == 0
}

// summarise compares what was planted with what was raised, and what went in with what the archive holds.
func (d *demo) summarise(drained bool) error {
	s, err := d.sum(drained)
	if err != nil {
		return err
	}
	if d.cmd.JSON {
		err = json.NewEncoder(d.std.out).Encode(struct {
			Type string `json:"type"`
			*summary
		}{"summary", s})
	} else {
		printSummary(d.std.out, s)
		d.printMore()
	}
	switch {
	case err != nil:
		return err
	case s.missed() > 0 || len(s.False) > 0 || !s.balanced():
		return errFindings
	}
	return nil
}

func (d *demo) sum(drained bool) (*summary, error) {
	last := d.snapshot()
	s := &summary{False: []falseAlert{}, Seed: d.cmd.Seed, Seconds: d.stopped.Sub(d.began).Seconds(), Interrupted: d.interrupted, Produced: last.Produced, Undecodable: d.undecodable, Drained: drained,
		LagReported: last.Lag, P50Millis: float64(last.P50.Microseconds()) / 1000, P99Millis: float64(last.P99.Microseconds()) / 1000}
	s.Rate = float64(last.Matched) / max(s.Seconds, 0.001)
	for _, a := range d.app.stats.archive {
		s.Archived, s.Dead, s.Dropped, s.Expected = a.Archived.Load(), a.DeadLettered.Load(), a.Dropped.Load(), a.Documents.Load()
	}
	n, err := countDocuments(context.Background(), d.app.cfg.Archive.Local.Dir)
	if err != nil {
		return nil, err
	}
	s.Documents, s.Repeated, s.Damaged = n.Documents, n.Repeated, len(n.Damages)
	if s.Incidents, err = openIncidents(d.app.cfg.Store.Path); err != nil {
		return nil, err
	}
	d.judge(s)
	return s, nil
}

// openIncidents counts in the store itself, when nobody writes to it any more.
func openIncidents(path string) (n int64, err error) {
	store, err := sqlite.OpenExisting(path)
	if err != nil {
		return 0, fmt.Errorf("cannot read the store back: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	tally, err := incidents.NewBook(store, incidents.Policy{}).Tally(context.Background())
	return tally.OpenIncidents(), err
}

// judge compares what was planted with what was raised.
func (d *demo) judge(s *summary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Alerts = len(d.alerts)
	explained := map[string]bool{}
	for _, p := range d.traffic.Planted() {
		if p.To.After(d.stopped) {
			s.Unfinished++
			continue
		}
		s.Planted = append(s.Planted, d.checkPlanted(&p, explained))
	}
	for _, id := range slices.Sorted(maps.Keys(d.alerts)) {
		if a := d.alerts[id]; !explained[id] && !d.ofUnfinished(a) {
			s.False = append(s.False, falseAlert{a.Rule.ID, a.Tenant, a.Title, id})
		}
	}
}

func (d *demo) checkPlanted(p *traffic.Attack, explained map[string]bool) plantedCheck {
	c := plantedCheck{Name: p.Name, Rule: p.Rule, Tenant: p.Tenant}
	for _, id := range slices.Sorted(maps.Keys(d.alerts)) {
		if a := d.alerts[id]; explains(p, a) {
			explained[id] = true
			if a.Rule.ID == p.Rule {
				c.Caught, c.Alerts = true, append(c.Alerts, id)
			}
		}
	}
	return c
}

// ofUnfinished says whether an alert is of an attack that was under way when the demo was stopped.
func (d *demo) ofUnfinished(a *alert.Alert) bool {
	return slices.ContainsFunc(d.traffic.Planted(), func(p traffic.Attack) bool { return p.To.After(d.stopped) && explains(&p, a) })
}

// explains says whether an alert is about a planted attack: its tenant, one of its rules, the attacker's own values, and its time.
func explains(p *traffic.Attack, a *alert.Alert) bool {
	if a.Last < p.From.Add(-time.Minute).UnixMilli() || a.First > p.To.Add(time.Minute).UnixMilli() {
		return false
	}
	key := map[string]string{}
	for _, f := range slices.Concat(a.Key, a.Fields) {
		if len(f.Values) == 0 {
			continue
		}
		key[f.Name] = f.Values[0]
		if want, ok := p.Key[f.Name]; ok && slices.Contains(f.Values, want) {
			key[f.Name] = want
		}
	}
	return p.Explains(a.Tenant, a.Rule.ID, key)
}

func printSummary(w io.Writer, s *summary) {
	fmt.Fprintf(w, "\nSeed %d, %.0f s of traffic", s.Seed, s.Seconds)
	if s.Interrupted {
		fmt.Fprint(w, ", interrupted")
	}
	fmt.Fprint(w, "\n\nPlanted attacks\n")
	for _, p := range s.Planted {
		word := "caught"
		if !p.Caught {
			word = "MISSED"
		}
		fmt.Fprintf(w, "  %s  %-10s %-48s rule %s\n", word, p.Tenant, plain(p.Name), p.Rule)
	}
	switch {
	case len(s.Planted) == 0:
		fmt.Fprintln(w, "  none was over yet")
	case s.Unfinished > 0:
		fmt.Fprintf(w, "  %d more were not over yet\n", s.Unfinished)
	}
	fmt.Fprintf(w, "\nFalse alerts: %d\n", len(s.False))
	for _, f := range s.False {
		fmt.Fprintf(w, "  %-10s %s: %s\n", plain(f.Tenant), f.Rule, plain(f.Title))
	}
	printBalance(w, s)
	fmt.Fprintf(w, "\nAlerts: %d. Open incidents: %d. Events per second: %.0f.\n", s.Alerts, s.Incidents, s.Rate)
	if s.Alerts > 0 {
		fmt.Fprintf(w, "From a record's own time to its alert in the store: half within %.1f ms, 99 of 100 within %.1f ms.\n", s.P50Millis, s.P99Millis)
	}
}

// printBalance says whether everything is accounted for.
func printBalance(w io.Writer, s *summary) {
	word := func(ok bool, yes, no string) string {
		if ok {
			return yes
		}
		return no
	}
	fmt.Fprintf(w, "\nRecords: %d written = %d archived + %d dead letters + %d dropped: %s\n", s.Produced, s.Archived, s.Dead, s.Dropped,
		word(s.Produced == s.Archived+s.Dead+s.Dropped, "balances", "DOES NOT BALANCE"))
	fmt.Fprintf(w, "Dead letters: %d, of %d records that were written broken: %s\n", s.Dead, s.Undecodable, word(s.Dead == s.Undecodable, "all of them and no others", "NOT THE SAME"))
	fmt.Fprintf(w, "Archive: read back, it holds %d documents of %d written, %d of them repeated: %s\n", s.Documents, s.Expected, s.Repeated,
		word(s.whole(), "each of them once", "NOT EACH OF THEM ONCE"))
	if s.Damaged > 0 {
		fmt.Fprintf(w, "DAMAGED: %d segments of the archive cannot be read\n", s.Damaged)
	}
	if !s.Drained {
		fmt.Fprintf(w, "NOT FINISHED: after %s something was still under way\n", demoDrain)
	}
}

// printMore says how to look further.
func (d *demo) printMore() {
	if d.cmd.Dir == "" {
		fmt.Fprintf(d.std.out, "\nThe data is gone. Keep it with --dir DIR, and look further:\n")
	} else {
		fmt.Fprintf(d.std.out, "\nLook further:\n")
	}
	dir := d.cmd.Dir
	if dir == "" {
		dir = "DIR"
	}
	for _, l := range []string{
		"klaxon incidents list --store " + filepath.Join(dir, "klaxon.db"),
		"klaxon incidents show ID --store " + filepath.Join(dir, "klaxon.db"),
		"klaxon search 'event.outcome == \"failure\"' --archive " + filepath.Join(dir, "archive"),
		"klaxon rules show ssh-bruteforce",
	} {
		fmt.Fprintln(d.std.out, "  "+strings.TrimSpace(l))
	}
}
