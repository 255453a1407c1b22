package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/prometheus/client_golang/prometheus"
)

// labelled counts by the value of one label. Its zero value is ready. The values are few: names of loops or of operations.
type labelled struct {
	mu    sync.Mutex
	count map[string]int64
}

func (l *labelled) add(value string) { l.addN(value, 1) }

// addN with 0 makes a series that is there before anything happened.
func (l *labelled) addN(value string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = map[string]int64{}
	}
	l.count[value] += n
}

// get returns a copy, which is never nil: whoever reads it as JSON gets an object.
func (l *labelled) get() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		return map[string]int64{}
	}
	return maps.Clone(l.count)
}

// series is metrics of one name whose labels have values that are known only when they are asked for.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func() []sample
}

type sample struct {
	value  float64
	labels []string
}

// newSeries makes series of one metric; read answers with values for labels, in their order.
func newSeries(name, help string, kind prometheus.ValueType, fixed prometheus.Labels, labels []string, read func() []sample) series {
	return series{prometheus.NewDesc(name, help, labels, fixed), kind, read}
}

// Describe implements prometheus.Collector.
func (s series) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

// Collect implements prometheus.Collector.
func (s series) Collect(ch chan<- prometheus.Metric) {
	for _, one := range s.read() {
		if m, err := prometheus.NewConstMetric(s.desc, s.kind, one.value, one.labels...); err == nil {
			ch <- m
		}
	}
}

// gaugeOf is one gauge without labels.
func gaugeOf(name, help string, read func() float64) series {
	return newSeries(name, help, prometheus.GaugeValue, nil, nil, func() []sample { return []sample{{value: read()}} })
}

// counts is a counter by one label.
func counts(name, help, label string, of *labelled) series {
	return newSeries(name, help, prometheus.CounterValue, nil, []string{label}, func() []sample { return asSamples(of.get()) })
}

func asSamples[N int64 | float64](values map[string]N) []sample {
	var out []sample
	for label, n := range values {
		out = append(out, sample{float64(n), []string{strings.ToValidUTF8(label, "\uFFFD")}})
	}
	return out
}

// maxTopicSeries bounds the topics that have a series of their own; the others share one, whose label otherTopics no topic can have.
const (
	maxTopicSeries = 100
	otherTopics    = "(other)"
)

func topicSeries(name, help string, fixed prometheus.Labels, of *pipeline.TopicGauge) series {
	return newSeries(name, help, prometheus.GaugeValue, fixed, []string{"topic"}, func() []sample { return asSamples(fewTopics(of.Topics())) })
}

// fewTopics keeps the greatest numbers and adds up the rest.
func fewTopics(topics map[string]int64) map[string]int64 {
	if len(topics) <= maxTopicSeries {
		return topics
	}
	names := slices.SortedFunc(maps.Keys(topics), func(a, b string) int {
		return cmp.Or(cmp.Compare(topics[b], topics[a]), cmp.Compare(a, b))
	})
	out := map[string]int64{}
	for i, name := range names {
		if i < maxTopicSeries {
			out[name] = topics[name]
		} else {
			out[otherTopics] += topics[name]
		}
	}
	return out
}

// latencyCollector shows a distribution as a histogram.
type latencyCollector struct {
	desc *prometheus.Desc
	of   *pipeline.Latency
}

func latency(name, help string, labels prometheus.Labels, of *pipeline.Latency) prometheus.Collector {
	return latencyCollector{prometheus.NewDesc(name, help, nil, labels), of}
}

func (c latencyCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c latencyCollector) Collect(ch chan<- prometheus.Metric) {
	if m, err := prometheus.NewConstHistogram(c.desc, uint64(c.of.Count()), c.of.Sum().Seconds(), c.of.Buckets()); err == nil {
		ch <- m
	}
}
