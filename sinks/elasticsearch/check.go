package elasticsearch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	elastic "github.com/elastic/go-elasticsearch/v8"
	"go.uber.org/zap"
)

// checkTimeout bounds how long one address may take to answer.
const checkTimeout = 5 * time.Second

// Check asks every address who is there. It fails, within seconds, if none is an Elasticsearch that lets us in, and says what to do.
func (c *Client) Check(ctx context.Context) error {
	errs := make([]error, len(c.each))
	done := make(chan int, len(c.each))
	for i := range c.each {
		go func() {
			errs[i] = c.checkOne(ctx, c.each[i], c.cfg.URLs[i])
			done <- i
		}()
	}
	for range c.each {
		<-done
	}
	var failed []error
	for _, err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == len(c.each) {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		c.log.Warn("a node of Elasticsearch cannot be used", zap.Error(err))
	}
	return nil
}

func (c *Client) checkOne(ctx context.Context, one *elastic.BaseClient, address string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var buf bytes.Buffer
	a, err := c.request(ctx, one, "GET", "/_cluster/health?filter_path=status", nil, false, &buf)
	if err != nil {
		return fmt.Errorf("cannot reach Elasticsearch at %s: %s: %w", address, advice(err), err)
	}
	kind, reason := parseFailure(a.body)
	switch {
	case a.status == 401:
		return fmt.Errorf("the Elasticsearch at %s does not know us (401): check username and password, or the API key: %s", address, reason)
	case a.status == 200 && isHealth(a.body), a.named && kind == "security_exception":
		return nil // who may not ask for the health may well write
	case a.status == 403:
		return fmt.Errorf("%s lets us in and forbids everything (403): check the user's privileges: %s", address, reason)
	case a.status == 408 || a.status == 503 || a.status == 429 || a.status == 502 || a.status == 504:
		return fmt.Errorf("the Elasticsearch at %s is not ready (%d): %s", address, a.status, orElseText(reason, excerpt(a.body)))
	}
	return fmt.Errorf("what answers at %s is not Elasticsearch (%d): check the address: %q", address, a.status, excerpt(a.body))
}

// healthy says whether the server answers, and has somewhere to write to.
func (c *Client) healthy(ctx context.Context) bool {
	var buf bytes.Buffer
	a, err := c.request(ctx, c.base, "GET", "/_cluster/health?filter_path=status", nil, false, &buf)
	return err == nil && a.status == 200 && isHealth(a.body)
}

// unreachable says whether a request failed before anything was sent.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

func orElseText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// isHealth says whether this is an answer to the question for a cluster's health.
func isHealth(b []byte) bool {
	status := ""
	p := parser{b: b}
	err := p.object(0, func(key string) (err error) {
		if key == "status" {
			status, err = p.text(1)
			return err
		}
		return p.skip(1)
	})
	return err == nil && p.atEnd() && (status == "green" || status == "yellow" || status == "red")
}

// advice says what to do about an error of the way to the server.
func advice(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "no such host; check the address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there; start Elasticsearch, or correct the address"
	case errors.As(err, &unknown):
		return "its certificate is of an authority that we do not know; name the authority's certificate as CA file"
	case errors.As(err, &host):
		return "its certificate is for other names; use one of them"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &alert):
		return "it breaks off the TLS handshake"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it does not speak TLS; write the address with http://"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "it does not answer in time; check the address and firewalls"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "it closes the connection; if it wants TLS, write the address with https://"
	}
	return "check the address"
}
