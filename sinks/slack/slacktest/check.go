package slacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Slack's limits.
const (
	maxText     = 40_000
	maxBlocks   = 50
	maxHeader   = 150
	maxSection  = 3000
	maxField    = 2000
	maxFields   = 10
	maxElements = 10
	maxBlockID  = 255
	maxMetadata = 8000
	maxAll      = 13_000 // of all blocks together; Slack documents none, and answers msg_blocks_too_long
)

// textObject and blockObject are Slack's, as far as klaxon writes them; anything else is refused.
type textObject struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji"`
	Verbatim *bool  `json:"verbatim"`
}

type blockObject struct {
	Type     string       `json:"type"`
	ID       string       `json:"block_id"`
	Text     *textObject  `json:"text"`
	Fields   []textObject `json:"fields"`
	Elements []textObject `json:"elements"`
}

// check says what is wrong with a message, as Slack does.
func check(in request) answer {
	switch {
	case in.Text == "" && len(in.Blocks) == 0:
		return refused("no_text")
	case utf8.RuneCountInString(in.Text) > maxText:
		return refused("msg_too_long")
	case in.Parse != "none" || in.LinkNames:
		return refused("invalid_arguments", "a rule of this server: nothing in a text becomes a mention or a link")
	}
	var blocks []blockObject
	d := json.NewDecoder(bytes.NewReader(in.Blocks))
	d.DisallowUnknownFields()
	if err := d.Decode(&blocks); err != nil {
		return refused("invalid_blocks_format", err.Error())
	}
	if len(blocks) > maxBlocks {
		return refused("invalid_blocks", fmt.Sprintf("no more than %d items allowed", maxBlocks))
	}
	if utf8.RuneCount(in.Blocks) > maxAll {
		return refused("msg_blocks_too_long")
	}
	ids := map[string]bool{}
	for i := range blocks {
		b := &blocks[i]
		if why := b.check(); why != "" {
			return refused("invalid_blocks", fmt.Sprintf("/blocks/%d: %s", i, why))
		}
		if b.ID != "" && ids[b.ID] || len(b.ID) > maxBlockID {
			return refused("invalid_blocks", "block_id "+b.ID)
		}
		ids[b.ID] = true
	}
	return checkMetadata(in.Metadata)
}

func (b *blockObject) check() string {
	switch b.Type {
	case "header":
		if b.Text == nil || b.Text.Type != "plain_text" {
			return "a header is plain text"
		}
		return b.Text.check(maxHeader)
	case "section":
		if b.Text == nil && len(b.Fields) == 0 {
			return "a section needs text or fields"
		}
		if len(b.Fields) > maxFields {
			return "too many fields"
		}
		if b.Text != nil {
			if why := b.Text.check(maxSection); why != "" {
				return why
			}
		}
		return checkAll(b.Fields, maxField)
	case "context":
		if len(b.Elements) == 0 || len(b.Elements) > maxElements {
			return "a context has one to ten elements"
		}
		return checkAll(b.Elements, maxSection)
	}
	return "unsupported type " + b.Type
}

func checkAll(list []textObject, limit int) string {
	for i := range list {
		if why := list[i].check(limit); why != "" {
			return why
		}
	}
	return ""
}

func (t *textObject) check(limit int) string {
	switch {
	case t.Type == "plain_text" && t.Verbatim != nil:
		return "verbatim is for mrkdwn"
	case t.Type == "mrkdwn" && t.Emoji != nil:
		return "emoji is for plain_text"
	case t.Type != "plain_text" && t.Type != "mrkdwn":
		return "no type of text: " + t.Type
	case t.Text == "":
		return "must be more than 0 characters"
	case len(utf16.Encode([]rune(t.Text))) > limit:
		return fmt.Sprintf("must be less than %d characters", limit+1)
	case t.Type == "mrkdwn" && (t.Verbatim == nil || !*t.Verbatim):
		return "a rule of this server: nothing becomes a link by itself"
	}
	return ""
}

var eventType = regexp.MustCompile(`^[A-Za-z0-9_.]{1,100}$`)

func checkMetadata(raw json.RawMessage) answer {
	if len(raw) == 0 {
		return nil
	}
	var d struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return refused("invalid_metadata_format", err.Error())
	}
	switch {
	case !eventType.MatchString(d.Type) || d.Payload == nil:
		return refused("invalid_metadata_schema")
	case len(raw) > maxMetadata:
		return refused("metadata_too_large")
	}
	return nil
}

// Active is what of a mrkdwn text is more than text: links, mentions and the like, as they stand between angle brackets.
func Active(text string) []string {
	var out []string
	for {
		_, rest, found := strings.Cut(text, "<")
		if !found {
			return out
		}
		inner, after, closed := strings.Cut(rest, ">")
		if !closed {
			return append(out, rest)
		}
		out, text = append(out, inner), after
	}
}
