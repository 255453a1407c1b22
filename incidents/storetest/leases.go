package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/klaxonhq/klaxon/incidents"
)

func leaseTests() []test {
	return []test{
		{"a lease and its way", leaseWay},
		{"one of many takes it", leaseContest},
		{"leases do not touch each other", leaseNames},
	}
}

func (f *fixture) lease(name string) incidents.Lease {
	f.Helper()
	l, err := f.book.Lease(f.ctx(), name)
	f.must(err)
	return l
}

// take takes a lease, and answers whether it could.
func (f *fixture) take(name, owner string, seen incidents.Lease) (incidents.Lease, bool) {
	f.Helper()
	l, ok, err := f.book.Take(f.ctx(), name, owner, seen)
	f.must(err)
	return l, ok
}

func leaseWay(f *fixture) {
	free := f.lease("x")
	f.same("a lease that nobody took", free, incidents.Lease{})
	first, ok := f.take("x", "one", free)
	if !ok || first.Owner != "one" || first != f.lease("x") {
		f.Fatalf("taken %v: %+v, stored %+v", ok, first, f.lease("x"))
	}
	if _, ok := f.take("x", "two", free); ok {
		f.Error("somebody took a lease that was taken since")
	}
	renewed, ok := f.take("x", "one", first)
	if !ok || renewed.Turn <= first.Turn {
		f.Fatalf("renewed %v: %+v", ok, renewed)
	}
	if _, ok := f.take("x", "two", first); ok {
		f.Error("somebody took a lease that was renewed since")
	}
	taken, ok := f.take("x", "two", renewed)
	if !ok || f.lease("x").Owner != "two" {
		f.Fatalf("it cannot be taken over: %+v", taken)
	}
	if _, ok := f.take("x", "one", renewed); ok {
		f.Error("who lost a lease renewed it")
	}
	left, ok := f.take("x", "", taken)
	if !ok || f.lease("x").Owner != "" || left.Turn <= taken.Turn {
		f.Errorf("let go %v: %+v", ok, left)
	}
}

// leaseContest: of all who saw the same, one takes the lease; in every round.
func leaseContest(f *fixture) {
	_, other := f.process()
	books := []*incidents.Book{f.book, other}
	for round := range 10 {
		seen := f.lease("x")
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				_, ok, err := books[i%2].Take(f.ctx(), "x", fmt.Sprint(round, i), seen)
				if err != nil {
					f.Error(err)
				}
				if ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			f.Fatalf("round %d: %d took it", round, won.Load())
		}
	}
}

func leaseNames(f *fixture) {
	_, okX := f.take("x", "one", incidents.Lease{})
	_, okY := f.take("y", "two", incidents.Lease{})
	f.must(f.book.Tick(f.ctx(), f.now))
	if !okX || !okY || f.lease("x").Owner != "one" || f.lease("y").Owner != "two" {
		f.Errorf("%+v, %+v", f.lease("x"), f.lease("y"))
	}
}
