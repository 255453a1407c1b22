package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func processTests() []test {
	return []test{
		{"a claim fences another process", fencesProcess},
		{"shards and keys in any order", noDeadlock},
		{"shards change hands under way", handOver},
		{"an alert whose incident key has changed", keyChanged},
		{"ticks of several processes", ticksTogether},
		{"a message that two deliver", deliveredByTwo},
	}
}

func fencesProcess(f *fixture) {
	_, other := f.process()
	f.apply(raised("a", "k"))
	s, err := other.Claim(f.ctx(), 0, topicID)
	f.must(err)
	if s.Epoch != 2 || s.Next != f.next {
		f.Errorf("claimed %+v", s)
	}
	before := f.dump()
	f.refused(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: 1, Next: 99, TopicID: topicID, Alerts: []alert.Alert{raised("b", "k")}}}), incidents.ErrFenced)
	f.same("what is stored", f.dump(), before)
	f.must(other.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: 2, Next: 99, TopicID: topicID, Alerts: []alert.Alert{raised("b", "k")}}}))
	if in := f.only(); in.Alerts != 2 {
		f.Errorf("%+v", in)
	}
}

// noDeadlock: transactions of several shards and keys each, in any order, of two processes, while people and deliveries work on the same
// incidents. None fails, and nothing is lost.
func noDeadlock(f *fixture) {
	const writers, rounds, keys = 6, 5, 5
	_, other := f.process()
	books := []*incidents.Book{f.book, other}
	for shard := range int32(2 * writers) {
		f.claim(shard)
	}
	var wg sync.WaitGroup
	for w := range int32(writers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for round := range rounds {
				writes := []incidents.ShardWrite{write(2*w, int64(round), "state"), write(2*w+1, int64(round), "")}
				for i := range writes {
					for n := range 3 {
						name := fmt.Sprint(w, " ", round, " ", i, " ", n)
						writes[i].Alerts = append(writes[i].Alerts, raised(name, fmt.Sprint("k", r.IntN(keys)), severity(alert.Severity(1+r.IntN(4)))))
					}
				}
				if r.IntN(2) == 0 {
					writes[0], writes[1] = writes[1], writes[0]
				}
				if err := books[w%2].Apply(f.ctx(), f.now, writes); err != nil {
					f.Error(err)
				}
			}
		})
	}
	for _, book := range books {
		wg.Go(func() { f.deliverSome(book) })
	}
	wg.Wait()
	if err := consistent(f.dump()); err != nil {
		f.Error(err)
	}
	if n := len(f.dump().Alerts); n != writers*rounds*2*3 {
		f.Errorf("%d alerts", n)
	}
	if n := len(f.list(incidents.Filter{})); n != keys {
		f.Errorf("%d incidents, want %d", n, keys)
	}
}

// deliverSome settles messages and writes notes, as a deliver loop and a person would.
func (f *fixture) deliverSome(book *incidents.Book) {
	for range 5 {
		due, err := book.Due(f.ctx(), soc, f.now, 5)
		for _, m := range due {
			err = errors.Join(err, book.Sent(f.ctx(), m, "ref", f.now))
		}
		list, listErr := book.List(f.ctx(), incidents.Filter{Limit: 2})
		for _, in := range list {
			_, noteErr := book.Note(f.ctx(), f.now, in.ID, "kim", "looking")
			err = errors.Join(err, noteErr)
		}
		if err = errors.Join(err, listErr, book.Tick(f.ctx(), f.now)); err != nil {
			f.Error(err)
		}
	}
}

// handOver: two processes take shards from each other all the time. Whoever owns one writes the alerts from the offset that the store
// names on, as the log has them, so that in the end every alert is there, and once.
func handOver(f *fixture) {
	const shards, length = 3, 9
	_, other := f.process()
	var wg sync.WaitGroup
	for i, book := range []*incidents.Book{f.book, other, f.book} {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(9, uint64(i)))
			for done := 0; done < shards; {
				done = 0
				for shard := range int32(shards) {
					next, err := ownFor(f, book, shard, 1+r.Int64N(4), length)
					if err != nil && !errors.Is(err, incidents.ErrFenced) {
						f.Error(err)
						return
					}
					if next >= length {
						done++
					}
				}
			}
		})
	}
	wg.Wait()
	d := f.dump()
	if err := consistent(d); err != nil {
		f.Error(err)
	}
	if len(d.Alerts) != shards*length {
		f.Errorf("%d alerts, want %d", len(d.Alerts), shards*length)
	}
}

// ownFor claims a shard, writes at most n records of its log, and answers the offset that it came to.
func ownFor(f *fixture, book *incidents.Book, shard int32, n, length int64) (next int64, err error) {
	s, err := book.Claim(f.ctx(), shard, topicID)
	next = max(s.Next, 0)
	for end := min(next+n, length); err == nil && next < end; next++ {
		err = book.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Shard: shard, Epoch: s.Epoch, Next: next + 1, TopicID: topicID,
			Alerts: []alert.Alert{raised(fmt.Sprint(shard, " ", next), fmt.Sprint("k", next%2))}}})
	}
	return next, err
}

// keyChanged: a rule's incident_by was changed while its alert went on. The alert stays in its incident, under whose key others work.
func keyChanged(f *fixture) {
	f.apply(raised("a", "k"))
	f.claim(1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 15 {
			w := write(1, int64(i), "")
			w.Alerts = []alert.Alert{raised(fmt.Sprint(i), "k")}
			if err := f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{w}); err != nil {
				f.Error(err)
			}
		}
	})
	_, other := f.process()
	for i := range int64(15) {
		f.next++
		f.must(other.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: 1, Next: f.next, TopicID: topicID,
			Alerts: []alert.Alert{raised("a", "another", revision(2+i))}}}))
	}
	wg.Wait()
	if in := f.only(); in.Alerts != 16 || in.Revision != 31 {
		f.Errorf("%d alerts, revision %d", in.Alerts, in.Revision)
	}
	if err := consistent(f.dump()); err != nil {
		f.Error(err)
	}
}

func ticksTogether(f *fixture) {
	for i := range 40 {
		f.apply(raised(fmt.Sprint(i), "k", mode(alert.Signal)))
	}
	f.wait(100 * 24 * time.Hour)
	_, other := f.process()
	var wg sync.WaitGroup
	for _, book := range []*incidents.Book{f.book, other} {
		wg.Go(func() {
			if err := book.Tick(f.ctx(), f.now); err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(f.due(soc)); n != 0 {
		f.Errorf("%d messages wait", n)
	}
	if d := f.dump(); len(d.Alerts) != 0 || len(d.Messages) != 80 {
		f.Errorf("%d alerts and %d messages are left", len(d.Alerts), len(d.Messages))
	}
	if a, b := f.book.Stats(), other.Stats(); a.GivenUp+b.GivenUp != 80 || a.Pruned+b.Pruned != 40 {
		f.Errorf("counted %+v and %+v", a, b)
	}
}

// deliveredByTwo: who was stopped between delivering and saying so changes nothing any more.
func deliveredByTwo(f *fixture) {
	_, other := f.process()
	f.apply(raised("a", "k"))
	late := f.due(soc)
	for _, m := range late {
		f.must(other.Sent(f.ctx(), m, "first", f.now))
	}
	before := f.dump()
	f.wait(time.Minute)
	for _, m := range late {
		f.must(f.book.Sent(f.ctx(), m, "second", f.now))
		f.must(f.book.Failed(f.ctx(), m, "down", f.now.Add(time.Minute)))
		f.must(f.book.Failed(f.ctx(), m, "refused", time.Time{}))
	}
	f.same("what is stored", f.dump(), before)
}
