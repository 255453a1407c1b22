package main

import (
	"fmt"

	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
)

// stats is what the loops of one process count, and what its parts know of themselves.
type stats struct {
	archive    map[string]*pipeline.ArchiveStats // by sink
	match      pipeline.MatchStats
	detect     pipeline.DetectStats
	generation generationStats
	deliver    map[string]*pipeline.DeliverStats // by destination
	leases     map[string]*pipeline.Gauge        // by destination: 1 while this process delivers to it
	start      pipeline.Gauge                    // when the process was ready, Unix milliseconds
	geoip      map[enrich.Kind]*pipeline.Gauge   // when each database was made, Unix milliseconds

	kafkaErrors labelled // by loop
	storeErrors labelled // by operation
	log         *repeatTable
	state       states
	using       func() Generation // what is in force
	store       storeState
	disks       disks
	config      string // hash of the configuration file
}

func newStats() *stats {
	return &stats{archive: map[string]*pipeline.ArchiveStats{}, deliver: map[string]*pipeline.DeliverStats{}, leases: map[string]*pipeline.Gauge{},
		geoip: map[enrich.Kind]*pipeline.Gauge{},
		log:   repeatsOf(zap.NewNop()), state: states{parts: map[string]trouble{}}, using: func() Generation { return Generation{} }}
}

// databases says of a generation's databases when they were made. The kinds are those of the configuration, so that later generations have the same.
func (s *stats) databases(d *enrich.Databases) {
	for _, v := range d.Versions() {
		if s.geoip[v.Kind] == nil {
			s.geoip[v.Kind] = &pipeline.Gauge{}
		}
		s.geoip[v.Kind].Store(v.Built.UnixMilli())
	}
}

// metric is one number with its name; see docs/operations.md, which a test compares with what is registered.
type metric struct {
	name, help string
	labels     prometheus.Labels
	counter    *pipeline.Counter
	gauge      *pipeline.Gauge
	topics     *pipeline.TopicGauge // a series for each topic
	seconds    bool                 // the gauge is in Unix milliseconds, the metric in seconds
}

// registry is every metric of the process.
func (s *stats) registry() (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	all := []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, m := range s.metrics() {
		all = append(all, m.collector())
	}
	all = append(all, latency("klaxon_detect_alert_age_seconds", "From a record's own time to the commit of the alert that it raised.", nil, &s.detect.Age))
	all = append(all, newRuleCollector(&s.match.Rules))
	for sink, a := range s.archive {
		all = append(all, latency("klaxon_archive_flush_seconds", "Time that one flush of the archive took.", prometheus.Labels{"sink": sink}, &a.FlushTime))
	}
	for _, c := range append(all, s.parts()...) {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register a metric: %w", err)
		}
	}
	return r, nil
}

func (m metric) collector() prometheus.Collector {
	if m.topics != nil {
		return topicSeries(m.name, m.help, m.labels, m.topics)
	}
	if m.counter != nil {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help, ConstLabels: m.labels}, func() float64 { return float64(m.counter.Load()) })
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help, ConstLabels: m.labels}, func() float64 {
		if m.seconds {
			return float64(m.gauge.Load()) / 1000
		}
		return float64(m.gauge.Load())
	})
}

func (s *stats) metrics() []metric {
	ma, de := &s.match, &s.detect
	out := []metric{
		{name: "klaxon_match_records_total", help: "Records that the match loop read.", counter: &ma.Records},
		{name: "klaxon_match_events_total", help: "Events that the match loop evaluated.", counter: &ma.Events},
		{name: "klaxon_match_dead_letters_total", help: "Records that the match loop could not decode; the archive loop writes them to the dead letters.", counter: &ma.DeadLetters},
		{name: "klaxon_match_hits_total", help: "Hits: events that met a rule, once for each rule.", counter: &ma.Hits},
		{name: "klaxon_match_frames_total", help: "Frames of hits that were made.", counter: &ma.Frames},
		{name: "klaxon_match_samples_cut_total", help: "Hits that left their event's document out, because their record made too many.", counter: &ma.SamplesCut},
		{name: "klaxon_match_hits_dropped_total", help: "Hits that were lost because no frame could hold them, or because the hits topic refused them.", counter: &ma.HitsDropped},
		{name: "klaxon_match_skipped_records_total", help: "Records that were gone from the log before the match loop read them.", counter: &ma.Skipped},
		{name: "klaxon_match_produce_failures_total", help: "Tries to write hits to a shard that failed; they are repeated until they succeed.", counter: &ma.ProduceFailures},
		{name: "klaxon_match_commits_total", help: "Commits of offsets of the match loop.", counter: &ma.Commits},
		{name: "klaxon_match_commit_failures_total", help: "Commits of offsets of the match loop that failed.", counter: &ma.CommitFailures},
		{name: "klaxon_match_lag_records", help: "Records of owned partitions that the match loop has not read.", topics: &ma.Lag},
		{name: "klaxon_match_partitions", help: "Partitions that the match loop of this process owns.", gauge: &ma.Partitions},
		{name: "klaxon_match_oldest_uncommitted_timestamp_seconds", help: "Time of the oldest record that the match loop has read and not committed, Unix time; 0 for none.", gauge: &ma.OldestUncommitted, seconds: true},
		{name: "klaxon_match_queued_bytes", help: "Bytes of frames that wait to be acknowledged.", gauge: &ma.QueuedBytes},
		{name: "klaxon_detect_frames_total", help: "Frames that the detect loop applied, ticks included.", counter: &de.Frames},
		{name: "klaxon_detect_hits_total", help: "Hits that the detect loop read, repetitions included.", counter: &de.Hits},
		{name: "klaxon_detect_alerts_total", help: "Alerts that were raised, repetitions after a restart included.", counter: &de.Alerts},
		{name: "klaxon_detect_revisions_total", help: "Revisions of alerts.", counter: &de.Revisions},
		{name: "klaxon_detect_transactions_total", help: "Transactions of the detect loop.", counter: &de.Transactions},
		{name: "klaxon_detect_failures_total", help: "Transactions of the detect loop that failed; its shards are claimed anew.", counter: &de.Failures},
		{name: "klaxon_detect_gaps_total", help: "Times that hits were gone before they were read, or the hits topic was another one.", counter: &de.Gaps},
		{name: "klaxon_detect_bad_frames_total", help: "Records of the hits topic that are no frames.", counter: &de.BadFrames},
		{name: "klaxon_detect_checkpoints_total", help: "Checkpoints of memory that were stored.", counter: &de.Checkpoints},
		{name: "klaxon_detect_late_hits_total", help: "Hits that came later than the lateness allows and were not counted.", counter: &de.Late},
		{name: "klaxon_detect_repeated_hits_total", help: "Hits of positions that were seen before: what was repeated after a restart.", counter: &de.SeenBefore},
		{name: "klaxon_detect_stale_rule_hits_total", help: "Hits of another version of their rule, or of a rule that is not loaded.", counter: &de.StaleRule},
		{name: "klaxon_detect_bad_time_hits_total", help: "Hits whose time cannot be.", counter: &de.BadTime},
		{name: "klaxon_detect_foreign_frames_total", help: "Frames of an earlier incarnation of a topic.", counter: &de.ForeignFrames},
		{name: "klaxon_detect_evicted_keys_total", help: "Keys that were given up because a shard's memory was full.", counter: &de.EvictedKeys},
		{name: "klaxon_detect_evicted_hits_total", help: "Hits of keys that were given up because a shard's memory was full.", counter: &de.EvictedHits},
		{name: "klaxon_detect_ended_early_alerts_total", help: "Alerts that ended early, because memory was full or their rule changed.", counter: &de.EndedEarly},
		{name: "klaxon_detect_rounded_keys_total", help: "Times that a key's times were rounded, because it had too many.", counter: &de.Rounded},
		{name: "klaxon_detect_keys", help: "Keys that are remembered.", gauge: &de.Keys},
		{name: "klaxon_detect_memory_bytes", help: "About what the memories of this process's shards take.", gauge: &de.MemoryBytes},
		{name: "klaxon_detect_commit_failures_total", help: "Commits to Kafka of the detect loop that failed; they serve lag tools only.", counter: &de.CommitFailures},
		{name: "klaxon_detect_lag_frames", help: "Frames of owned shards that the detect loop has not read.", gauge: &de.Lag},
		{name: "klaxon_detect_shards", help: "Shards that this process owns.", gauge: &de.Shards},
		{name: "klaxon_detect_oldest_uncommitted_timestamp_seconds", help: "Time of the oldest frame of hits that the detect loop has read and not stored, Unix time; 0 for none.", gauge: &de.OldestUncommitted, seconds: true},
		{name: "klaxon_detect_checkpoint_bytes", help: "Size of the last checkpoint of a shard.", gauge: &de.CheckpointBytes},
		{name: "klaxon_log_suppressed_total", help: "Warnings and errors that were not written to the log by themselves, because they repeat; the log sums them up.", counter: &s.log.suppressed},
		{name: "klaxon_log_messages_total", help: "Warnings and errors of the log, those included that repeat.", labels: prometheus.Labels{"level": "warn"}, counter: &s.log.warnings},
		{name: "klaxon_log_messages_total", help: "Warnings and errors of the log, those included that repeat.", labels: prometheus.Labels{"level": "error"}, counter: &s.log.errors},
		{name: "klaxon_detect_rule_waits_total", help: "Times that hits of a rule that was not loaded here were held back until it was.", counter: &de.RuleWaits},
		{name: "klaxon_generation_loads_total", help: "Generations of rules, datasets, lists and databases that were loaded, the first included.", counter: &s.generation.Loads},
		{name: "klaxon_generation_load_failures_total", help: "Times that changed files did not load and the generation before went on.", counter: &s.generation.Failures},
		{name: "klaxon_generation_refused", help: "1 while the files on disk do not load and an older generation is in force, else 0.", gauge: &s.generation.Refused},
		{name: "klaxon_generation_loaded_timestamp_seconds", help: "When the generation in force was loaded, Unix time.", gauge: &s.generation.Loaded, seconds: true},
		{name: "klaxon_generation_changed_timestamp_seconds", help: "When files were last seen to have changed since the start, Unix time; 0 if never.", gauge: &s.generation.Changed, seconds: true},
		{name: "klaxon_start_time_seconds", help: "When the process was ready, Unix time.", gauge: &s.start, seconds: true},
	}
	for kind, made := range s.geoip {
		out = append(out, metric{name: "klaxon_geoip_build_timestamp_seconds", help: "When the database that tells about addresses was made, Unix time.", labels: prometheus.Labels{"database": string(kind)}, gauge: made, seconds: true})
	}
	for sink, a := range s.archive {
		out = append(out, archiveMetrics(prometheus.Labels{"sink": sink}, a)...)
	}
	for destination, held := range s.leases {
		out = append(out, metric{name: "klaxon_deliver_leases", help: "1 while this process is the one that delivers to the destination.",
			labels: prometheus.Labels{"destination": destination}, gauge: held})
	}
	for destination, d := range s.deliver {
		l := prometheus.Labels{"destination": destination}
		out = append(out,
			metric{name: "klaxon_deliver_delivered_total", help: "Messages that the destination took.", labels: l, counter: &d.Delivered},
			metric{name: "klaxon_deliver_failures_total", help: "Tries that failed.", labels: l, counter: &d.Failures},
			metric{name: "klaxon_deliver_parked_total", help: "Messages that the destination refused for good.", labels: l, counter: &d.Parked},
			metric{name: "klaxon_deliver_breaker_open", help: "1 while the destination counts as down and is left alone, else 0.", labels: l, gauge: &d.BreakerOpen},
			metric{name: "klaxon_deliver_breaks_total", help: "Times that the destination failed so often that it was left alone.", labels: l, counter: &d.Breaks},
			metric{name: "klaxon_deliver_due_messages", help: "Messages that are due and not delivered; it counts to 100.", labels: l, gauge: &d.Waiting},
			metric{name: "klaxon_deliver_last_delivery_timestamp_seconds", help: "When the destination last took a message, Unix time.", labels: l, gauge: &d.LastDelivery, seconds: true},
		)
	}
	return out
}

func archiveMetrics(l prometheus.Labels, a *pipeline.ArchiveStats) []metric {
	out := []metric{
		{name: "klaxon_archive_records_total", help: "Records that are done: archived, dead-lettered or dropped as a dataset declares.", labels: l, counter: &a.Records},
		{name: "klaxon_archive_archived_records_total", help: "Records whose documents are all durable in the archive.", labels: l, counter: &a.Archived},
		{name: "klaxon_archive_dead_letter_records_total", help: "Records that could not be decoded or stored.", labels: l, counter: &a.DeadLettered},
		{name: "klaxon_archive_dropped_records_total", help: "Records that a dataset declares to be dropped.", labels: l, counter: &a.Dropped},
		{name: "klaxon_archive_documents_total", help: "Documents that are durable in the archive.", labels: l, counter: &a.Documents},
		{name: "klaxon_archive_bytes_total", help: "Bytes of documents, before compression.", labels: l, counter: &a.Bytes},
		{name: "klaxon_archive_flushes_total", help: "Flushes of the archive.", labels: l, counter: &a.Flushes},
		{name: "klaxon_archive_rejected_documents_total", help: "Documents that the archive will never take.", labels: l, counter: &a.Rejected},
		{name: "klaxon_archive_commits_total", help: "Commits of offsets of the archive loop.", labels: l, counter: &a.Commits},
		{name: "klaxon_archive_commit_failures_total", help: "Commits of offsets of the archive loop that failed.", labels: l, counter: &a.CommitFailures},
		{name: "klaxon_archive_skipped_records_total", help: "Records that were gone from the log before the archive loop read them.", labels: l, counter: &a.Skipped},
		{name: "klaxon_archive_cut_dead_letters_total", help: "Dead letters that had to be cut to fit their topic.", labels: l, counter: &a.CutDeadLetters},
		{name: "klaxon_archive_lag_records", help: "Records of owned partitions that the archive loop has not read.", labels: l, topics: &a.Lag},
		{name: "klaxon_archive_partitions", help: "Partitions that the archive loop of this process owns.", labels: l, gauge: &a.Partitions},
		{name: "klaxon_archive_oldest_uncommitted_timestamp_seconds", help: "Time of the oldest record that the archive loop has read and not committed, Unix time; 0 for none.", labels: l, gauge: &a.OldestUncommitted, seconds: true},
		{name: "klaxon_archive_held_bytes", help: "Bytes of batches that wait for a flush.", labels: l, gauge: &a.HeldBytes},
		{name: "klaxon_archive_last_flush_timestamp_seconds", help: "When the archive was last flushed, Unix time.", labels: l, gauge: &a.LastFlush, seconds: true},
	}
	for reason, c := range a.Reasons {
		out = append(out, metric{name: "klaxon_archive_dead_letters_total", help: "Dead letters that were written, by reason.",
			labels: prometheus.Labels{"sink": l["sink"], "reason": reason}, counter: c})
	}
	return out
}
