package slack

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
)

// TestErrorsInDocs: what docs/slack.md says of Slack's errors is what becomes of them.
func TestErrorsInDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/slack.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(data), "## What Slack answers")
	if !found {
		t.Fatal("docs/slack.md does not say what Slack answers")
	}
	s, codes := &Slack{}, 0
	for row := range strings.Lines(table) {
		left, right, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([a-z_]+)…?`").FindAllStringSubmatch(left, -1) {
			codes++
			err := s.refused("chat.postMessage", &answer{Code: m[1], Needed: "channels:history"}, 0)
			parks := strings.Contains(right, "parks the message")
			if errors.Is(err, incidents.ErrPermanent) != parks {
				t.Errorf("%s: parked: %v, documented: %v", m[1], !parks, parks)
			}
			if hint := strings.Contains(err.Error(), "; "); hint != (!parks && m[1] != "ratelimited") {
				t.Errorf("%s: says what to do: %v: %v", m[1], hint, err)
			}
		}
	}
	if codes < 10 {
		t.Errorf("only %d errors are documented", codes)
	}
}
