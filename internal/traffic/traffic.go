// Package traffic makes realistic log traffic of several tenants, with attacks hidden in it, for demonstrations and tests. The same
// options make the same messages, byte for byte.
package traffic

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// TenantHeader is the record header that names the tenant.
const TenantHeader = "tenant"

// The topics that messages are for.
const (
	TopicNginx      = "logs.nginx.access"
	TopicAuth       = "logs.auth"
	TopicCloudTrail = "logs.aws.cloudtrail"
	TopicApp        = "logs.app.audit"
	TopicKubernetes = "logs.kubernetes.audit"
	TopicGitHub     = "logs.github.audit"
)

// Topics is every topic that messages are for.
func Topics() []string {
	return []string{TopicNginx, TopicAuth, TopicCloudTrail, TopicApp, TopicKubernetes, TopicGitHub}
}

// Options says what to make.
type Options struct {
	// Seed decides everything that looks random.
	Seed uint64
	// Start is the time of the first message.
	Start time.Time
	// Rate is benign messages per second over all topics; attacks come on top. At least 1.
	Rate float64
	// Duration is what the attacks are planned into: they lie between 10 % and 75 % of it, or of each round where it is long enough
	// to hold several. Benign traffic goes on behind it for as long as Next is called. At least a second.
	Duration time.Duration
}

// Message is one record to produce.
type Message struct {
	Topic string
	// Key and Headers are shared between messages and must not be written to. Value is the receiver's.
	Key, Value []byte
	Headers    map[string]string
	// Time is when the record is written; what it tells happened up to a second earlier.
	Time time.Time
}

// Generator makes messages, one at a time. It is not safe for concurrent use.
type Generator struct {
	opts    Options
	rng     *rand.Rand
	tenants []*tenant
	mean    float64 // nanoseconds between messages of the background
	next    int64   // when the next of them comes, in nanoseconds since Start
	actors  actors
	seq     int
	planted []Attack
	broken  int64
}

// New makes a generator.
func New(opts Options) *Generator {
	opts.Rate = max(opts.Rate, 1)
	opts.Duration = max(opts.Duration, time.Second)
	g := &Generator{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0x6b6c61786f6e))}
	for i := range tenantSpecs {
		g.tenants = append(g.tenants, newTenant(g.rng, i))
	}
	habitual := g.addHabits()
	g.mean = 1e9 / (opts.Rate - habitual)
	g.next = g.gap(g.mean)
	g.plan()
	g.planBroken()
	return g
}

// Next is the next message, in the order of time. There is always one.
func (g *Generator) Next() Message {
	if len(g.actors) == 0 || g.next < g.actors[0].at {
		at := g.next
		g.next += g.gap(g.mean)
		return g.background(at)
	}
	a := g.actors[0]
	at := a.at
	m, wait := a.step(at)
	if wait < 0 {
		heap.Pop(&g.actors)
	} else {
		a.at = at + wait
		heap.Fix(&g.actors, 0)
	}
	return m
}

// Undecodable is how many of the messages so far no reader can make sense of: empty ones and JSON that ends in the middle.
func (g *Generator) Undecodable() int64 { return g.broken }

// message is a message of a tenant at a time. Strings in between would be garbage, so builders append to value.
func (g *Generator) message(t *tenant, topic string, key, value []byte, at int64) Message {
	return Message{Topic: topic, Key: key, Value: value, Headers: t.headers, Time: g.opts.Start.Add(time.Duration(at))}
}

// gap is a random wait around a mean, in nanoseconds, as of events that know nothing of each other.
func (g *Generator) gap(mean float64) int64 { return int64(min(g.rng.ExpFloat64(), 8) * mean) }

// chance is true in n of 1000 cases.
func (g *Generator) chance(n int) bool { return g.rng.IntN(1000) < n }

// actor is somebody who sends messages at times of their own.
type actor struct {
	at   int64 // nanoseconds since Start
	seq  int   // breaks ties, so that order does not depend on the heap
	step func(at int64) (m Message, wait int64)
}

// act adds an actor. step makes a message and says how long until the next one, in nanoseconds, or -1 at the end.
func (g *Generator) act(at int64, step func(at int64) (m Message, wait int64)) {
	g.seq++
	heap.Push(&g.actors, &actor{at: at, seq: g.seq, step: step})
}

type actors []*actor

func (h actors) Len() int { return len(h) }
func (h actors) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h actors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *actors) Push(x any)   { *h = append(*h, x.(*actor)) }
func (h *actors) Pop() any {
	old := *h
	a := old[len(old)-1]
	*h = old[:len(old)-1]
	return a
}
