package realtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// SecureKafka is one broker with TLS, SASL and ACLs. The password of each of its users is the name with "-secret" behind it.
type SecureKafka struct {
	// Plain has neither TLS nor SASL: who comes this way may do everything. It is for the tests' own tools.
	Plain string
	SASL  string // TLS, then SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN
	// Narrow takes SCRAM-SHA-512 only, without TLS.
	Narrow string
	Mutual string // TLS with a client's certificate; who shows one is User:CN=<its common name>
	// CA has signed the broker's certificate, which is for localhost and 127.0.0.1, and those of the clients that are let in.
	CA *Authority

	server *server
}

// SecureKafkaUsers are the users of a SecureKafka. They may do what ACLs say, which at first is nothing.
func SecureKafkaUsers() []string { return []string{"klaxon", "reader", "nobody"} }

// Kill9 ends the broker as a power cut would, and returns once its port is free. Its data stay.
func (k *SecureKafka) Kill9() error { return k.server.end(true) }

// Restart starts the broker again on its old ports and data, and returns once it can be used.
func (k *SecureKafka) Restart() error { return k.server.restart() }

// NewSecureKafka returns a broker of t's own, which ends with t. It skips or fails t when there is none.
func (s *Servers) NewSecureKafka(t testing.TB) *SecureKafka {
	t.Helper()
	ca, err := NewAuthority("klaxon realtest")
	if err != nil {
		t.Fatal(err)
	}
	k := &SecureKafka{CA: ca}
	k.server = s.own(t, kind{name: "kafka", ready: kafkaReady, local: k.process})
	k.Plain = k.server.address
	return k
}

func (k *SecureKafka) process(ctx context.Context, c cache) (unit, string, error) {
	ports, err := freePorts(5)
	if err != nil {
		return nil, "", err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	plain := at(0)
	k.SASL, k.Narrow, k.Mutual = at(2), at(3), at(4)
	n := alone("127.0.0.1", ports[0], ports[1])
	open := fmt.Sprintf("PLAINTEXT://%s,SASL_SSL://%s,NARROW://%s,MUTUAL://%s", plain, k.SASL, k.Narrow, k.Mutual)
	var passwords strings.Builder
	for _, u := range SecureKafkaUsers() {
		fmt.Fprintf(&passwords, ` user_%s="%s-secret"`, u, u)
		for _, m := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			n.scram = append(n.scram, fmt.Sprintf("%s=[name=%s,password=%s-secret]", m, u, u))
		}
	}
	cert, key, err := k.CA.Issue(Subject{Name: "broker", Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return nil, "", err
	}
	line := strings.NewReplacer("\n", `\n`) // as a property has it
	const scramLogin = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	n.more = [][2]string{
		{"listeners", open + fmt.Sprintf(",CONTROLLER://127.0.0.1:%d", n.controller)},
		{"advertised.listeners", open},
		{"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,NARROW:SASL_PLAINTEXT,MUTUAL:SSL"},
		{"listener.name.sasl_ssl.sasl.enabled.mechanisms", "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN"},
		{"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", scramLogin},
		{"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", scramLogin},
		{"listener.name.sasl_ssl.plain.sasl.jaas.config", "org.apache.kafka.common.security.plain.PlainLoginModule required" + passwords.String() + ";"},
		{"listener.name.narrow.sasl.enabled.mechanisms", "SCRAM-SHA-512"},
		{"listener.name.narrow.scram-sha-512.sasl.jaas.config", scramLogin},
		{"listener.name.mutual.ssl.client.auth", "required"},
		{"ssl.keystore.type", "PEM"},
		{"ssl.keystore.key", line.Replace(string(key))},
		{"ssl.keystore.certificate.chain", line.Replace(string(cert))},
		{"ssl.truststore.type", "PEM"},
		{"ssl.truststore.certificates", line.Replace(string(k.CA.PEM))},
		{"authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"},
		{"allow.everyone.if.no.acl.found", "false"},
		{"super.users", "User:ANONYMOUS"},
	}
	p, err := n.process(ctx, c)
	if err != nil {
		return nil, "", err
	}
	return p, plain, nil
}
