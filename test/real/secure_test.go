package real

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/certs"
	"github.com/klaxonhq/klaxon/internal/realtest"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// secureKafka runs against a broker with TLS, SASL and ACLs: every way to get in, every way to be kept out and what is said of it,
// and klaxon with no more rights than the documents name.
func secureKafka(t *testing.T, servers *realtest.Servers) {
	t.Helper()
	s := &secure{SecureKafka: servers.NewSecureKafka(t)}
	t.Run("Connections", s.connections)
	t.Run("Rights", s.rights)
	t.Run("Renewal", s.renewal)
	t.Run("LeastPrivilege", s.leastPrivilege)
	t.Run("OwnTopics", s.ownTopics)
}

// secure is the broker and what is asked of it.
type secure struct{ *realtest.SecureKafka }

// identity is a client's certificate in files, signed by an authority.
func identity(t *testing.T, trusted, by *realtest.Authority, subject realtest.Subject) certs.Files {
	t.Helper()
	cert, key, err := by.Issue(subject)
	if err != nil {
		t.Fatal(err)
	}
	f := authority(t, trusted)
	dir := filepath.Dir(f.CA)
	f.Cert, f.Key = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	return f
}

// authority is whom to trust, in a file.
func authority(t *testing.T, a *realtest.Authority) certs.Files {
	t.Helper()
	f := certs.Files{CA: filepath.Join(t.TempDir(), "ca.pem")}
	write(t, f.CA, a.PEM)
	return f
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// follow is a TLS configuration that follows files.
func follow(t *testing.T, f certs.Files) func() *tls.Config {
	t.Helper()
	source, err := certs.Open(f, func(err error) { t.Logf("certificates: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	return source.Config
}

// mechanism is how a user of the broker proves who it is.
func mechanism(t *testing.T, name, user, password string) sasl.Mechanism {
	t.Helper()
	var (
		m   sasl.Mechanism
		err error
	)
	switch name {
	case "SCRAM-SHA-256":
		m, err = scram.Mechanism(scram.SHA256, user, password)
	case "SCRAM-SHA-512":
		m, err = scram.Mechanism(scram.SHA512, user, password)
	default:
		m = plain.Mechanism{Username: user, Password: password}
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// expired is a server whose certificate has expired.
func expired(t *testing.T, a *realtest.Authority) string {
	t.Helper()
	cert, key, err := a.Issue(realtest.Subject{Name: "old", Hosts: []string{"127.0.0.1"}, Until: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func (s *secure) connections(t *testing.T) {
	stranger, err := realtest.NewAuthority("stranger")
	if err != nil {
		t.Fatal(err)
	}
	trust := follow(t, authority(t, s.CA))
	other := authority(t, s.CA)
	other.ServerName = "kafka.example"
	login := func(m string) sasl.Mechanism { return mechanism(t, m, "klaxon", "klaxon-secret") }
	mutual := func(by *realtest.Authority, subject realtest.Subject) func() *tls.Config {
		return follow(t, identity(t, s.CA, by, subject))
	}
	_, plainPort, err := net.SplitHostPort(s.Plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  kafka.Config
		want []string // what the error says; none: there is none
	}{
		"plain":          {cfg: kafka.Config{Brokers: []string{s.Plain}}},
		"SCRAM-SHA-256":  {cfg: kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: login("SCRAM-SHA-256")}},
		"SCRAM-SHA-512":  {cfg: kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: login("SCRAM-SHA-512")}},
		"PLAIN":          {cfg: kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: login("PLAIN")}},
		"SASL, no TLS":   {cfg: kafka.Config{Brokers: []string{s.Narrow}, SASL: login("SCRAM-SHA-512")}},
		"mutual TLS":     {cfg: kafka.Config{Brokers: []string{s.Mutual}, TLS: mutual(s.CA, realtest.Subject{Name: "klaxon"})}},
		"by host's name": {cfg: kafka.Config{Brokers: []string{strings.Replace(s.SASL, "127.0.0.1", "localhost", 1)}, TLS: trust, SASL: login("PLAIN")}},

		"wrong password, SCRAM":    {kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: mechanism(t, "SCRAM-SHA-512", "klaxon", "wrong")}, []string{s.SASL, "wrong user name or password"}},
		"wrong password, PLAIN":    {kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: mechanism(t, "PLAIN", "klaxon", "wrong")}, []string{s.SASL, "wrong user name or password"}},
		"unknown user":             {kafka.Config{Brokers: []string{s.SASL}, TLS: trust, SASL: mechanism(t, "SCRAM-SHA-256", "who", "wrong")}, []string{s.SASL, "wrong user name or password"}},
		"unknown mechanism":        {kafka.Config{Brokers: []string{s.Narrow}, SASL: login("SCRAM-SHA-256")}, []string{s.Narrow, "does not offer this SASL mechanism"}},
		"missing SASL":             {kafka.Config{Brokers: []string{s.Narrow}}, []string{s.Narrow, "configure a SASL mechanism"}},
		"missing SASL, TLS":        {kafka.Config{Brokers: []string{s.SASL}, TLS: trust}, []string{s.SASL, "configure a SASL mechanism"}},
		"missing SASL, no TLS":     {kafka.Config{Brokers: []string{s.SASL}}, []string{s.SASL, "switch TLS on"}},
		"SASL where there is none": {kafka.Config{Brokers: []string{s.Plain}, SASL: login("PLAIN")}, []string{s.Plain, "does not use SASL"}},
		"TLS to a plain port":      {kafka.Config{Brokers: []string{s.Plain}, TLS: trust}, []string{s.Plain, "switch TLS off"}},
		"plain to a TLS port":      {kafka.Config{Brokers: []string{s.Mutual}}, []string{s.Mutual, "switch TLS on"}},
		"unknown authority":        {kafka.Config{Brokers: []string{s.SASL}, TLS: follow(t, authority(t, stranger)), SASL: login("PLAIN")}, []string{s.SASL, "ca_file"}},
		"the system's":             {kafka.Config{Brokers: []string{s.SASL}, TLS: follow(t, certs.Files{}), SASL: login("PLAIN")}, []string{s.SASL, "ca_file"}},
		"another name":             {kafka.Config{Brokers: []string{s.SASL}, TLS: follow(t, other), SASL: login("PLAIN")}, []string{s.SASL, "server_name"}},
		"expired":                  {kafka.Config{Brokers: []string{expired(t, s.CA)}, TLS: trust}, []string{"has expired", "renew"}},
		"no client certificate":    {kafka.Config{Brokers: []string{s.Mutual}, TLS: trust}, []string{s.Mutual, "cert_file"}},
		"a stranger's":             {kafka.Config{Brokers: []string{s.Mutual}, TLS: mutual(stranger, realtest.Subject{Name: "klaxon"})}, []string{s.Mutual, "cert_file"}},
		"an expired one":           {kafka.Config{Brokers: []string{s.Mutual}, TLS: mutual(s.CA, realtest.Subject{Name: "klaxon", Until: time.Now().Add(-time.Minute)})}, []string{s.Mutual, "expired"}},
		"nobody listens":           {kafka.Config{Brokers: []string{"127.0.0.1:1"}, TLS: trust}, []string{"127.0.0.1:1", "nothing listens there"}},
		"no such host":             {kafka.Config{Brokers: []string{"kafka.invalid:" + plainPort}}, []string{"kafka.invalid", "correct the broker's address"}},
	} {
		t.Run(name, func(t *testing.T) {
			client := kafka.NewClient(c.cfg)
			defer client.Close()
			ctx, done := context.WithTimeout(t.Context(), time.Minute)
			defer done()
			err := client.Ping(ctx)
			if len(c.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			says(t, "at the start", err, c.want)
			says(t, "in a loop", firstTold(ctx, client), c.want)
		})
	}
}

// says checks what an error says.
func says(t *testing.T, when string, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", when)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", when, err, text)
		}
	}
}

// firstTold is the first error that a loop is told which reads a topic.
func firstTold(ctx context.Context, client *kafka.Client) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	told := make(chan error, 1)
	cfg := kafka.GroupConfig{ID: "g", Topics: kafka.Select("logs"), OnError: func(err error) {
		select {
		case told <- err:
			done()
		default:
		}
	}}
	if err := client.Consume(ctx, cfg, func(context.Context, *kafka.Claim) error { return nil }); err != nil {
		return err
	}
	select {
	case err := <-told:
		return err
	default:
		return nil
	}
}
