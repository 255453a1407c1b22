package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
)

// deliverConfig reads a configuration whose deliver section is given, in a folder with secrets and certificates.
func deliverConfig(t *testing.T, deliver string) (Config, diag.List) {
	t.Helper()
	dir := t.TempDir()
	writeCertificates(t, dir)
	for name, text := range map[string]string{"secret": "s3cret\n", "old": "0ld\n", "older": "0lder\n", "bearer": "Bearer t0ken\n", "token": "xoxb-1\n", "empty": "\n", "lines": "Bearer\nt0ken"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list diag.List
	c := parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(smallConfig+"deliver:\n"+deliver), noEnv, &list)
	return c, list
}

func TestReceivers(t *testing.T) {
	c, list := deliverConfig(t, `
  webhooks:
    - {name: small, url: "http://soc", secret_file: secret}
    - name: full
      url: https://soc.example/klaxon
      secret_file: secret
      previous_secret_file: [old, older]
      send: [alert, incident]
      min_severity: high
      rate: 30/m
      authorization_file: bearer
      headers: {X-Environment: production, x-team: soc}
      tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key, server_name: soc.example}
  slack:
    - {name: small, channel: C0123456789, token_file: token}
    - {name: full, channel: G0123456789, token_file: token, send: [incident], min_severity: urgent, rate: none, url: "http://proxy:8080/api/"}
`)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	small, full := c.Deliver.Webhooks[0], c.Deliver.Webhooks[1]
	if small.Rate != (pipeline.Rate{PerSecond: 50, Burst: 50}) || small.MinSeverity != 0 || len(small.Send) != 1 || small.TLS != nil || len(small.Previous) != 0 {
		t.Errorf("%+v", small)
	}
	if full.Rate != (pipeline.Rate{PerSecond: 0.5, Burst: 1}) || full.MinSeverity != alert.High || strings.Join(full.Previous, " ") != "0ld 0lder" ||
		full.Header.Get("Authorization") != "Bearer t0ken" || full.Header.Get("X-Team") != "soc" || full.TLS.ServerName != "soc.example" {
		t.Errorf("%+v", full)
	}
	if s := c.Deliver.Slack[0]; s.Token != "xoxb-1" || s.URL != "" || s.Rate != (pipeline.Rate{PerSecond: 40.0 / 60, Burst: 1}) {
		t.Errorf("%+v", s)
	}
	if s := c.Deliver.Slack[1]; s.MinSeverity != alert.Urgent || s.Rate != (pipeline.Rate{}) || s.URL != "http://proxy:8080/api/" {
		t.Errorf("%+v", s)
	}
	a := &app{cfg: c, log: zap.NewNop(), stats: newStats(), wake: map[string]chan struct{}{}}
	if err := a.wireDestinations(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range a.told {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "alerts-topic webhook.small webhook.full slack.small slack.full" {
		t.Error(got)
	}
	if d := a.delivery(a.told[2]); d.Rate != full.Rate || a.told[2].MinSeverity != alert.High {
		t.Errorf("%+v", d.Rate)
	}
}

// TestReceiverMistakes: each has its place and says what to do, and shows no secret.
func TestReceiverMistakes(t *testing.T) {
	webhook := func(more string) string {
		return "  webhooks: [{name: soc, url: \"http://soc\", secret_file: secret, " + more + "}]\n"
	}
	slack := func(more string) string {
		return "  slack: [{name: soc, channel: C0123456789, token_file: token, " + more + "}]\n"
	}
	for name, c := range map[string]struct{ deliver, want string }{
		"a name twice":            {webhook("send: [alert]},{name: soc, url: \"http://x\", secret: x"), `:5:88: deliver.webhooks[1].name: the name "soc" is taken`},
		"a name in capitals":      {"  slack: [{name: SOC, channel: C0123456789, token_file: token}]\n", `deliver.slack[0].name: "SOC" is no name`},
		"a password in the url":   {"  webhooks: [{name: soc, url: \"https://me:T0KEN@soc\", secret_file: secret}]\n", "deliver.webhooks[0].url: holds a password"},
		"an empty former secret":  {webhook("previous_secret_file: [old, empty]"), "deliver.webhooks[0].previous_secret_file[1]: names an empty file"},
		"no severity":             {webhook("min_severity: critical"), "deliver.webhooks[0].min_severity: must be one of low, normal, high, urgent"},
		"no rate":                 {webhook("rate: fast"), `deliver.webhooks[0].rate: "fast" is no rate`},
		"a rate of nothing":       {slack("rate: 0/s"), `deliver.slack[0].rate: "0/s" lets nothing through`},
		"a rate a day":            {slack("rate: 5/d"), `deliver.slack[0].rate: "5/d" is no rate`},
		"a header of klaxon's":    {webhook("headers: {Content-Type: text/plain}"), "deliver.webhooks[0].headers.Content-Type: the header Content-Type is klaxon's own to set"},
		"no header":               {webhook(`headers: {"a b": c}`), `"a b" is no name of a header`},
		"a header twice":          {webhook("headers: {x-a: b, X-A: c}"), "X-A stands here twice"},
		"authorization twice":     {webhook("authorization_file: bearer, headers: {authorization: T0KEN}"), "Authorization stands here twice"},
		"a header of two lines":   {webhook("authorization_file: lines"), "the value of the header Authorization holds control characters"},
		"another's key":           {webhook("tls: {cert_file: client.pem, key_file: other.key}"), "deliver.webhooks[0].tls.key_file: does not go with cert_file"},
		"an unknown TLS setting":  {webhook("tls: {ca: ca.pem}"), `unknown key "ca"`},
		"a channel's name":        {"  slack: [{name: soc, channel: \"#soc\", token_file: token}]\n", `deliver.slack[0].channel: "#soc" is no channel's id`},
		"no channel":              {"  slack: [{name: soc, token_file: token}]\n", "channel is missing"},
		"no token":                {"  slack: [{name: soc, channel: C0123456789}]\n", "deliver.slack[0]: a token is missing"},
		"a token that is nowhere": {"  slack: [{name: soc, channel: C0123456789, token_file: nowhere}]\n", "deliver.slack[0].token_file: cannot read the secret"},
		"alerts to Slack":         {slack("send: [alert]"), "deliver.slack[0].send[0]: must be one of incident"},
		"no address":              {slack("url: slack.com/api"), "deliver.slack[0].url: is no http or https address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, list := deliverConfig(t, c.deliver)
			if !strings.Contains(list.String(), c.want) {
				t.Errorf("%q is not reported in\n%s", c.want, list)
			}
			for _, d := range list {
				if d.Line == 0 || d.Column == 0 || strings.Contains(d.String(), "T0KEN") || strings.Contains(d.String(), "t0ken") {
					t.Errorf("no place, or a secret: %s", d)
				}
			}
		})
	}
}
