package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/alertstopic"
	"github.com/klaxonhq/klaxon/sinks/webhook"
	"github.com/segmentio/kafka-go/sasl"
	saslplain "github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"go.uber.org/zap"
)

const hitShards = hit.Shards

// kafkaConfig is how to reach the brokers.
func kafkaConfig(c KafkaConfig, log *zap.Logger) (kafka.Config, error) {
	out := kafka.Config{Brokers: c.Brokers, ClientID: "klaxon", Log: log}
	if c.TLS != nil {
		t, err := tlsConfig(c.TLS)
		if err != nil {
			return out, fmt.Errorf("kafka.tls: %w", err)
		}
		out.TLS = t
	}
	if c.SASL == nil {
		return out, nil
	}
	m, err := mechanism(c.SASL)
	if err != nil {
		return out, fmt.Errorf("kafka.sasl: %w", err)
	}
	out.SASL = m
	return out, nil
}

func mechanism(c *SASLConfig) (sasl.Mechanism, error) {
	switch c.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, c.Username, c.Password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, c.Username, c.Password)
	}
	return saslplain.Mechanism{Username: c.Username, Password: c.Password}, nil
}

func tlsConfig(c *TLSConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

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
}

// wireDestinations makes the destinations that the configuration names.
func (a *app) wireDestinations() error {
	if t := a.cfg.Deliver.AlertsTopic; t != "" {
		a.told = append(a.told, destination{incidents.Destination{Name: "alerts-topic", Types: []string{incidents.TypeAlert}, Shadow: true}, alertstopic.New(producer{a.client}, t)})
	}
	for _, w := range a.cfg.Deliver.Webhooks {
		n, err := webhook.New(webhook.Config{URL: w.URL, Secret: w.Secret, Source: "klaxon"})
		if err != nil {
			return fmt.Errorf("deliver.webhooks: %s: %w", w.Name, err)
		}
		a.told = append(a.told, destination{incidents.Destination{Name: "webhook." + w.Name, Types: w.Send}, n})
	}
	for _, d := range a.told {
		a.wake[d.Name] = make(chan struct{}, 1)
		a.stats.deliver[d.Name] = &pipeline.DeliverStats{}
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
		Clock:   time.Now, Log: a.log, Stats: a.stats.deliver[d.Name], Wake: a.wake[d.Name], Every: time.Second, Timeout: 20 * time.Second}
}

func (a *app) runDeliver(ctx context.Context, d destination) { a.delivery(d).Run(ctx) }

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

// outboxEmpty says whether nothing waits to be delivered.
func (a *app) outboxEmpty() bool {
	ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	for _, d := range a.told {
		if due, err := a.book.Due(ctx, d.Name, time.Now(), 1); err != nil || len(due) > 0 {
			return false
		}
	}
	return true
}
