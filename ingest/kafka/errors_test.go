package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("x: %w", kafkago.SASLAuthenticationFailed), "wrong user name or password"},
		{kafkago.UnsupportedSASLMechanism, "sasl.enabled.mechanisms"},
		{kafkago.IllegalSASLState, "does not use SASL"},
		{kafkago.TopicAuthorizationFailed, "ACL on the topic"},
		{kafkago.GroupAuthorizationFailed, "ACL READ on the consumer group"},
		{kafkago.NotCoordinatorForGroup, "moving to another broker"},
		{kafkago.InvalidSessionTimeout, "group.min.session.timeout.ms"},
		{kafkago.InconsistentGroupProtocol, "another group id"},
		{ErrUnknownTopic, "create the topic"},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "nothing listens there"},
		{syscall.EHOSTUNREACH, "no route"},
		{context.DeadlineExceeded, "no answer in time"},
		{io.ErrUnexpectedEOF, "closed the connection"},
		{fmt.Errorf("%w: broker appears to be expecting TLS", io.ErrUnexpectedEOF), "switch TLS on"},
		{x509.UnknownAuthorityError{}, "ca_file"},
	} {
		got := Explain(test.err)
		if !strings.HasPrefix(got, test.err.Error()+": ") || !strings.Contains(got, test.want) {
			t.Errorf("%v is explained as %q, want %q in it", test.err, got, test.want)
		}
		if again := Explain(errors.New(got)); again != got {
			t.Errorf("explained again: %q", again)
		}
	}
	if Explain(nil) != "" {
		t.Error("nil is explained")
	}
	if got := Explain(errors.New("something else")); got != "something else" {
		t.Errorf("%q", got)
	}
}

func TestExplainedNamesTheBrokersAndKeepsTheCause(t *testing.T) {
	c := NewClient(Config{Brokers: []string{"a:1", "b:2"}})
	err := c.explained("do it", fmt.Errorf("x: %w", kafkago.GroupAuthorizationFailed))
	if !errors.Is(err, kafkago.GroupAuthorizationFailed) || !strings.HasPrefix(err.Error(), "kafka at a:1,b:2: do it: x: ") || strings.Count(err.Error(), "ACL READ") != 1 {
		t.Errorf("%v", err)
	}
	if twice := c.explained("again", err); strings.Count(twice.Error(), "ACL READ") != 1 {
		t.Errorf("%v", twice)
	}
	if c.explained("do it", nil) != nil {
		t.Error("an error out of nothing")
	}
}

func TestReporterTellsTheSameOnlyEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := newReporter(func(err error) { told = append(told, err.Error()) })
		a, b := errors.New("a"), errors.New("b")
		for range 25 {
			r.report(a)
			r.report(b)
			r.report(nil)
			time.Sleep(time.Second)
		}
		if got := strings.Join(told, ""); got != "ababab" {
			t.Errorf("told %s", got)
		}
		for i := range 10 * maxDistinct {
			r.report(fmt.Errorf("%d", i))
		}
		if len(r.last) > maxDistinct {
			t.Errorf("%d texts are kept", len(r.last))
		}
	})
	newReporter(nil).report(errors.New("nobody listens"))
}

func TestARefusedHandshakeIsExplainedByWhatWasShown(t *testing.T) {
	t.Parallel()
	refused := errors.New("remote error: tls: bad certificate")
	shown := func(until time.Time) *tls.Config {
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "klaxon"}, NotAfter: until}
		return &tls.Config{Certificates: []tls.Certificate{{Leaf: leaf}}}
	}
	for name, test := range map[string]struct {
		cfg  *tls.Config
		err  error
		want string
	}{
		"nothing":     {&tls.Config{}, refused, "the broker wants a client's certificate"},
		"an old one":  {shown(time.Date(2026, 2, 3, 4, 0, 0, 0, time.UTC)), refused, "certificate of CN=klaxon has expired, on 2026-02-03"},
		"a good one":  {shown(time.Now().Add(time.Hour)), refused, "does not accept the client's certificate (cert_file) of CN=klaxon"},
		"other error": {shown(time.Now()), io.EOF, "closed the connection"},
	} {
		c := NewClient(Config{Brokers: []string{"a:1"}, TLS: fixed(test.cfg)})
		err := c.explained("connect", fmt.Errorf("x: %w", test.err))
		if !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.err) || Explain(err) != err.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := Explain(refused); !strings.Contains(got, "may want a client's certificate") {
		t.Errorf("without a client: %s", got)
	}
}
