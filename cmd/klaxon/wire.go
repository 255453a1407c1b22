package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/alertstopic"
	"go.uber.org/zap"
)

const hitShards = hit.Shards

// shardStore gives the book to the detect loop, which knows no incidents.
type shardStore struct {
	book  *incidents.Book
	stats *stats
}

func (s shardStore) Claim(ctx context.Context, shard int32, topicID string) (pipeline.Shard, error) {
	state, err := s.book.Claim(ctx, shard, topicID)
	return pipeline.Shard(state), s.stats.storeFailed(ctx, storeClaim, err)
}

func (s shardStore) Earlier(ctx context.Context, shard int32, before int64) (int64, []byte, error) {
	at, checkpoint, err := s.book.EarlierCheckpoint(ctx, shard, before)
	return at, checkpoint, s.stats.storeFailed(ctx, storeClaim, err)
}

func (s shardStore) Apply(ctx context.Context, now time.Time, writes []pipeline.ShardWrite) error {
	out := make([]incidents.ShardWrite, len(writes))
	for i, w := range writes {
		out[i] = incidents.ShardWrite(w)
	}
	return s.stats.storeFailed(ctx, storeApply, s.book.Apply(ctx, now, out))
}

// destination is somebody who is told, and how.
type destination struct {
	incidents.Destination
	notifier incidents.Notifier
	rate     pipeline.Rate // 0: no bound
}

// wireDestinations makes the destinations that the configuration names.
func (a *app) wireDestinations() error {
	if t := a.cfg.Deliver.AlertsTopic; t != "" {
		a.told = append(a.told, destination{Destination: incidents.Destination{Name: "alerts-topic", Types: []string{incidents.TypeAlert}, Shadow: true},
			notifier: alertstopic.New(producer{a.client}, t)})
	}
	for _, w := range a.cfg.Deliver.Webhooks {
		if err := a.wireWebhook(w); err != nil {
			return fmt.Errorf("deliver.webhooks: %s: %w", w.Name, err)
		}
	}
	for _, s := range a.cfg.Deliver.Slack {
		if err := a.wireSlack(s); err != nil {
			return fmt.Errorf("deliver.slack: %s: %w", s.Name, err)
		}
	}
	for _, d := range a.told {
		a.wake[d.Name] = make(chan struct{}, 1)
		a.stats.deliver[d.Name], a.stats.leases[d.Name] = &pipeline.DeliverStats{}, &pipeline.Gauge{}
	}
	return nil
}

// producer gives the Kafka client to the alerts topic.
type producer struct{ client *kafka.Client }

func (p producer) Send(ctx context.Context, topic string, key, value []byte, headers []event.Header) error {
	err := p.client.Send(ctx, topic, []kafka.Message{{Key: key, Value: value, Headers: headers}})
	var refused *kafka.RejectedError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", incidents.ErrPermanent, err)
	}
	return err
}

// watcher is a destination inside the process.
type watcher func(*alert.Alert)

func (w watcher) Deliver(_ context.Context, m incidents.Message) (string, error) {
	var a alert.Alert
	if err := json.Unmarshal(m.Body, &a); err != nil {
		return "", fmt.Errorf("%w: not an alert: %w", incidents.ErrPermanent, err)
	}
	w(&a)
	return "", nil
}

// wakeAll tells every delivery that something may be due.
func (a *app) wakeAll() {
	for _, c := range a.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (a *app) delivery(d destination) *pipeline.Deliver[incidents.Message] {
	return &pipeline.Deliver[incidents.Message]{Destination: d.Name, Outbox: outbox{a.book, a.stats, a.cfg.Secrets.replacer()}, Notifier: d.notifier,
		Permanent: func(err error) bool { return errors.Is(err, incidents.ErrPermanent) }, Attempts: func(m incidents.Message) int { return m.Attempts },
		Subject: func(m incidents.Message) string { return m.Subject },
		Behind:  func(m incidents.Message, more int) incidents.Message { m.Behind = more; return m },
		Clock:   time.Now, Log: a.log, Stats: a.stats.deliver[d.Name], Wake: a.wake[d.Name], Every: time.Second, Timeout: 20 * time.Second, Rate: d.rate}
}

// flushDeliveries delivers what is due, as far as a moment allows: the rest waits in the outbox.
func (a *app) flushDeliveries(ctx context.Context) {
	a.wakeAll()
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), a.drain())
	defer done()
	for limit.Err() == nil && !a.outboxEmpty() {
		select {
		case <-limit.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// keepBook lets time pass in the book and counts what is open.
func (a *app) keepBook(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		if err := a.stats.storeFailed(ctx, storeTend, a.book.Tick(ctx, time.Now())); err != nil && ctx.Err() == nil {
			a.log.Warn("cannot tend the store, trying again", zap.Error(err))
		}
		if tally, err := a.book.Tally(ctx); a.stats.storeFailed(ctx, storeTend, err) == nil {
			a.stats.store.set(tally)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (a *app) openIncidents() int { return int(a.stats.store.open()) }

// outboxEmpty says whether nothing waits that this process delivers.
func (a *app) outboxEmpty() bool {
	ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	for _, d := range a.told {
		if a.stats.leases[d.Name].Load() == 0 || a.stats.deliver[d.Name].BreakerOpen.Load() != 0 {
			continue
		}
		if due, err := a.book.Due(ctx, d.Name, time.Now(), 1); err != nil || len(due) > 0 {
			return false
		}
	}
	return true
}
