package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// DatasetsConfig names folders with datasets beside the shipped ones, and says whose topics are that no dataset claims by itself.
type DatasetsConfig struct {
	Dirs   []string
	Topics map[string]string // dataset by topic or pattern
}

var topicsPattern = regexp.MustCompile(`^[a-zA-Z0-9._*?-]{1,249}$`)

func (r configReader) datasets(n diag.Node, c *DatasetsConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	c.Dirs = r.paths(m.Get("dirs"))
	if topics, ok := m.Get("topics").Map(); ok {
		c.Topics = map[string]string{}
		for _, p := range topics.Pairs() {
			dataset := topics.Get(p.Key)
			switch {
			case !topicsPattern.MatchString(p.Key):
				dataset.Errorf("%q is neither a topic's name nor a pattern of names", p.Key).Hint("letters, digits, dots, dashes and underscores, * for any text and ? for one character")
			case strings.Trim(p.Key, "*") == "":
				dataset.Errorf("%q is every topic", p.Key).Hint("name the topics")
			}
			c.Topics[p.Key] = dataset.Text()
		}
		topics.Done()
	}
	m.Done()
}

// unknownDatasets reports the datasets that topics are given to and that do not exist.
func unknownDatasets(topics map[string]string, units []*datasets.Unit) diag.List {
	var names []string
	for _, u := range units {
		names = append(names, u.Name())
	}
	var list diag.List
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		if d := topics[topic]; !slices.Contains(names, d) {
			list = append(list, diag.Diagnostic{File: "configuration", Path: "datasets.topics." + topic, Message: fmt.Sprintf("there is no dataset %q", d), Hint: diag.DidYouMean(d, names)})
		}
	}
	return list
}
