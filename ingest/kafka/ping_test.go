package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kfake"
)

// certificate makes a certificate for localhost, and the pool that trusts it.
func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func startFake(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, []string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(500 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()
}

func scramMechanism(t *testing.T, user, password string) sasl.Mechanism {
	t.Helper()
	m, err := scram.Mechanism(scram.SHA256, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fixed is a TLS configuration that never changes.
func fixed(cfg *tls.Config) func() *tls.Config { return func() *tls.Config { return cfg } }

// silent listens and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestPingTellsMistakesApart(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	other, otherPool := certificate(t, "other.example")
	_, plainAddr := startFake(t)
	_, tlsAddr := startFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	_, otherAddr := startFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{other}}))
	_, saslAddr := startFake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "secret"))
	_, bothAddr := startFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "secret"))
	trust := fixed(&tls.Config{RootCAs: pool})
	for name, test := range map[string]struct {
		cfg  Config
		want []string // parts of the message; none: no error
	}{
		"plain":              {cfg: Config{Brokers: plainAddr}},
		"tls":                {cfg: Config{Brokers: tlsAddr, TLS: trust}},
		"sasl":               {cfg: Config{Brokers: saslAddr, SASL: scramMechanism(t, "alice", "secret")}},
		"tls and sasl":       {cfg: Config{Brokers: bothAddr, TLS: trust, SASL: scramMechanism(t, "alice", "secret")}},
		"one of two answers": {cfg: Config{Brokers: append([]string{"127.0.0.1:1"}, plainAddr...)}},

		"no brokers":            {Config{}, []string{"no brokers configured", "host:port"}},
		"refused":               {Config{Brokers: []string{"127.0.0.1:1"}}, []string{"127.0.0.1:1", "nothing listens there"}},
		"all refused":           {Config{Brokers: []string{"127.0.0.1:1", "127.0.0.1:2"}}, []string{"127.0.0.1:1: ", "127.0.0.1:2: ", "nothing listens there"}},
		"no such host":          {Config{Brokers: []string{"broker.invalid:9092"}}, []string{"broker.invalid", "correct the broker's address"}},
		"tls here only":         {Config{Brokers: plainAddr, TLS: trust}, []string{plainAddr[0], "switch TLS off"}},
		"tls there only":        {Config{Brokers: tlsAddr}, []string{tlsAddr[0], "switch TLS on"}},
		"unknown authority":     {Config{Brokers: tlsAddr, TLS: fixed(&tls.Config{})}, []string{"authority that is not trusted", "ca_file"}},
		"another name":          {Config{Brokers: otherAddr, TLS: fixed(&tls.Config{RootCAs: otherPool})}, []string{"another name", "server_name"}},
		"missing sasl":          {Config{Brokers: saslAddr}, []string{saslAddr[0], "configure a SASL mechanism"}},
		"missing sasl over tls": {Config{Brokers: bothAddr, TLS: trust}, []string{bothAddr[0], "configure a SASL mechanism"}},
		"wrong password":        {Config{Brokers: saslAddr, SASL: scramMechanism(t, "alice", "wrong")}, []string{"wrong user name or password"}},
		"unknown mechanism":     {Config{Brokers: saslAddr, SASL: plain.Mechanism{Username: "alice", Password: "secret"}}, []string{"mechanism"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := NewClient(test.cfg)
			defer c.Close()
			start := time.Now()
			err := c.Ping(testContext(t))
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestPingGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	c := NewClient(Config{Brokers: []string{silent(t)}})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := c.Ping(ctx)
	if err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error %v", err)
	}
}
