package realtest

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestAuthority(t *testing.T) {
	ours, err := NewAuthority("ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := NewAuthority("theirs")
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(ours.PEM) {
		t.Fatal("the authority's certificate is not in PEM form")
	}
	for name, c := range map[string]struct {
		by      *Authority
		subject Subject
		host    string
		good    bool
	}{
		"for a name":     {ours, Subject{Name: "x", Hosts: []string{"localhost", "127.0.0.1"}}, "localhost", true},
		"for an address": {ours, Subject{Name: "x", Hosts: []string{"localhost", "127.0.0.1"}}, "127.0.0.1", true},
		"another's":      {theirs, Subject{Name: "x", Hosts: []string{"localhost"}}, "localhost", false},
		"expired":        {ours, Subject{Name: "x", Hosts: []string{"localhost"}, Until: time.Now().Add(-time.Minute)}, "localhost", false},
		"for no host":    {ours, Subject{Name: "x"}, "localhost", false},
	} {
		cert, key, err := c.by.Issue(c.subject)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: trusted, DNSName: c.host})
		if (err == nil) != c.good || pair.Leaf.Subject.CommonName != c.subject.Name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheLastOfTwoSettingsCounts(t *testing.T) {
	n := alone("127.0.0.1", 1, 2)
	n.more = [][2]string{{"min.insync.replicas", "9"}}
	got := n.settings()
	if last := got[len(got)-1]; last != [2]string{"min.insync.replicas", "9"} {
		t.Errorf("the last setting is %v", last)
	}
	for brokers, want := range map[int][2]string{1: {"1", "1"}, 2: {"2", "1"}, 3: {"3", "2"}, 5: {"3", "2"}} {
		n := node{id: 1, brokers: brokers}
		found := map[string]string{}
		for _, s := range n.settings() {
			found[s[0]] = s[1]
		}
		if found["default.replication.factor"] != want[0] || found["min.insync.replicas"] != want[1] {
			t.Errorf("%d brokers: %s replicas, %s in sync", brokers, found["default.replication.factor"], found["min.insync.replicas"])
		}
	}
}
