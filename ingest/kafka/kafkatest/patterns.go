package kafkatest

import (
	"context"
	"errors"
	"sync"

	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// patterns reads by pattern: what is there, what is created later, and on after one of the topics was deleted.
func patterns(b *bench) {
	topic := func(suffix string) string {
		name := b.topic + suffix
		_, err := b.client.EnsureTopic(b.ctx, kafka.TopicSpec{Name: name, Partitions: 2})
		b.must(err)
		b.Cleanup(func() { b.delete(name) })
		return name
	}
	send := func(topic, value string) {
		b.must(b.client.Send(b.ctx, topic, []kafka.Message{{Value: []byte(value)}}))
	}
	told := &listener{}
	cfg := b.group("-p")
	cfg.Topics = kafka.Select(b.topic + ".*").Except(b.topic + ".debug.*")
	cfg.OnError = told.hear
	ctx, cancel := context.WithCancel(b.ctx)
	l := &ledger{seen: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.client.Consume(ctx, cfg, readOn(l)); err != nil {
			b.Error(err)
		}
	})
	b.until("it is told that nothing fits", func() bool {
		var nothing *kafka.NothingFitsError
		return errors.As(told.last(), &nothing)
	})
	first, debug := topic(".first"), topic(".debug.x")
	send(debug, "not to be read")
	send(first, "a")
	b.until("the first topic is read", func() bool { return l.count() == 1 })
	second := topic(".second")
	send(second, "b")
	b.until("a topic that was created later is read from its beginning", func() bool { return l.count() == 2 })
	heard := told.count()
	b.delete(first)
	send(second, "c")
	b.until("reading goes on after a topic was deleted", func() bool { return l.count() == 3 })
	third := topic(".third")
	send(third, "d")
	b.until("a new topic is read after one was deleted", func() bool { return l.count() == 4 })
	if n := told.count() - heard; n > maxToldOfDeletion {
		b.Errorf("a topic that was deleted was told %d times, last %v", n, told.last())
	}
	cancel()
	wg.Wait()
	for value, n := range l.seen {
		if n != 1 || value == "not to be read" {
			b.Errorf("%q was read %d times", value, n)
		}
	}
}

// maxToldOfDeletion is how many errors a deletion may cause: until it is noticed, fetches and commits fail.
const maxToldOfDeletion = 4

// listener keeps what it is told.
type listener struct {
	mu   sync.Mutex
	errs []error
}

func (l *listener) hear(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

func (l *listener) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) == 0 {
		return nil
	}
	return l.errs[len(l.errs)-1]
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.errs)
}
