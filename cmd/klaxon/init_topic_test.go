package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	kafkago "github.com/segmentio/kafka-go"
)

// samples is a cluster that answers from memory.
type samples map[string]func() (kafka.Sample, error)

func (s samples) Sample(_ context.Context, topic string, _ kafka.SampleLimits) (kafka.Sample, error) {
	sample, err := s[topic]()
	for i := range sample.Records {
		sample.Records[i].Source.Topic, sample.Records[i].Time = topic, trafficStart().UnixMilli()
	}
	return sample, err
}

// shipped is the generation of what ships.
func shipped(t *testing.T) *loaded {
	t.Helper()
	g, err := loadOrExplain((&unitFlags{}).sources())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// surveyOf looks at one topic.
func surveyOf(t *testing.T, g *loaded, topic string, sample kafka.Sample, failed error) (*survey, *finding) {
	t.Helper()
	calls := 0
	s := surveyTopics(t.Context(), samples{topic: func() (kafka.Sample, error) { return sample, failed }}, g, []kafka.Topic{{Name: topic, Partitions: 1}}, 10, func(int) { calls++ })
	if calls != 1 || len(s.Topics) != 1 {
		t.Fatalf("%d calls, %d topics", calls, len(s.Topics))
	}
	return s, s.Topics[0]
}

func lines(format string, n int, headers ...event.Header) kafka.Sample {
	s := kafka.Sample{Retained: int64(n), Ever: true}
	for i := range n {
		value := format
		if strings.Contains(format, "%") {
			value = fmt.Sprintf(format, i)
		}
		s.Records = append(s.Records, event.Record{Offset: int64(i), Value: []byte(value), Headers: headers})
	}
	return s
}

const (
	sshdLine  = "Failed password for root from 203.0.113.%d port 53122 ssh2"
	nginxLine = `203.0.113.%d - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8"`
)

func TestTopicsWithLogs(t *testing.T) {
	g, header := shipped(t), event.Header{Key: "log.type", Value: []byte("nginx")}
	for name, test := range map[string]struct {
		topic, dataset, by string
		sample             kafka.Sample
		parsed             int
		rule               string   // one that is fed
		fits               []string // the beginning
	}{
		"claimed by a header":                        {topic: "x", sample: lines(nginxLine, 20, header), dataset: "nginx.access", by: byHeader, parsed: 100, rule: "web-request-flood"},
		"claimed by its name":                        {topic: "logs.auth", sample: lines(sshdLine, 20), dataset: "system.auth", by: byTopic, parsed: 100, rule: "ssh-bruteforce"},
		"claimed by its shape":                       {topic: "x", sample: lines("<38>Oct 10 13:55:36 bastion sshd[42]: "+sshdLine, 20), dataset: "system.auth", by: byShape, parsed: 100, rule: "ssh-bruteforce"},
		"claimed by nobody, but fits":                {topic: "secure", sample: lines(sshdLine, 20), dataset: "text", fits: []string{"system.auth"}},
		"claimed by its name, and does not":          {topic: "logs.auth", sample: lines(nginxLine, 20), dataset: "system.auth", by: byTopic, fits: []string{"apache.access", "nginx.access"}},
		"of two that fit, the one of the name first": {topic: "logs.auth.nginx", sample: lines(nginxLine, 20), dataset: "system.auth", by: byTopic, fits: []string{"nginx.access", "apache.access"}},
		"text that fits nothing":                     {topic: "x", sample: lines("worker %d: done", 20), dataset: "text"},
		"ECS that nobody claims":                     {topic: "x", sample: lines(`{"source":{"ip":"203.0.113.%d"},"message":"m"}`, 20), dataset: "json"},
		"compacted, but claimed":                     {topic: "logs.auth", sample: removed(lines(sshdLine, 20)), dataset: "system.auth", by: byTopic, parsed: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := surveyOf(t, g, test.topic, test.sample, nil)
			if !f.hasLogs() || f.Dataset != test.dataset || f.ClaimedBy != test.by || f.parsedPercent() != test.parsed {
				t.Errorf("left out %q, %s by %q, %d %% parsed", f.Skip, f.Dataset, f.ClaimedBy, f.parsedPercent())
			}
			if n := min(len(test.fits), len(f.Fits)); !slices.Equal(f.Fits[:n], test.fits) || len(test.fits) == 0 && len(f.Fits) > 0 {
				t.Errorf("it fits %v, want %v", f.Fits, test.fits)
			}
			if test.rule != "" && (!slices.Contains(f.Rules, test.rule) || !slices.Contains(s.Fed, test.rule)) {
				t.Errorf("it feeds %v", f.Rules)
			}
			if slices.ContainsFunc(s.Unfed, func(u unfedRule) bool { return u.Rule == test.rule }) {
				t.Errorf("unfed: %v", s.Unfed)
			}
		})
	}
}

func removed(s kafka.Sample) kafka.Sample {
	s.Removed = 7
	return s
}

func TestTopicsThatAreLeftOut(t *testing.T) {
	g := shipped(t)
	for name, test := range map[string]struct {
		sample kafka.Sample
		err    error
		skip   string
		detail string
	}{
		"never written to":    {skip: skipEmpty, detail: "never held a record"},
		"expired":             {sample: kafka.Sample{Ever: true}, skip: skipEmpty, detail: "expired"},
		"not committed":       {sample: kafka.Sample{Ever: true, Retained: 5}, skip: skipEmpty, detail: "no record of it is committed"},
		"too large":           {sample: kafka.Sample{Ever: true, Retained: 2, TooLarge: 2}, skip: skipTooLarge, detail: "each of 2 records"},
		"binary":              {sample: lines("\x00\x00\x01%d", 9), skip: skipBinary, detail: "9 of 9 records are no text"},
		"tombstones":          {sample: lines("", 4), skip: skipUndecodable, detail: "4 of 4 records cannot be decoded (empty 4)"},
		"cut JSON":            {sample: lines(`{"a":%d`, 4), skip: skipUndecodable, detail: "json_truncated 4"},
		"a table":             {sample: removed(lines(`{"id":%d}`, 9)), skip: skipCompacted, detail: "as a table's do"},
		"no right to read":    {err: fmt.Errorf("sample: %w", kafkago.TopicAuthorizationFailed), skip: skipForbidden, detail: "ACL READ"},
		"deleted":             {err: fmt.Errorf("sample: %w", kafka.ErrUnknownTopic), skip: skipGone, detail: "deleted"},
		"no time left":        {err: fmt.Errorf("sample: %w", context.DeadlineExceeded), skip: skipFailed, detail: "--timeout"},
		"anything else":       {err: errors.New("the dog ate it"), skip: skipFailed, detail: "the dog ate it"},
		"failed in part only": {sample: lines("\x00\x01%d", 2), err: errors.New("x"), skip: skipBinary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := surveyOf(t, g, "x", test.sample, test.err)
			if f.Skip != test.skip || !strings.Contains(f.Detail, test.detail) {
				t.Errorf("%s: %s", f.Skip, f.Detail)
			}
			if len(f.Rules) > 0 || len(s.Fed) > 0 || len(s.Unfed) == 0 {
				t.Errorf("feeds %v", f.Rules)
			}
		})
	}
}

func TestAMixedTopicIsToldApart(t *testing.T) {
	t.Parallel()
	sample := lines(sshdLine, 10)
	sample.Records = append(sample.Records, lines("no such line %d", 7).Records...)
	sample.Records = append(sample.Records, lines("", 2).Records...)
	sample.Records = append(sample.Records, lines(nginxLine, 1, event.Header{Key: "log.type", Value: []byte("nginx")}).Records...)
	_, f := surveyOf(t, shipped(t), "logs.auth", sample, nil)
	if f.Sampled != 20 || f.Events != 18 || f.Parsed != 11 || f.Misfits != 7 || f.dead() != 2 || f.parsedPercent() != 55 || f.Dataset != "system.auth" || f.ClaimedBy != byTopic {
		t.Errorf("%+v", f)
	}
	want := []string{
		"7 of 18 events are not as system.auth expects; they are archived and evaluated all the same, as pipeline_error",
		"2 of 20 records cannot be decoded (empty 2) and would be dead letters",
		"it holds several kinds of logs: system.auth 17, nginx.access 1",
	}
	if got := f.remarks(); !slices.Equal(got, want) {
		t.Errorf("remarks %q", got)
	}
}

func TestRulesWithoutTheirFields(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "r.yaml", `id: needs-port
title: t
source: {dataset: [json]}
severity: low
where: source.port == 22 and source.ip == "203.0.113.9"
alert: {title: t}
---
id: needs-country
title: t
source: {dataset: [json]}
severity: low
where: source.geo.country_iso_code == "NL" and source.ip == "203.0.113.9"
alert: {title: t}
`)
	g, err := loadOrExplain((&unitFlags{RuleDir: []string{dir}, NoShipped: true}).sources())
	if err != nil {
		t.Fatal(err)
	}
	client := samples{"x": func() (kafka.Sample, error) { return lines(`{"source":{"ip":"9.9.9.%d"}}`, 3), nil }}
	s := surveyTopics(t.Context(), client, g, []kafka.Topic{{Name: "x"}}, 10, func(int) {})
	if !slices.Equal(s.Fed, []string{"needs-country"}) || len(s.Unfed) != 1 || s.Unfed[0] != (unfedRule{"needs-port", "no topic gives source.port"}) {
		t.Errorf("fed %v, unfed %v", s.Fed, s.Unfed)
	}
}

func TestWantedTopics(t *testing.T) {
	all := []kafka.Topic{{Name: "__state", Internal: true}, {Name: "klaxon.hits"}, {Name: "logs.a"}, {Name: "logs.b"}, {Name: "other"}}
	for _, test := range []struct{ patterns, want []string }{
		{nil, []string{"logs.a", "logs.b", "other"}},
		{[]string{"logs.*"}, []string{"logs.a", "logs.b"}},
		{[]string{"logs.?", "oth*"}, []string{"logs.a", "logs.b", "other"}},
		{[]string{"*"}, []string{"logs.a", "logs.b", "other"}},
		{[]string{"none"}, nil},
	} {
		var got []string
		for _, topic := range wanted(slices.Clone(all), test.patterns, []string{"klaxon.hits"}) {
			got = append(got, topic.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: %v, want %v", test.patterns, got, test.want)
		}
	}
}

func TestTenantsOfHeaders(t *testing.T) {
	t.Parallel()
	sample := kafka.Sample{Ever: true, Retained: 40}
	for i := range 40 {
		sample.Records = append(sample.Records, event.Record{Offset: int64(i), Value: []byte("x"), Headers: []event.Header{
			{Key: "X-Tenant-ID", Value: fmt.Appendf(nil, "t%02d\x1b[2J", i)}, {Key: "tenantless", Value: nil}, {Key: "subtenant", Value: []byte(strings.Repeat("y", 100))}}})
	}
	s, f := surveyOf(t, shipped(t), "x", sample, nil)
	if s.TenantHeader != "X-Tenant-ID" || len(f.Tenants) != maxTenantsSeen {
		t.Errorf("header %q, %d tenants", s.TenantHeader, len(f.Tenants))
	}
	if text := tenantsText(s.Topics); strings.ContainsRune(text, 0x1b) {
		t.Errorf("%q holds control characters", text)
	}
}

func TestSurveyOfNothing(t *testing.T) {
	if s := surveyTopics(t.Context(), samples{}, shipped(t), nil, 10, func(int) {}); len(s.Topics) != 0 || len(s.Fed) != 0 || len(s.Unfed) == 0 {
		t.Errorf("%+v", s)
	}
}
