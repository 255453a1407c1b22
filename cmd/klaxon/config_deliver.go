package main

import (
	"net/url"
	"regexp"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// DeliverConfig says who is told.
type DeliverConfig struct {
	AlertsTopic string
	Webhooks    []WebhookConfig
}

// WebhookConfig is one receiver of CloudEvents.
type WebhookConfig struct {
	Name, URL, Secret string
	Send              []string
}

func (r configReader) deliver(n diag.Node, c *DeliverConfig) *diag.Map {
	m, ok := n.Map()
	if !ok {
		return m
	}
	if m.Has("alerts_topic") {
		t := m.Get("alerts_topic")
		if c.AlertsTopic = t.Text(); c.AlertsTopic != "" {
			r.topicName(t)
		}
	}
	names := map[string]bool{}
	for _, w := range m.Get("webhooks").Seq() {
		h := r.webhook(w)
		if names[h.Name] {
			w.Errorf("the name %q is taken", h.Name).Hint("a webhook's name is its identity in the outbox")
		}
		names[h.Name] = true
		c.Webhooks = append(c.Webhooks, h)
	}
	m.Done()
	return m
}

var webhookName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (r configReader) webhook(n diag.Node) WebhookConfig {
	h := WebhookConfig{Send: []string{"incident"}}
	m, ok := n.Map()
	if !ok {
		return h
	}
	name := m.Need("name")
	if h.Name = name.Text(); name.Exists() && !webhookName.MatchString(h.Name) {
		name.Errorf("%q is no name", h.Name).Hint("use lower-case letters, digits and dashes")
	}
	u := m.Need("url")
	h.URL = u.Text()
	r.secrets.addURL(h.URL)
	if p, err := url.Parse(h.URL); u.Exists() && (err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https") {
		u.Errorf("is no http or https address")
	}
	if h.Secret = r.secret(m, "secret"); h.Secret == "" {
		n.Errorf("a secret is missing, and without one the receiver cannot tell klaxon from anybody else").Hint("name a file with secret_file")
	}
	if s := m.Get("send"); s.Exists() {
		h.Send = r.words(s, "write [incident], [alert] or both; leave it out for incidents", "alert", "incident")
	}
	m.Done()
	return h
}
