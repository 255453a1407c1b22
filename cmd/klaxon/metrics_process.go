package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// parts is the metrics of what the process's parts know of themselves.
func (s *stats) parts() []prometheus.Collector {
	gauges := func(name, help, label string, read func() map[string]float64) prometheus.Collector {
		return newSeries(name, help, prometheus.GaugeValue, nil, []string{label}, func() []sample { return asSamples(read()) })
	}
	info := func(name, help string, labels []string, read func() []string) prometheus.Collector {
		return newSeries(name, help, prometheus.GaugeValue, nil, labels, func() []sample { return []sample{{1, read()}} })
	}
	b := readBuildInfo()
	return []prometheus.Collector{
		gauges("klaxon_ready", "Whether a part of the process is ready: 1 or 0.", "part", s.state.gauges),
		counts("klaxon_kafka_errors_total", "Errors that a loop met with Kafka; one that goes on counts every ten seconds.", "loop", &s.kafkaErrors),
		counts("klaxon_store_errors_total", "Calls of the store that failed, by what they were for; a shard that another process has claimed is none.", "operation", &s.storeErrors),
		gaugeOf("klaxon_incidents_open", "Incidents that are open, as the process that delivers counts them.", func() float64 { return float64(s.store.open()) }),
		gauges("klaxon_outbox_waiting_messages", "Messages that a destination has not taken yet, due or not.", "destination", s.store.waiting),
		gauges("klaxon_outbox_parked_messages", "Messages that are kept although their destination refused them for good.", "destination", s.store.parked),
		gauges("klaxon_outbox_oldest_timestamp_seconds", "When the oldest message that waits for a destination was written, Unix time; 0 for none.", "destination", s.store.oldest),
		gauges("klaxon_disk_free_bytes", "Bytes that are free where a folder of klaxon's is.", "folder", s.disks.free),
		gauges("klaxon_disk_size_bytes", "Size of the file system where a folder of klaxon's is.", "folder", s.disks.size),
		info("klaxon_generation_info", "Always 1; the label is a hash of the datasets, rules and lists that are in use.", []string{"hash"}, func() []string { return []string{s.using().Hash} }),
		gaugeOf("klaxon_generation_rules", "Rules that are in use.", func() float64 { return float64(s.using().Rules) }),
		gaugeOf("klaxon_generation_datasets", "Datasets that are in use.", func() float64 { return float64(s.using().Datasets) }),
		gaugeOf("klaxon_generation_lists", "Lists that are in use.", func() float64 { return float64(s.using().Lists) }),
		info("klaxon_config_info", "Always 1; the label is a hash of the configuration file, which is empty where there is none.", []string{"hash"}, func() []string { return []string{s.config} }),
		info("klaxon_build_info", "Always 1; the labels say what was built.", []string{"version", "revision", "goversion"}, func() []string { return []string{b.Version, b.Revision, b.Go} }),
	}
}

// unix is a time as Prometheus has it; 0 for none.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// gauges is 1 for each part that is ready.
func (s *states) gauges() map[string]float64 {
	out := map[string]float64{}
	for part, why := range s.get() {
		if out[part] = 1; why != "" {
			out[part] = 0
		}
	}
	return out
}
