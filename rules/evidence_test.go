package rules

import (
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// TestWhatDatabasesToldIsCarried: by rules that look at it, and by no others.
func TestWhatDatabasesToldIsCarried(t *testing.T) {
	schema, err := event.NewSchema(event.Field{Name: databasesField, Type: event.Keyword}, event.Field{Name: "source.geo.city_name", Type: event.Keyword}, event.Field{Name: "source.as.number", Type: event.Long},
		event.Field{Name: "klaxon.source.network", Type: event.Keyword}, event.Field{Name: "source.ip", Type: event.IP}, event.Field{Name: "user.name", Type: event.Keyword})
	if err != nil {
		t.Fatal(err)
	}
	for rule, want := range map[string]bool{
		`where: source.geo.city_name == "x"`:                            true,
		`where: has(user.name) and source.as.number == 7`:               true,
		`where: klaxon.source.network == "tor_exit_node"`:               true,
		`count: {by: [source.as.number], within: 1m, at_least: 2}`:      true,
		`where: user.name == "x"`:                                       false,
		`except: [{where: 'source.geo.city_name == "x"', why: travel}]`: true,
		`count: {by: [source.ip], within: 1m, at_least: 2}`:             false,
	} {
		text := "id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: low\nalert: {incident_by: [source.ip]}\n" + rule + "\n"
		var list diag.List
		units := LoadFiles([]fs.FS{fstest.MapFS{"x.yaml": {Data: []byte(text)}}}, &list)
		set, more := Compile(units, Options{Schema: schema})
		if list = append(list, more...); list.HasErrors() || len(set.Rules()) != 1 {
			t.Fatalf("%s: %s", rule, list)
		}
		if got := slices.Contains(set.Rules()[0].Carry, databasesField); got != want {
			t.Errorf("%s: carried is %v", rule, got)
		}
	}
}
