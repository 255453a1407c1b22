package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

const (
	probeTimeout = time.Second
	maxProbes    = 3
)

var (
	errNoAnswer    = errors.New("no answer")
	errSpeaksTLS   = errors.New("the listener speaks TLS, but TLS is off here")
	errSpeaksPlain = errors.New("the listener does not speak TLS, but TLS is on here")
	errWantsSASL   = errors.New("the listener closed the connection after the greeting, as one that wants SASL does")
	errSASLFails   = errors.New("the listener greets, but the SASL exchange does not succeed")
)

// Ping asks the cluster who its brokers are. The error names the addresses and says what to do: it tells apart a wrong address,
// TLS on one side only, certificates, missing or wrong credentials. It takes some seconds at most.
func (c *Client) Ping(ctx context.Context) error {
	if len(c.cfg.Brokers) == 0 {
		return c.explained("connect", errNoBrokers)
	}
	limited, cancel := call(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- c.ping(limited) }()
	impatient := time.NewTimer(probeTimeout)
	defer impatient.Stop()
	select {
	case err := <-answered:
		return c.explained("connect", c.diagnose(ctx, err))
	case <-impatient.C: // a listener that waits for more, because it speaks another protocol, never answers
	}
	if found := c.diagnose(ctx, errNoAnswer); !errors.Is(found, errNoAnswer) || hint(found) != "" {
		return c.explained("connect", found)
	}
	return c.explained("connect", <-answered)
}

func (c *Client) ping(ctx context.Context) error {
	_, err := c.metadata(ctx, []string{})
	return err
}

// diagnose adds to err what trying the addresses by hand shows, where err alone does not tell.
func (c *Client) diagnose(ctx context.Context, err error) error {
	var code kafkago.Error
	if err == nil || errors.As(err, &code) || tlsHint(err) != "" || ctx.Err() != nil {
		return err
	}
	var refused []error
	for _, address := range c.cfg.Brokers[:min(len(c.cfg.Brokers), maxProbes)] {
		reached, found := c.probe(ctx, address, err)
		if reached {
			if found == nil {
				return err
			}
			return fmt.Errorf("%s: %w (%w)", address, found, err)
		}
		refused = append(refused, found)
	}
	if joined := errors.Join(refused...); joined != nil {
		return joined
	}
	return err
}

// probe connects to one address. reached says that somebody listens there; the error is what is wrong, nil when that is not known.
func (c *Client) probe(ctx context.Context, address string, cause error) (reached bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false, err
	}
	plain := greets(conn)
	switch {
	case plain && c.cfg.TLS != nil:
		return true, errSpeaksPlain
	case !plain && c.cfg.TLS == nil && handshakes(ctx, address):
		return true, errSpeaksTLS
	case errors.Is(cause, errNoAnswer) || !plain && !c.greetsInTLS(ctx, address):
		return true, nil
	case c.cfg.SASL == nil:
		return true, errWantsSASL
	}
	return true, errSASLFails
}

// greetsInTLS is greets for a listener that speaks TLS.
func (c *Client) greetsInTLS(ctx context.Context, address string) bool {
	if c.cfg.TLS == nil {
		return false
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: probeTimeout}, Config: tlsFor(c.cfg.TLS(), address)}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	return err == nil && greets(conn)
}

// greets asks for versions in plain text, which every listener answers before anything else. It closes the connection.
func greets(conn net.Conn) bool {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(probeTimeout)) != nil {
		return false
	}
	m, err := protocol.RoundTrip(conn, 0, 1, defaultClient, &apiversions.Request{})
	if err != nil {
		return false
	}
	_, ok := m.(*apiversions.Response)
	return ok
}

// handshakes says whether the listener at address answers in TLS, whoever it is.
func handshakes(ctx context.Context, address string) bool {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: probeTimeout}, Config: &tls.Config{InsecureSkipVerify: true}} // nothing is sent: only the protocol is looked at
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
		return true
	}
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	return errors.As(err, &alert) || !errors.As(err, &record) && !errors.Is(err, io.EOF) && !isTimeout(err)
}
