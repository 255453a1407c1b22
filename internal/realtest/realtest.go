package realtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// obtainTimeout bounds everything up to a running server: waiting for the lock, the download, the start.
	obtainTimeout = 8 * time.Minute
	// pullTimeout bounds the fetching of a container's image; after it a local process is tried.
	pullTimeout = 4 * time.Minute
	// readyTimeout bounds one start. A warm start takes 3 s (Kafka) and 9 s (Elasticsearch) on two idle cores; these are not idle.
	readyTimeout = 2 * time.Minute
)

// Servers starts servers when they are first asked for and shares them among the tests of one process.
// Its methods may be called from several tests at once.
type Servers struct {
	mu            sync.Mutex
	kafka         shared
	elasticsearch shared
	postgres      shared
	private       map[*server]struct{}
}

// shared is one server that every test of the process is given, or the reason why there is none.
type shared struct {
	server *server
	err    error
}

// New returns a value that has started nothing yet. The caller owes it a Close.
func New() *Servers {
	return &Servers{private: make(map[*server]struct{})}
}

// Close stops every server that was started and removes its data. Servers given by address are left alone.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range []*shared{&s.kafka, &s.elasticsearch, &s.postgres} {
		if one.server != nil {
			one.server.close()
		}
		*one = shared{err: errors.New("realtest: the servers are closed")}
	}
	for one := range s.private {
		one.close()
	}
	clear(s.private)
}

// Kafka returns the process's broker, started if need be. Topics and groups of other tests live on it too: a test chooses
// names of its own. It skips or fails t when there is none.
func (s *Servers) Kafka(t testing.TB) *Kafka {
	t.Helper()
	one := s.share(t, kafkaKind(), &s.kafka)
	return &Kafka{Brokers: one.address, server: one}
}

// NewKafka returns a broker of t's own, which it may kill and restart without disturbing others, and which ends with t.
// It is never the one given by address. It skips or fails t when there is none.
func (s *Servers) NewKafka(t testing.TB) *Kafka {
	t.Helper()
	one := s.own(t, kafkaKind())
	return &Kafka{Brokers: one.address, server: one}
}

// Elasticsearch returns the process's Elasticsearch, started if need be. Indices and templates of other tests live on it too.
// It skips or fails t when there is none.
func (s *Servers) Elasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	one := s.share(t, elasticsearchKind(), &s.elasticsearch)
	return &Elasticsearch{URL: one.address, server: one}
}

// NewElasticsearch returns an Elasticsearch of t's own, which it may kill and restart without disturbing others, and which
// ends with t. It is never the one given by address. It skips or fails t when there is none.
func (s *Servers) NewElasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	one := s.own(t, elasticsearchKind())
	return &Elasticsearch{URL: one.address, server: one}
}

// Postgres returns the process's PostgreSQL, started if need be. Databases of other tests live on it too: a test makes one of its
// own. It skips or fails t when there is none.
func (s *Servers) Postgres(t testing.TB) *Postgres {
	t.Helper()
	return newPostgres(s.share(t, postgresKind(), &s.postgres))
}

// NewPostgres returns a PostgreSQL of t's own, which it may stop and start again without disturbing others, and which ends with t. It is
// never the one given by address. It skips or fails t when there is none.
func (s *Servers) NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	return newPostgres(s.own(t, postgresKind()))
}

func (s *Servers) share(t testing.TB, k kind, one *shared) *server {
	t.Helper()
	leaveIfShort(t, k.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.server == nil && one.err == nil {
		one.server, one.err = obtainShared(k)
		if one.err == nil {
			t.Logf("realtest: %s at %s (%s)", k.name, one.server.address, one.server.origin)
		}
	}
	if one.err != nil {
		refuse(t, k.name, one.err.Error())
	}
	if err := one.server.revive(); err != nil {
		t.Fatalf("realtest: %s was left stopped and does not start again: %v", k.name, err)
	}
	return one.server
}

func (s *Servers) own(t testing.TB, k kind) *server {
	t.Helper()
	leaveIfShort(t, k.name)
	one, err := obtain(k)
	if err != nil {
		refuse(t, k.name, err.Error())
	}
	s.mu.Lock()
	s.private[one] = struct{}{}
	s.mu.Unlock()
	t.Cleanup(func() {
		s.mu.Lock()
		delete(s.private, one)
		s.mu.Unlock()
		one.close()
	})
	return one
}

// kind is what differs between the servers.
type kind struct {
	name     string // as KLAXON_TEST_REQUIRE names it
	variable string // the environment variable that gives an address
	ready    func(ctx context.Context, address string) error
	docker   func() (container, string, error)                        // what to run, and its address; nil: only as a process
	local    func(ctx context.Context, c cache) (unit, string, error) // made ready to start, and its address
}

func obtainShared(k kind) (*server, error) {
	address := strings.TrimSpace(os.Getenv(k.variable))
	if address == "" {
		return obtain(k)
	}
	one := &server{kind: k, address: address, origin: "given by " + k.variable}
	if err := one.waitReady(); err != nil {
		return nil, fmt.Errorf("%s is set to %q, but nothing usable answers there: %w", k.variable, address, err)
	}
	return one, nil
}

// obtain starts a new server: in a container if an engine answers, else as a local process.
func obtain(k kind) (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), obtainTimeout)
	defer cancel()
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	// One download and one start at a time on this machine: two test processes would fetch the same files, choose the same
	// ports, and share too few cores to be up in time.
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c.sweep()

	dockerErr := errLocalOnly
	if k.docker != nil {
		dockerErr = dockerAnswers(ctx)
	}
	if dockerErr == nil {
		var one *server
		if one, dockerErr = startContainer(ctx, k); dockerErr == nil {
			return one, nil
		}
	}
	one, err := startLocal(ctx, k, c)
	if err != nil {
		return nil, fmt.Errorf("no container (%w), and no local process: %w", dockerErr, err)
	}
	return one, nil
}

var errLocalOnly = errors.New("it is run as a local process only")

func startContainer(ctx context.Context, k kind) (*server, error) {
	box, address, err := k.docker()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	one := &server{kind: k, address: address, origin: "container " + box.image, unit: &box}
	return one, one.start(ctx)
}

func startLocal(ctx context.Context, k kind, c cache) (*server, error) {
	u, address, err := k.local(ctx, c)
	if err != nil {
		return nil, err
	}
	one := &server{kind: k, address: address, origin: "local process", unit: u}
	if err := one.start(ctx); err != nil {
		return nil, err
	}
	return one, nil
}

// Required tells whether KLAXON_TEST_REQUIRE names what a test needs: a server, or a program.
func Required(name string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv("KLAXON_TEST_REQUIRE"), ","), func(word string) bool {
		return strings.TrimSpace(word) == name
	})
}

func leaveIfShort(t testing.TB, name string) {
	t.Helper()
	if testing.Short() && !Required(name) {
		t.Skipf("realtest: -short: a test against a real %s is not run", name)
	}
}

// refuse ends the test: without a server there is nothing that it could find out.
func refuse(t testing.TB, name, reason string) {
	t.Helper()
	if Required(name) {
		t.Fatalf("realtest: KLAXON_TEST_REQUIRE names %s, but there is none: %s", name, reason)
	}
	t.Skipf("realtest: no %s: %s", name, reason)
}
