package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func concurrencyTests() []test {
	return []test{
		{"readers see whole transactions", wholeTransactions},
		{"shards that meet in one incident", oneIncident},
		{"claims against writers", claimsAgainstWriters},
		{"people against the machine", peopleAgainstMachine},
	}
}

// consistent says what does not fit together in a dump.
func consistent(d Dump) error {
	linked := 0
	for _, in := range d.Incidents {
		if int64(len(d.Timelines[in.ID])) != in.Entries || int64(len(d.Evidence[in.ID])) != in.Alerts {
			return fmt.Errorf("incident %s says %d entries and %d alerts, there are %d and %d", in.ID, in.Entries, in.Alerts, len(d.Timelines[in.ID]), len(d.Evidence[in.ID]))
		}
		linked += len(d.Evidence[in.ID])
	}
	if linked != len(d.Alerts) {
		return fmt.Errorf("%d alerts, %d of incidents", len(d.Alerts), linked)
	}
	return nil
}

func wholeTransactions(f *fixture) {
	f.claim(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				var d Dump
				err := f.store.View(f.ctx(), func(v incidents.View) (err error) {
					d, err = Read(v)
					return err
				})
				if err = errors.Join(err, consistent(d)); err != nil {
					f.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 30 {
		w := write(0, int64(i), "state")
		for j := range 5 {
			w.Alerts = append(w.Alerts, raised(fmt.Sprint(i, j), fmt.Sprint("k", j%2)))
		}
		if err := f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{w}); err != nil {
			f.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
}

func oneIncident(f *fixture) {
	const shards, rounds = 4, 10
	var wg sync.WaitGroup
	for shard := range int32(shards) {
		f.claim(shard)
		wg.Go(func() {
			for i := range rounds {
				w := write(shard, int64(i), "")
				w.Alerts = []alert.Alert{raised(fmt.Sprint(shard, i), "k"), raised(fmt.Sprint(shard, i, "l"), fmt.Sprint("l", i%3))}
				if err := f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{w}); err != nil {
					f.Error(err)
				}
			}
		})
	}
	wg.Wait()
	list := f.list(incidents.Filter{})
	if len(list) != 4 {
		f.Errorf("%d incidents, want 4", len(list))
	}
	if err := consistent(f.dump()); err != nil {
		f.Error(err)
	}
}

// claimsAgainstWriters: of what an owner wrote, its successor sees everything that was acknowledged.
func claimsAgainstWriters(f *fixture) {
	const owners = 4
	var mu sync.Mutex
	acknowledged := map[int64]int64{} // the last offset, by epoch
	var wg sync.WaitGroup
	for range owners {
		wg.Go(func() {
			s, err := f.book.Claim(f.ctx(), 0, topicID)
			if err != nil {
				f.Error(err)
				return
			}
			mu.Lock()
			for epoch, next := range acknowledged {
				if epoch < s.Epoch && s.Next < next {
					f.Errorf("epoch %d begins at %d, epoch %d had written %d", s.Epoch, s.Next, epoch, next)
				}
			}
			mu.Unlock()
			for i := int64(1); i <= 20; i++ {
				next := max(s.Next, 0) + i
				err := f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: s.Epoch, Next: next, TopicID: topicID}})
				if errors.Is(err, incidents.ErrFenced) {
					return
				}
				if err != nil {
					f.Error(err)
					return
				}
				mu.Lock()
				acknowledged[s.Epoch] = next
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s := f.claim(0)
	if s.Epoch != owners+1 || s.Next < acknowledged[owners] {
		f.Errorf("%+v, acknowledged %v", s, acknowledged)
	}
}

func peopleAgainstMachine(f *fixture) {
	f.apply(raised("first", "k"))
	id := f.only().ID
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			if _, err := f.book.Note(f.ctx(), f.now, id, "kim", fmt.Sprint(i)); err != nil {
				f.Error(err)
			}
		}
	})
	for i := range 20 {
		f.apply(raised(fmt.Sprint(i), "k"))
	}
	wg.Wait()
	in, timeline, _ := f.show(id)
	if in.Revision != 41 || in.Entries != 41 || len(timeline) != 41 {
		f.Errorf("%d revisions, %d entries", in.Revision, len(timeline))
	}
}
