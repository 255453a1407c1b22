package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

var (
	// ErrUnknownTopic says that the cluster has no such topic, or hides it from this user.
	ErrUnknownTopic = errors.New("no such topic")
	// ErrRevoked says that the partitions belong to another member now. What was not committed will be read again there.
	ErrRevoked = errors.New("the partitions were given to another member of the group")
	// ErrNotOwned says that a claim was asked about a partition that it does not own.
	ErrNotOwned = errors.New("the claim does not own this partition")

	errNoBrokers = errors.New("no brokers configured")
)

// PartitionCountError says that a topic exists with another number of partitions than it must have.
type PartitionCountError struct {
	Topic      string
	Want, Have int32
}

// Error says what to do.
func (e *PartitionCountError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions but needs %d: delete it, or give it another name in the configuration, so that it can be created anew", e.Topic, e.Have, e.Want)
}

// ProduceError says why messages for a partition were not acknowledged.
type ProduceError struct {
	Topic     string
	Partition int32
	Broker    int32 // -1: none was reached
	Err       error // a kafka-go Error, or what the connection said
}

// Error names the partition and says what to do.
func (e *ProduceError) Error() string {
	return withHint(fmt.Sprintf("write to topic %s partition %d: %v", e.Topic, e.Partition, e.Err), e.Err)
}

// Unwrap returns the cause.
func (e *ProduceError) Unwrap() error { return e.Err }

// Retryable says whether the same messages may be accepted later. A retry can write them twice: the acknowledgement may have been
// lost.
func (e *ProduceError) Retryable() bool { return retryable(e.Err) }

// retryable says whether trying again can help without anybody changing something.
func retryable(err error) bool {
	var code kafkago.Error
	if errors.As(err, &code) {
		return code.Temporary() || code == kafkago.Unknown || code == kafkago.BrokerNotAvailable
	}
	var cert *tls.CertificateVerificationError
	return !errors.As(err, &cert) && !errors.Is(err, errNoBrokers)
}

// faultOfMessage says whether a broker refused a batch for what is in it.
func faultOfMessage(err error) bool {
	var code kafkago.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidTimestamp, kafkago.InvalidRecord:
		return true
	}
	return false
}

// Refused says whether a broker refused messages for what is in them, such as their size: trying the same again is in vain.
func Refused(err error) bool { return faultOfMessage(err) }

// Explain returns an error's text followed by what to do about it, where that is known.
func Explain(err error) string {
	if err == nil {
		return ""
	}
	return withHint(err.Error(), err)
}

// withHint appends the hint for err to text, unless it is there.
func withHint(text string, err error) string {
	h := hint(err)
	if h == "" || strings.Contains(text, h) {
		return text
	}
	return text + ": " + h
}

// hint says what to do about an error, "" when nothing useful is known.
func hint(err error) string {
	var (
		code    kafkago.Error
		advised *advisedError
		access  *AccessError
		nothing *NothingFitsError
	)
	switch {
	case errors.As(err, &advised):
		return advised.advice
	case errors.As(err, &access):
		return access.hint()
	case errors.As(err, &nothing):
		return "create one, correct the pattern, or grant klaxon's user the right to read such topics: those that it may not describe look as if they did not exist"
	case errors.As(err, &code):
		return codeHint(code)
	}
	if h := tlsHint(err); h != "" {
		return h
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrUnknownTopic):
		return "create the topic or correct its name; without the right to describe it, it looks the same"
	case errors.Is(err, errNoBrokers):
		return "name at least one broker as host:port"
	case errors.Is(err, errSpeaksTLS):
		return "switch TLS on, or use the broker's plain port"
	case errors.Is(err, errSpeaksPlain):
		return "switch TLS off, or use the broker's TLS port"
	case errors.Is(err, errWantsSASL):
		return "configure a SASL mechanism with user and password, or use a port without"
	case errors.Is(err, errSASLFails):
		return "wrong user name or password, or a mechanism that the broker does not offer"
	case errors.Is(err, errOldFormat):
		return "have the brokers rewrite the topic in a current format, or skip it"
	case errors.Is(err, errTooLarge):
		return "the producer compressed more into one batch than is accepted; its records are skipped"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name does not exist: correct the broker's address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the broker's address and port, and that it runs"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the broker: check the address and the firewall"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time: the broker may be down, behind a firewall, or have refused the password without saying so"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker closed the connection: it may be restarting, or its listener may want SASL or TLS (or none)"
	}
	return ""
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// tlsHint tells the ways apart in which TLS fails.
func tlsHint(err error) string {
	var (
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &record):
		return "the broker's listener does not speak TLS: switch TLS off, or use its TLS port"
	case strings.Contains(err.Error(), "broker appears to be expecting TLS"):
		return "the broker's listener speaks TLS: switch TLS on, or use its plain port"
	case errors.As(err, &authority):
		return "the broker's certificate is signed by an authority that is not trusted here: name that authority's certificate in ca_file"
	case errors.As(err, &host):
		return "the broker's certificate is for another name: use that name in the address, or set server_name to it"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid (now): renew it, or check the clock"
	case refusedTLS(err):
		return "the broker refused the TLS handshake: it may want a client's certificate (cert_file and key_file), or not accept the one that it was shown"
	}
	return ""
}

// refusedTLS says whether the other side ended a TLS handshake. crypto/tls has no type for that.
func refusedTLS(err error) bool { return strings.Contains(err.Error(), "remote error: tls: ") }

// advisedError is an error with a hint of its own.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() }

func (e *advisedError) Unwrap() error { return e.err }

// advised tells what is behind a handshake that the broker refused, which depends on what it was shown.
func (c *Client) advised(err error) error {
	if c.cfg.TLS == nil || !refusedTLS(err) {
		return err
	}
	certificates := c.cfg.TLS().Certificates
	if len(certificates) == 0 || certificates[0].Leaf == nil {
		return &advisedError{err, "the broker wants a client's certificate: name one in cert_file, and its key in key_file"}
	}
	leaf := certificates[0].Leaf
	if until := leaf.NotAfter; time.Now().After(until) {
		return &advisedError{err, fmt.Sprintf("the client's certificate of %s has expired, on %s: renew cert_file and key_file, which are read anew without a restart", leaf.Subject, until.UTC().Format(time.DateOnly))}
	}
	return &advisedError{err, fmt.Sprintf("the broker does not accept the client's certificate (cert_file) of %s: it must be signed by an authority that the broker trusts", leaf.Subject)}
}

// codeHint says what to do about an error that a broker sent.
func codeHint(code kafkago.Error) string {
	switch code {
	case kafkago.SASLAuthenticationFailed:
		return "wrong user name or password"
	case kafkago.UnsupportedSASLMechanism:
		return "the broker does not offer this SASL mechanism: use one that is in its sasl.enabled.mechanisms"
	case kafkago.IllegalSASLState:
		return "the broker's listener does not use SASL: remove it from the configuration, or use another port"
	case kafkago.TopicAuthorizationFailed:
		return "the user lacks an ACL on the topic (READ to consume, WRITE to produce, CREATE to create it)"
	case kafkago.GroupAuthorizationFailed:
		return "the user lacks an ACL READ on the consumer group"
	case kafkago.ClusterAuthorizationFailed:
		return "the user lacks an ACL on the cluster"
	case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge:
		return "raise max.message.bytes of the topic, or send less in one message"
	case kafkago.InvalidReplicationFactor:
		return "the cluster has fewer brokers than replicas were asked for"
	case kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend:
		return "too few replicas are in sync for min.insync.replicas: check the brokers"
	case kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition:
		return "the partition has no leader at the moment"
	case kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup:
		return "the group's coordinator is moving to another broker, which passes"
	case kafkago.InvalidSessionTimeout:
		return "choose a session timeout between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"
	case kafkago.InconsistentGroupProtocol:
		return "other members of the group are another program: choose another group id"
	case kafkago.UnsupportedVersion:
		return "the broker is too old"
	case kafkago.UnknownTopicOrPartition, kafkago.UnknownTopicID:
		return "create the topic or correct its name; without the right to describe it, it looks the same"
	}
	return ""
}

// explained wraps an error with what was done, where, and what to do about it.
func (c *Client) explained(what string, err error) error {
	if err == nil {
		return nil
	}
	err = c.advised(err)
	if h := hint(err); h != "" && !strings.Contains(err.Error(), h) {
		return fmt.Errorf("kafka at %s: %s: %w: %s", c.addresses(), what, err, h)
	}
	return fmt.Errorf("kafka at %s: %s: %w", c.addresses(), what, err)
}

const (
	tellAgain   = 10 * time.Second
	maxDistinct = 256
)

// reporter tells errors, the same one only every tellAgain.
type reporter struct {
	tell func(error)
	mu   sync.Mutex
	last map[string]time.Time
}

func newReporter(tell func(error)) *reporter {
	return &reporter{tell: tell, last: map[string]time.Time{}}
}

// report tells err. Errors of the same text are told again only after tellAgain.
func (r *reporter) report(err error) {
	if err == nil || r.tell == nil {
		return
	}
	text, now := err.Error(), time.Now()
	r.mu.Lock()
	told, ok := r.last[text]
	again := !ok || now.Sub(told) >= tellAgain
	if again {
		if len(r.last) >= maxDistinct {
			clear(r.last)
		}
		r.last[text] = now
	}
	r.mu.Unlock()
	if again {
		r.tell(err)
	}
}
