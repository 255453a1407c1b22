package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/sinks/slack/slacktest"
)

// TestOutboxCommands: what a destination refused is seen, and is told once it has been mended.
func TestOutboxCommands(t *testing.T) {
	s := slacktest.New()
	defer s.Close()
	a := toldSlack(t, s)
	run := func(command func(context.Context, streams) error) string {
		t.Helper()
		var out bytes.Buffer
		if err := command(t.Context(), streams{out: &out, err: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	flags := storeFlags{Store: a.cfg.Store.Path}
	list := func(state string) string { return run((&outboxListCmd{storeFlags: flags, State: state}).Run) }
	if got := list(""); got != "no messages\n" {
		t.Errorf("%q", got)
	}
	raise(t, a, 1, alert.High)
	raise(t, a, 2, alert.High)
	s.Refuse("chat.postMessage", "msg_too_long")
	a.delivery(a.told[0]).Flush(t.Context())
	got := list("")
	if !regexp.MustCompile(`(?m)^1 +slack\.soc +parked .* incident [0-9a-f]{10} +1 +chat\.postMessage: Slack refused: msg_too_long`).MatchString(got) || strings.Count(got, "parked") != 2 {
		t.Errorf("%s", got)
	}
	s.Refuse("chat.postMessage", "")
	retry := func(c outboxRetryCmd) string {
		c.storeFlags = flags
		return run(c.Run)
	}
	if got := retry(outboxRetryCmd{Seq: []int64{1}}) + retry(outboxRetryCmd{Destination: "slack.soc"}); got != "tried again: 1\ntried again: 1\n" {
		t.Errorf("%q", got)
	}
	if got := list("waiting"); strings.Count(got, "waiting") != 2 {
		t.Errorf("%s", got)
	}
	a.delivery(a.told[0]).Flush(t.Context())
	if got := list("sent"); strings.Count(got, " sent ") != 2 || len(s.Messages()) != 2 {
		t.Errorf("%s", got)
	}
	for name, c := range map[string]outboxRetryCmd{"nothing named": {}, "both named": {Seq: []int64{1}, Destination: "x"}, "not parked": {Seq: []int64{1}}, "not there": {Seq: []int64{99}}} {
		c.storeFlags = flags
		if err := c.Run(t.Context(), streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
