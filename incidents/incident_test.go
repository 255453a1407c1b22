package incidents

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"pgregory.net/rapid"
)

// TestJSON holds the documents that stores keep and others read: what is written comes back, by names that never change.
func TestJSON(t *testing.T) {
	in := sampleIncidents()[0]
	in.Title, in.Rules, in.ClosedAt, in.Reason = "t", []string{"r"}, in.OpenedAt.Add(time.Hour), "done"
	in.TitleFrom = TitleFrom{Alert: "a", Severity: alert.High, Time: 1}
	b, err := json.Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	var back Incident
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, back); diff != "" {
		t.Error(diff)
	}
	var names map[string]any
	if err := json.Unmarshal(b, &names); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range names {
		got = append(got, name)
	}
	slices.Sort(got)
	const want = "acknowledged_at alert_count closed_at episode evaluated_severity first_seen id key key_id last_seen more_rules opened_at owner peak_severity " +
		"reason revision rules severity state tenant timeline_count title title_from updated_at"
	if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
		t.Errorf("names: wanted -, got +:\n%s", diff)
	}
}

// TestRulesInAnyOrder: which rules an incident names does not depend on the order in which they joined.
func TestRulesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 2*maxRules).Draw(t, "rules")
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprint("r", i))
		}
		var in, other Incident
		for _, id := range ids {
			in.addRule(id)
		}
		for _, id := range rapid.Permutation(ids).Draw(t, "order") {
			other.addRule(id)
			other.addRule(id)
		}
		if diff := cmp.Diff(in, other); diff != "" {
			t.Fatal(diff)
		}
		if len(in.Rules) != min(n, maxRules) || in.MoreRules != (n > maxRules) || !slices.IsSorted(in.Rules) {
			t.Fatalf("%d of %d rules, more %v", len(in.Rules), n, in.MoreRules)
		}
	})
}

// TestTitleInAnyOrder: of alerts that say the same in any order, the same one gives the title.
func TestTitleInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alerts := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) alert.Alert {
			id := rapid.StringMatching(`[a-f]{2}`).Draw(t, "id")
			return alert.Alert{ID: id, Title: id, Severity: alert.Severity(rapid.IntRange(1, 4).Draw(t, "severity")), Time: rapid.Int64Range(0, 3).Draw(t, "time")}
		}), 1, 8, func(a alert.Alert) string { return a.ID }).Draw(t, "alerts")
		var in, other Incident
		for i := range alerts {
			in.title(&alerts[i])
		}
		for _, a := range rapid.Permutation(alerts).Draw(t, "order") {
			other.title(&a)
		}
		if in.Title != other.Title || in.TitleFrom != other.TitleFrom {
			t.Fatalf("%+v and %+v", in, other)
		}
	})
}

func TestEncodeAlertIsBounded(t *testing.T) {
	sample := json.RawMessage(`"` + strings.Repeat("s", 100<<10) + `"`)
	small := alert.Alert{ID: "a", Revision: 1, Severity: alert.Low, Events: []alert.Event{{ID: "e", Sample: sample}}}
	large := small
	large.Events = []alert.Event{{Sample: sample}, {Sample: sample}, {Sample: sample}}
	huge := large
	huge.Title, huge.Explanation, huge.Incident, huge.Rule.Runbook = string(sample), string(sample), string(sample), string(sample)
	for name, c := range map[string]struct {
		alert  alert.Alert
		events int
		whole  bool
	}{"small": {small, 1, true}, "large": {large, 3, false}, "huge": {huge, 0, false}} {
		b, err := encodeAlert(&c.alert)
		if err != nil || len(b) > maxBody {
			t.Fatalf("%s: %d bytes, %v", name, len(b), err)
		}
		var got alert.Alert
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Events) != c.events || c.whole != (got.Degraded == "") || got.ID != "a" || got.Severity != alert.Low {
			t.Errorf("%s: %d events, degraded %q", name, len(got.Events), got.Degraded)
		}
		if c.events > 0 && c.whole != (len(got.Events[0].Sample) > 0) {
			t.Errorf("%s: sample of %d bytes", name, len(got.Events[0].Sample))
		}
	}
	if large.Events[0].Sample == nil || huge.Title == "" {
		t.Error("the alert itself was cut")
	}
}
