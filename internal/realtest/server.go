package realtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// ErrGiven is what Kill9, Stop and Restart return for a server that was given by address: it is not ours to end.
var ErrGiven = errors.New("the server was given by address and cannot be stopped from here")

// unit is something that can be started and ended again on the same data.
type unit interface {
	start(ctx context.Context) error          // returns once it was launched, not once it is ready
	ended() error                             // nil while it runs, else why it ended
	end(ctx context.Context, kill bool) error // returns once it is gone
	remove()                                  // ends it and deletes its data
}

// server is one running server, wherever it came from.
type server struct {
	kind    kind
	address string
	origin  string
	unit    unit // nil if the server was given by address

	mu   sync.Mutex
	down bool
}

func (s *server) start(ctx context.Context) error {
	if err := s.unit.start(ctx); err != nil {
		s.unit.remove()
		return err
	}
	if err := s.waitReady(); err != nil {
		s.unit.remove()
		return err
	}
	return nil
}

// waitReady returns once the server answers as one that can be used, or once that is out of the question.
func (s *server) waitReady() error {
	timeout := readyTimeout
	if s.unit == nil {
		timeout = readyTimeout / 8 // it runs already
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		err := s.kind.ready(ctx, s.address)
		if err == nil {
			return nil
		}
		if s.unit != nil {
			if ended := s.unit.ended(); ended != nil {
				return fmt.Errorf("%s ended while starting: %w", s.kind.name, ended)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v: %w", s.kind.name, timeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *server) end(kill bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit == nil {
		return ErrGiven
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	s.down = true
	if err := s.unit.end(ctx, kill); err != nil {
		return fmt.Errorf("cannot end %s: %w", s.kind.name, err)
	}
	return waitClosed(ctx, s.address)
}

func (s *server) restart() error {
	if s.unit == nil {
		return ErrGiven
	}
	if err := s.end(false); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again()
}

// revive starts the server if an earlier test left it stopped.
func (s *server) revive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		return nil
	}
	return s.again()
}

// again launches a server that is down, on its old address and data; the caller holds the mutex.
func (s *server) again() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := s.unit.start(ctx); err != nil {
		return err
	}
	if err := s.waitReady(); err != nil {
		return err
	}
	s.down = false
	return nil
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit != nil {
		s.unit.remove()
	}
}

// waitClosed returns once nobody listens at the address: a process that was killed can hold its port a moment longer.
func waitClosed(ctx context.Context, address string) error {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", host)
		if err != nil && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s still answers after its server was ended: %w", address, ctx.Err())
		}
		_ = conn.Close()
		time.Sleep(20 * time.Millisecond)
	}
}
