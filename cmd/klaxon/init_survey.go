package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/glob"
	"github.com/klaxonhq/klaxon/rules"
)

const (
	surveyReaders = 4       // topics that are read at the same time
	surveyBytes   = 4 << 20 // of one topic
)

// survey is what was found in a cluster.
type survey struct {
	Topics       []*finding // by name
	TenantHeader string     // the header that says whose records are, "" where there is none
	Fed          []string   // rules
	Unfed        []unfedRule
}

// unfedRule is a rule that no topic gives what it needs.
type unfedRule struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// logs is the topics that hold logs.
func (s *survey) logs() []*finding { return s.which((*finding).hasLogs) }

// leftOut is the others.
func (s *survey) leftOut() []*finding {
	return s.which(func(f *finding) bool { return !f.hasLogs() })
}

func (s *survey) which(is func(*finding) bool) []*finding {
	var out []*finding
	for _, f := range s.Topics {
		if is(f) {
			out = append(out, f)
		}
	}
	return out
}

// sampler is the part of the Kafka client that a survey needs.
type sampler interface {
	Sample(ctx context.Context, topic string, limits kafka.SampleLimits) (kafka.Sample, error)
}

// surveyTopics reads a sample of every topic. progress is called, one at a time, after each.
func surveyTopics(ctx context.Context, client sampler, g *loaded, topics []kafka.Topic, records int, progress func(done int)) *survey {
	s := &survey{Topics: make([]*finding, len(topics))}
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range min(surveyReaders, len(topics)) {
		wg.Go(func() {
			j := newJudge(g)
			for i := range next {
				sample, err := client.Sample(ctx, topics[i].Name, kafka.SampleLimits{Records: records, Bytes: surveyBytes})
				s.Topics[i] = j.topic(topics[i], sample, err)
				mu.Lock()
				done++
				progress(done)
				mu.Unlock()
			}
		})
	}
	for i := range topics {
		next <- i
	}
	close(next)
	wg.Wait()
	s.nameTenants()
	s.feed(g)
	return s
}

// nameTenants chooses the header that most topics with logs have, and says which tenants each topic is of.
func (s *survey) nameTenants() {
	counts := map[string]int{}
	for _, f := range s.logs() {
		for key := range f.headers {
			counts[key]++
		}
	}
	s.TenantHeader = most(counts)
	for _, f := range s.Topics {
		f.Tenants = slices.Sorted(maps.Keys(f.headers[s.TenantHeader]))
	}
}

// feed says which rules each topic feeds, and which none does.
func (s *survey) feed(g *loaded) {
	info := map[string]datasets.Info{}
	for _, i := range g.datasets.List() {
		info[i.Name] = i
	}
	fed := map[string]bool{}
	for _, r := range g.Rules.Rules() {
		if r.Mode == rules.Disabled {
			continue
		}
		lacks := ""
		for _, f := range s.logs() {
			ok, missing := feeds(f, r, g, info)
			if ok {
				f.Rules = append(f.Rules, r.ID)
				fed[r.ID] = true
			}
			lacks = cmp.Or(lacks, missing)
		}
		switch {
		case fed[r.ID]:
			s.Fed = append(s.Fed, r.ID)
		case lacks != "":
			s.Unfed = append(s.Unfed, unfedRule{r.ID, "no topic gives " + lacks})
		case len(s.logs()) == 0:
			s.Unfed = append(s.Unfed, unfedRule{r.ID, "no topic holds logs"})
		default:
			s.Unfed = append(s.Unfed, unfedRule{r.ID, "no topic holds " + strings.Join(r.Source.Datasets, " or ")})
		}
	}
}

// feeds says whether a topic has events of a rule's datasets with every field that it asks for; if it is for a field only, which.
func feeds(f *finding, r *rules.Rule, g *loaded, info map[string]datasets.Info) (ok bool, missing string) {
	for _, name := range slices.Sorted(maps.Keys(f.Datasets)) {
		if !slices.ContainsFunc(r.Source.Datasets, func(p string) bool { return glob.Match(p, name) }) {
			continue
		}
		lacks := slices.IndexFunc(r.Fields(), func(field string) bool { return !f.seen[name][field] && !gives(name, field, g, info) })
		if lacks < 0 {
			return true, ""
		}
		missing = cmp.Or(missing, r.Fields()[lacks])
	}
	return false, missing
}

// gives says whether a dataset can give its events a field, though none of the sample has it.
func gives(dataset, field string, g *loaded, info map[string]datasets.Info) bool {
	i := info[dataset]
	if slices.Contains(i.Fields, field) || i.Vendor != "" && strings.HasPrefix(field, i.Vendor+".") {
		return true
	}
	for _, always := range []string{"klaxon.", "related.", "event.dataset", "event.kind", "event.original", "@timestamp", "tags"} {
		if field == always || strings.HasSuffix(always, ".") && strings.HasPrefix(field, always) {
			return true
		}
	}
	if d := g.datasets.Get(dataset); field == "client.ip" {
		return d != nil && d.Forwarded() != 0
	}
	for _, follows := range []string{".geo.", ".as."} { // from the address
		if whose, _, ok := strings.Cut(field, follows); ok {
			return gives(dataset, whose+".ip", g, info)
		}
	}
	return false
}

// wanted is the topics that a survey looks at: those that fit the patterns, without Kafka's own and klaxon's.
func wanted(all []kafka.Topic, patterns, own []string) []kafka.Topic {
	return slices.DeleteFunc(all, func(t kafka.Topic) bool {
		return t.Internal || slices.Contains(own, t.Name) || len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, t.Name) })
	})
}
