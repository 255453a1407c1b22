package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/webhook"
)

// DeliverConfig says who is told.
type DeliverConfig struct {
	AlertsTopic string
	Webhooks    []WebhookConfig
	Slack       []SlackConfig
}

// ReceiverConfig is what every receiver has.
type ReceiverConfig struct {
	Name        string
	Send        []string
	MinSeverity alert.Severity // 0: all
	Rate        pipeline.Rate  // 0: no bound
}

// WebhookConfig is one receiver of CloudEvents.
type WebhookConfig struct {
	ReceiverConfig
	URL, Secret string
	Previous    []string // secrets that are being exchanged
	Header      http.Header
	TLS         *TLSConfig
}

// SlackConfig is one channel of a Slack workspace.
type SlackConfig struct {
	ReceiverConfig
	Channel, Token, URL string
}

// Rates that suit most. Slack allows about fifty calls a minute of the methods that a delivery needs, and one message a second.
const (
	defaultWebhookRate = "50/s"
	defaultSlackRate   = "40/m"
)

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
		c.Webhooks = append(c.Webhooks, r.webhook(w, names))
	}
	names = map[string]bool{}
	for _, s := range m.Get("slack").Seq() {
		c.Slack = append(c.Slack, r.slack(s, names))
	}
	m.Done()
	return m
}

var receiverName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// receiver reads what every receiver has. Names are those of its kind so far.
func (r configReader) receiver(m *diag.Map, rate string, names map[string]bool, types ...string) ReceiverConfig {
	c := ReceiverConfig{Send: []string{"incident"}}
	name := m.Need("name")
	switch c.Name = name.Text(); {
	case name.Exists() && !receiverName.MatchString(c.Name):
		name.Errorf("%q is no name", c.Name).Hint("use lower-case letters, digits and dashes")
	case names[c.Name]:
		name.Errorf("the name %q is taken", c.Name).Hint("a name is a receiver's identity in the outbox: give each its own")
	}
	names[c.Name] = true
	if s := m.Get("send"); s.Exists() {
		c.Send = r.words(s, "leave it out for incidents", types...)
	}
	if s := m.Get("min_severity"); s.Exists() {
		c.MinSeverity, _ = alert.ParseSeverity(s.OneOf("low", "normal", "high", "urgent")) // what is none was reported
	}
	c.Rate, _ = parseRate(rate)
	if n := m.Get("rate"); n.Exists() {
		var err error
		if c.Rate, err = parseRate(n.Text()); err != nil {
			n.Errorf("%s", err).Hint("write how many in a second, a minute or an hour: 10/s, 30/m, 500/h; or none for no bound")
		}
	}
	return c
}

var ratePattern = regexp.MustCompile(`^([0-9]{1,6})/(s|m|h)$`)

// parseRate reads 10/s, 30/m, 500/h, or none. What a second holds may go at once.
func parseRate(s string) (pipeline.Rate, error) {
	if s == "none" {
		return pipeline.Rate{}, nil
	}
	p := ratePattern.FindStringSubmatch(s)
	if p == nil {
		return pipeline.Rate{}, fmt.Errorf("%q is no rate", s)
	}
	n, err := strconv.Atoi(p[1])
	if err != nil || n == 0 {
		return pipeline.Rate{}, fmt.Errorf("%q lets nothing through", s)
	}
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[p[2]].Seconds()
	return pipeline.Rate{PerSecond: float64(n) / per, Burst: max(int(float64(n)/per), 1)}, nil
}

func (r configReader) webhook(n diag.Node, names map[string]bool) WebhookConfig {
	m, ok := n.Map()
	if !ok {
		return WebhookConfig{}
	}
	h := WebhookConfig{ReceiverConfig: r.receiver(m, defaultWebhookRate, names, "alert", "incident"), URL: r.address(m.Need("url"))}
	if h.Secret = r.secret(m, "secret"); h.Secret == "" {
		n.Errorf("a secret is missing, and without one the receiver cannot tell klaxon from anybody else").Hint("name a file with secret_file")
	}
	h.Previous = r.secrets(m, "previous_secret")
	h.Header = r.headers(m)
	if t := m.Get("tls"); t.Exists() {
		h.TLS = r.clientTLS(t)
	}
	m.Done()
	return h
}

// address reads the address of somebody else's server.
func (r configReader) address(n diag.Node) string {
	s := n.Text()
	r.known.addURL(s)
	switch u, err := url.Parse(s); {
	case !n.Exists():
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		n.Errorf("is no http or https address").Hint("write it as https://hooks.example/klaxon")
	case u.User != nil:
		n.Errorf("holds a password").Hint("name a file with authorization_file, which holds Basic and the encoded name and password")
	}
	return s
}

// headers reads what is sent along with every request.
func (r configReader) headers(m *diag.Map) http.Header {
	h := http.Header{}
	if a := r.secret(m, "authorization"); a != "" {
		if err := webhook.CheckHeader("Authorization", a); err != nil {
			firstThere(m.Get("authorization"), m.Get("authorization_file")).Errorf("%s", err).Hint("it is one line, such as Bearer and a token")
		}
		h.Set("Authorization", a)
	}
	own, ok := m.Get("headers").Map()
	if !ok {
		return h
	}
	for _, p := range own.Pairs() {
		value := p.Value.Text()
		r.known.add("", value)
		if err := webhook.CheckHeader(p.Key, value); err != nil {
			p.KeyAt.Errorf("%s", err).Hint("leave it out, or give it another name")
		} else if h.Get(p.Key) != "" {
			p.KeyAt.Errorf("%s stands here twice", http.CanonicalHeaderKey(p.Key)).Hint("leave one of them out")
		}
		h.Set(p.Key, value)
	}
	return h
}

func (r configReader) clientTLS(n diag.Node) *TLSConfig {
	m, ok := n.Map()
	if !ok {
		return nil
	}
	c := &TLSConfig{ServerName: m.Get("server_name").Text()}
	c.CAFile, _ = r.pemFile(m.Get("ca_file"), pemCertificate)
	c.CertFile, c.KeyFile = r.clientCertificate(m.Get("cert_file"), m.Get("key_file"))
	m.Done()
	return c
}

// slackChannel is a channel's id: of a public one, a private one, or a conversation with one person.
var slackChannel = regexp.MustCompile(`^[CGD][A-Z0-9]{7,20}$`)

func (r configReader) slack(n diag.Node, names map[string]bool) SlackConfig {
	m, ok := n.Map()
	if !ok {
		return SlackConfig{}
	}
	c := SlackConfig{ReceiverConfig: r.receiver(m, defaultSlackRate, names, "incident")}
	channel := m.Need("channel")
	if c.Channel = channel.Text(); channel.Exists() && !slackChannel.MatchString(c.Channel) {
		channel.Errorf("%q is no channel's id", c.Channel).Hint("it looks like C0123456789, and stands at the end of the channel's details in Slack; names can change")
	}
	if c.Token = r.secret(m, "token"); c.Token == "" && !m.Has("token_file") {
		n.Errorf("a token is missing").Hint("name a file with token_file, which holds the app's Bot User OAuth Token")
	}
	if u := m.Get("url"); u.Exists() {
		c.URL = r.address(u)
	}
	m.Done()
	return c
}
