package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/sinks/webhook"
	"go.uber.org/zap"
)

const modeRules = `id: mode-live
title: Live
source: {dataset: [json]}
where: event.action == "live"
severity: high
alert: {incident_by: [user.name]}
---
id: mode-signal
title: Signal
mode: signal
source: {dataset: [json]}
where: event.action == "signal"
severity: high
alert: {incident_by: [user.name]}
---
id: mode-shadow
title: Shadow
mode: shadow
source: {dataset: [json]}
where: event.action == "shadow"
severity: high
alert: {incident_by: [user.name]}
---
id: mode-tuned
title: Tuned
source: {dataset: [json]}
where: event.action == "tuned"
count: {by: [user.name], within: 1m, at_least: 2}
severity: high
---
override: mode-tuned
tenant: acme
set: {mode: shadow}
why: a trial
---
override: mode-tuned
tenant: initech
set: {mode: disabled}
why: noise
`

// received is what webhooks and the alerts topic were given: a line for each message, counted.
type received struct {
	mu    sync.Mutex
	hooks map[string]int
	topic map[string]int
}

func (r *received) add(to map[string]int, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to[line]++
}

func (r *received) count() (hooks, topic map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.hooks), maps.Clone(r.topic)
}

// ServeHTTP notes what kind of message came, and about which rule and tenant.
func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var e struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	err := json.NewDecoder(req.Body).Decode(&e)
	tenant, rule := "", ""
	switch e.Type {
	case webhook.TypeAlert:
		var a alert.Alert
		err = errors.Join(err, json.Unmarshal(e.Data, &a))
		tenant, rule = a.Tenant, a.Rule.ID
	case webhook.TypeIncident:
		var c incidents.Change
		err = errors.Join(err, json.Unmarshal(e.Data, &c))
		tenant, rule = c.Incident.Tenant, strings.Join(c.Incident.Rules, " ")
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.add(r.hooks, fmt.Sprintf("%s %s %s", e.Type, tenant, rule))
}

// readAlerts reads the alerts topic until ctx ends.
func (r *received) readAlerts(ctx context.Context, addr, topic string) {
	client := kafka.NewClient(kafka.Config{Brokers: []string{addr}, ClientID: "reader", Log: zap.NewNop()})
	defer client.Close()
	_ = client.Consume(ctx, kafka.GroupConfig{ID: "reader", Topics: kafka.Select(topic)}, func(ctx context.Context, claim *kafka.Claim) error {
		for {
			b, err := claim.Fetch(ctx)
			if err != nil {
				return err
			}
			for i := range b.Records {
				var a alert.Alert
				if json.Unmarshal(b.Records[i].Value, &a) == nil && a.Revision == 1 {
					r.add(r.topic, fmt.Sprintf("%s %s %s", a.Tenant, a.Rule.ID, a.Rule.Mode))
				}
			}
			b.Release()
		}
	})
}

// TestModes follows alerts of every mode through all loops: what is stored, what makes an incident, who is told. A mode that an override
// sets holds for its tenant only.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rules", "modes.yaml"), []byte(modeRules), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := broker.Start(filepath.Join(dir, "kafka"), broker.Topic{Name: "logs.app", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := &received{hooks: map[string]int{}, topic: map[string]int{}}
	hook := httptest.NewServer(got)
	defer hook.Close()

	c := defaultConfig()
	c.Kafka.Brokers, c.Kafka.Topics, c.Kafka.Session = []string{b.Addr()}, []string{"logs.app"}, 6*time.Second
	c.Tenant.Header = "tenant"
	c.Rules.Shipped, c.Rules.Dirs = false, []string{filepath.Join(dir, "rules")}
	c.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(dir, "archive"), Every: time.Second}
	c.Store.Path = filepath.Join(dir, "klaxon.db")
	c.Deliver.Webhooks = []WebhookConfig{{ReceiverConfig: ReceiverConfig{Name: "soc", Send: []string{incidents.TypeAlert, incidents.TypeIncident}}, URL: hook.URL, Secret: "0123456789abcdef0123456789abcdef"}}
	c.Admin.Listen = "127.0.0.1:0"
	a, err := newApp(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	go got.readAlerts(ctx, b.Addr(), c.Deliver.AlertsTopic)

	sendModes(t, b.Addr())
	wantTopic := map[string]int{
		"acme mode-live live": 1, "globex mode-live live": 1, "initech mode-live live": 1, "acme mode-signal signal": 1, "globex mode-signal signal": 1, "initech mode-signal signal": 1,
		"acme mode-shadow shadow": 1, "globex mode-shadow shadow": 1, "initech mode-shadow shadow": 1, "acme mode-tuned shadow": 1, "globex mode-tuned live": 1,
	}
	wantHooks := map[string]int{webhook.TypeAlert + " globex mode-tuned": 1, webhook.TypeIncident + " globex mode-tuned": 1}
	for _, tenant := range []string{"acme", "globex", "initech"} {
		for _, message := range []string{webhook.TypeAlert + " %s mode-live", webhook.TypeIncident + " %s mode-live", webhook.TypeAlert + " %s mode-signal"} {
			wantHooks[fmt.Sprintf(message, tenant)] = 1
		}
	}
	var hooks, topic map[string]int
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if hooks, topic = got.count(); len(topic) >= len(wantTopic) && len(hooks) >= len(wantHooks) && a.outboxEmpty() {
			break
		}
	}
	if !maps.Equal(topic, wantTopic) {
		t.Errorf("the alerts topic has %v", topic)
	}
	if !maps.Equal(hooks, wantHooks) {
		t.Errorf("the webhook was told %v", hooks)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, err := openIncidents(c.Store.Path); n != 4 || err != nil {
		t.Errorf("%d incidents, %v", n, err)
	}
}

// sendModes writes what every rule is met by, for each tenant.
func sendModes(t *testing.T, addr string) {
	t.Helper()
	client := kafka.NewClient(kafka.Config{Brokers: []string{addr}, ClientID: "sender", Log: zap.NewNop()})
	defer client.Close()
	var messages []kafka.Message
	for _, tenant := range []string{"acme", "globex", "initech"} {
		for _, action := range []string{"live", "signal", "shadow", "tuned", "tuned"} {
			messages = append(messages, kafka.Message{Value: fmt.Appendf(nil, `{"event":{"action":%q},"user":{"name":"eve"}}`, action), Time: time.Now().UnixMilli(),
				Headers: []event.Header{{Key: "tenant", Value: []byte(tenant)}}})
		}
	}
	if err := client.Send(t.Context(), "logs.app", messages); err != nil {
		t.Fatal(err)
	}
}
