package main

import (
	"crypto/tls"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/sinks/slack"
	"github.com/klaxonhq/klaxon/sinks/webhook"
)

// tell adds a receiver of a kind.
func (a *app) tell(kind string, c ReceiverConfig, n incidents.Notifier) {
	a.told = append(a.told, destination{Destination: incidents.Destination{Name: kind + "." + c.Name, Types: c.Send, MinSeverity: c.MinSeverity}, notifier: n, rate: c.Rate})
}

func (a *app) wireWebhook(c WebhookConfig) error {
	var t *tls.Config
	if c.TLS != nil {
		source, err := certificates("webhook "+c.Name, c.TLS, a.log)
		if err != nil {
			return err
		}
		t = source.Lasting()
	}
	n, err := webhook.New(webhook.Config{URL: c.URL, Secret: c.Secret, Previous: c.Previous, Header: c.Header, Source: "klaxon", TLS: t})
	if err != nil {
		return err
	}
	a.tell("webhook", c.ReceiverConfig, n)
	return nil
}

func (a *app) wireSlack(c SlackConfig) error {
	n, err := slack.New(slack.Config{Name: c.Name, Channel: c.Channel, Token: c.Token, URL: c.URL, Log: a.log})
	if err != nil {
		return err
	}
	a.tell("slack", c.ReceiverConfig, n)
	return nil
}
