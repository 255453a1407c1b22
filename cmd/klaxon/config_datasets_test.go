package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func TestTopicsOfDatasets(t *testing.T) {
	for name, test := range map[string]struct {
		topics string
		want   map[string]string
		wrong  string
	}{
		"names and patterns": {topics: "{secure: system.auth, 'edge.*': nginx.access}", want: map[string]string{"secure": "system.auth", "edge.*": "nginx.access"}},
		"none":               {topics: "{}", want: map[string]string{}},
		"no topic's name":    {topics: "{'a b': system.auth}", wrong: `"a b" is neither a topic's name nor a pattern of names`},
		"every topic":        {topics: "{'*': system.auth}", wrong: `"*" is every topic`},
		"no dataset":         {topics: "{secure: system.aut}", wrong: `datasets.topics.secure: there is no dataset "system.aut" (did you mean system.auth?)`},
		"no text":            {topics: "{secure: [a]}", wrong: "datasets.topics.secure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list diag.List
			c := parseConfig("klaxon.yaml", []byte("version: 1\nkafka: {brokers: [localhost:9092], topics: [logs]}\narchive: {local: {dir: archive}}\ndatasets: {topics: "+test.topics+"}\n"), noEnv, &list)
			if !list.HasErrors() {
				_, more := load(c.sources())
				list = append(list, more...)
			}
			if test.wrong == "" && (list.HasErrors() || !maps.Equal(c.Datasets.Topics, test.want)) {
				t.Errorf("topics %v, %v", c.Datasets.Topics, list)
			}
			if test.wrong != "" && !strings.Contains(list.String(), test.wrong) {
				t.Errorf("%v does not say %q", list, test.wrong)
			}
		})
	}
}
