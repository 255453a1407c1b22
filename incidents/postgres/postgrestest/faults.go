package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
)

const topicID = "topic-1"

func write(epoch, next int64, alerts ...alert.Alert) []incidents.ShardWrite {
	return []incidents.ShardWrite{{Epoch: epoch, Next: next, TopicID: topicID, Alerts: alerts}}
}

func raised(name string) alert.Alert {
	return alert.Alert{ID: alert.NewID(name), Revision: 1, Tenant: "acme", Severity: alert.High, Title: name, Incident: "k", Rule: alert.Rule{ID: "rule", Mode: alert.Live}}
}

// standsStill: a process is stopped within a transaction, past its time. The server ends the session, so that a claim waits no longer
// than that, and of the transaction nothing is left.
func standsStill(t *testing.T, s *server) {
	const pause = time.Second
	at := s.database(t, "").String()
	stopped, other := open(t, postgres.Config{URL: at, Pause: pause}), open(t, postgres.Config{URL: at, Pause: pause})
	claimed, err := stopped.Claim(t.Context(), 0, topicID)
	if err != nil {
		t.Fatal(err)
	}
	var next incidents.ShardState
	err = stopped.Update(t.Context(), func(tx incidents.Tx) error {
		if err := tx.Fence(write(claimed.Epoch, 7)[0], time.Now()); err != nil {
			return err
		}
		var err error
		next, err = other.Claim(t.Context(), 0, topicID) // waits until the server has ended what stands still
		return err
	})
	if err == nil {
		t.Error("a transaction that stood still was committed")
	}
	if next.Epoch != claimed.Epoch+1 || next.Next != -1 {
		t.Errorf("claimed %+v", next)
	}
	book := incidents.NewBook(stopped, incidents.Policy{})
	if err := book.Apply(t.Context(), time.Now(), write(claimed.Epoch, 8)); !errors.Is(err, incidents.ErrFenced) {
		t.Errorf("who stood still went on: %v", err)
	}
	if err := incidents.NewBook(other, incidents.Policy{}).Apply(t.Context(), time.Now(), write(next.Epoch, 9)); err != nil {
		t.Error(err)
	}
}

// cut: connections are ended again and again while a process writes. What was acknowledged is there, and the process goes on by
// claiming anew.
func cut(t *testing.T, s *server) {
	u := s.database(t, "")
	store := open(t, postgres.Config{URL: u.String()})
	book := incidents.NewBook(store, incidents.Policy{})
	admin := s.connect(t, s.url)
	defer admin.Close(context.Background())
	const rounds, perRound = 4, 10
	acknowledged := int64(0)
	for range rounds {
		st := claimAgain(t, book)
		if max(st.Next, 0) < acknowledged {
			t.Fatalf("acknowledged %d, found %d", acknowledged, st.Next)
		}
		var err error
		for n, next := 1, max(st.Next, 0)+1; err == nil && n < 2*perRound; n, next = n+1, next+1 {
			if n == perRound {
				if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, u.Path[1:]); err != nil {
					t.Fatal(err)
				}
			}
			if err = book.Apply(t.Context(), time.Now(), write(st.Epoch, next, raised(fmt.Sprint(next)))); err == nil {
				acknowledged = next
			}
		}
	}
	if acknowledged < rounds*(perRound-1) {
		t.Errorf("only %d writes came through", acknowledged)
	}
	alerts, err := book.Alerts(t.Context(), incidents.AlertFilter{Limit: 10_000})
	if err != nil || int64(len(alerts)) < acknowledged {
		t.Errorf("%d alerts of %d acknowledged, %v", len(alerts), acknowledged, err)
	}
}

// claimAgain claims until it succeeds: a pool may hold some connections that are no more.
func claimAgain(t *testing.T, book *incidents.Book) incidents.ShardState {
	t.Helper()
	for try := 1; ; try++ {
		st, err := book.Claim(t.Context(), 0, topicID)
		if err == nil {
			return st
		}
		if try == 10 {
			t.Fatal(err)
		}
	}
}

// silent: the network swallows everything. No call hangs for ever, and afterwards all goes on.
func silent(t *testing.T, s *server) {
	u := s.database(t, "")
	p := newProxy(t, u.Host)
	through := *u
	through.Host = p.addr
	store := open(t, postgres.Config{URL: through.String()})
	book := incidents.NewBook(store, incidents.Policy{})
	st, err := book.Claim(t.Context(), 0, topicID)
	if err != nil {
		t.Fatal(err)
	}
	p.swallow(true)
	var wg sync.WaitGroup
	for name, call := range map[string]func() error{
		"claim": func() error { _, err := book.Claim(context.Background(), 1, topicID); return err },
		"apply": func() error { return book.Apply(context.Background(), time.Now(), write(st.Epoch, 3)) },
		"list":  func() error { _, err := book.List(context.Background(), incidents.Filter{}); return err },
		"tick":  func() error { return book.Tick(context.Background(), time.Now()) },
	} {
		wg.Go(func() {
			if err := call(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	p.swallow(false)
	if err := book.Apply(t.Context(), time.Now(), write(st.Epoch, 4)); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
}

// bounded: however many ask at once, a process holds no more connections than it says.
func bounded(t *testing.T, s *server) {
	u := s.database(t, "")
	store := open(t, postgres.Config{URL: u.String()})
	book := incidents.NewBook(store, incidents.Policy{})
	var wg sync.WaitGroup
	for i := range int32(60) {
		wg.Go(func() {
			_, err := book.Claim(t.Context(), i, topicID)
			if _, listErr := book.List(t.Context(), incidents.Filter{}); errors.Join(err, listErr) != nil {
				t.Error(err, listErr)
			}
		})
	}
	wg.Wait()
	admin := s.connect(t, s.url)
	defer admin.Close(context.Background())
	var n int
	if err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'klaxon'`, u.Path[1:]).Scan(&n); err != nil || n < 1 || n > 10 {
		t.Errorf("%d connections, %v", n, err)
	}
}

// proxy stands between a store and its server, and can swallow what passes.
type proxy struct {
	addr, to string

	mu        sync.Mutex
	swallowed chan struct{} // open while nothing passes; nil: everything does
	conns     []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), to: to}
	t.Cleanup(func() {
		_ = l.Close()
		p.swallow(false)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.conns {
			_ = c.Close()
		}
	})
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go p.join(in)
		}
	}()
	return p
}

func (p *proxy) join(in net.Conn) {
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = in.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, in, out)
	p.mu.Unlock()
	go p.pass(out, in)
	p.pass(in, out)
}

func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		wait := p.swallowed
		p.mu.Unlock()
		if wait != nil {
			<-wait
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) || err != nil {
			return
		}
	}
}

func (p *proxy) swallow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.swallowed == nil:
		p.swallowed = make(chan struct{})
	case !on && p.swallowed != nil:
		close(p.swallowed)
		p.swallowed = nil
	}
}
