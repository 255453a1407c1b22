package main

import (
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/prometheus/client_golang/prometheus"
)

// ruleMetric is one number of a rule.
type ruleMetric struct {
	desc *prometheus.Desc
	of   func(pipeline.RuleCounts) int64
}

// ruleCollector shows what became of each rule's events. Rules that met none are left out: there may be thousands.
type ruleCollector struct {
	stats   *pipeline.RuleStats
	metrics []ruleMetric
}

func newRuleCollector(stats *pipeline.RuleStats) prometheus.Collector {
	m := func(name, help string, of func(pipeline.RuleCounts) int64) ruleMetric {
		return ruleMetric{prometheus.NewDesc(name, help, []string{"rule"}, nil), of}
	}
	return ruleCollector{stats, []ruleMetric{
		m("klaxon_rule_matched_events_total", "Events that met a rule, and none of its exceptions.", func(c pipeline.RuleCounts) int64 { return c.Matched }),
		m("klaxon_rule_excepted_events_total", "Events that met a rule and were hidden by one of its exceptions.", func(c pipeline.RuleCounts) int64 { return c.Excepted }),
		m("klaxon_rule_keyless_events_total", "Events that met a rule and were not counted, because a field of its key was absent.", func(c pipeline.RuleCounts) int64 { return c.Keyless }),
		m("klaxon_rule_cut_keys_total", "Keys of a rule that were left out because an event had too many.", func(c pipeline.RuleCounts) int64 { return c.CutKeys }),
	}}
}

// Describe implements prometheus.Collector.
func (c ruleCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c ruleCollector) Collect(ch chan<- prometheus.Metric) {
	c.stats.Each(func(rule string, counts pipeline.RuleCounts) {
		for _, m := range c.metrics {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(counts)), rule)
		}
	})
}
