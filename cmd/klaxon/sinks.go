package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/blob"
	"github.com/klaxonhq/klaxon/sinks/elasticsearch"
	"go.uber.org/zap"
)

// archiveSink is one archive: how to open a writer for a generation of its loop, and what must hold before.
type archiveSink struct {
	name      string
	first     bool // it writes the dead letters of what cannot be decoded
	every     time.Duration
	documents int
	prepare   func(context.Context) error // nil: nothing to prepare
	open      func() (pipeline.ArchiveSink, error)
}

// wireSinks makes the archives that the configuration names.
func (a *app) wireSinks() error {
	if c := a.cfg.Archive.Local; c != nil {
		dir, err := archive.OpenDir(c.Dir)
		if err != nil {
			return fmt.Errorf("archive.local: %w", err)
		}
		a.addSink(archiveSink{name: "local", every: c.Every, documents: 50_000, open: func() (pipeline.ArchiveSink, error) {
			return blob.New(blob.Config{Bucket: dir, Log: a.log})
		}})
	}
	if c := a.cfg.Archive.Elasticsearch; c != nil {
		if err := a.wireElasticsearch(c); err != nil {
			return err
		}
	}
	if a.has("archive") && len(a.sinks) == 0 {
		return errors.New("the role archive needs an archive: name local, elasticsearch, or both")
	}
	return nil
}

// wireElasticsearch makes the archive in a cluster, and tells it of alerts.
func (a *app) wireElasticsearch(c *ElasticsearchConfig) error {
	client, err := elasticsearch.New(elasticsearch.Config{URLs: c.URLs, Username: c.Username, Password: c.Password, APIKey: c.APIKey, CAFile: c.CAFile,
		Prefix: c.Prefix, Retention: c.Retention, Shards: c.Shards, Replicas: c.Replicas, Log: a.log})
	if err != nil {
		return fmt.Errorf("archive.elasticsearch: %w", err)
	}
	templates := &prepared{act: func(ctx context.Context) error {
		if err := client.Check(ctx); err != nil {
			return err
		}
		leftOut, err := client.Prepare(ctx, a.loaded.get().Schema.Fields())
		for _, what := range leftOut {
			a.log.Info("Elasticsearch cannot do this, and the templates do without it", zap.String("what", what))
		}
		return err
	}}
	a.templates = templates
	a.addSink(archiveSink{name: "elasticsearch", every: c.Every, documents: 5_000, prepare: templates.ensure,
		open: func() (pipeline.ArchiveSink, error) { return client.NewSink(), nil }})
	a.told = append(a.told, destination{Destination: incidents.Destination{Name: "elasticsearch", Types: []string{incidents.TypeAlert}, Shadow: true}, notifier: alertIndex{client, templates}})
	return nil
}

// prepared is an act that several need done before they begin: it is done until it succeeds, once.
type prepared struct {
	mu   sync.Mutex
	done bool
	act  func(context.Context) error
}

// again has the act done once more, now or when ensure is called next.
func (p *prepared) again(ctx context.Context) error {
	p.mu.Lock()
	p.done = false
	p.mu.Unlock()
	return p.ensure(ctx)
}

func (p *prepared) ensure(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return nil
	}
	err := p.act(ctx)
	p.done = err == nil
	return err
}

// alertIndex gives the alerts of the outbox to Elasticsearch, which knows no incidents. Without its template the index would guess
// its types.
type alertIndex struct {
	client    *elasticsearch.Client
	templates *prepared
}

func (i alertIndex) Deliver(ctx context.Context, m incidents.Message) (string, error) {
	if err := i.templates.ensure(ctx); err != nil {
		return "", err
	}
	var a alert.Alert
	if err := json.Unmarshal(m.Body, &a); err != nil {
		return "", fmt.Errorf("%w: not an alert: %w", incidents.ErrPermanent, err)
	}
	err := i.client.PutAlerts(ctx, []*alert.Alert{&a})
	if elasticsearch.IsRejected(err) {
		return "", fmt.Errorf("%w: %w", incidents.ErrPermanent, err)
	}
	if err != nil {
		return "", err
	}
	return a.ID, nil
}

func (a *app) addSink(s archiveSink) {
	s.first = len(a.sinks) == 0
	a.sinks = append(a.sinks, s)
	a.stats.archive[s.name] = pipeline.NewArchiveStats()
}
