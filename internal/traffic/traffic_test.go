package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phuslu/iploc"
)

var start = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

func options(seed uint64, rate float64, d time.Duration) Options {
	return Options{Seed: seed, Start: start, Rate: rate, Duration: d}
}

// until is every message of a duration.
func until(g *Generator, d time.Duration) []Message {
	var out []Message
	for m := g.Next(); !m.Time.After(start.Add(d)); m = g.Next() {
		out = append(out, m)
	}
	return out
}

func TestSameSeedSameTraffic(t *testing.T) {
	a, b, other := New(options(7, 2000, 30*time.Second)), New(options(7, 2000, 30*time.Second)), New(options(8, 2000, 30*time.Second))
	differs := false
	for i := range 60_000 {
		x, y, z := a.Next(), b.Next(), other.Next()
		if x.Topic != y.Topic || !bytes.Equal(x.Key, y.Key) || !bytes.Equal(x.Value, y.Value) || !x.Time.Equal(y.Time) || x.Headers[TenantHeader] != y.Headers[TenantHeader] {
			t.Fatalf("message %d: %s %s, then %s %s", i, x.Time, x.Value, y.Time, y.Value)
		}
		differs = differs || !bytes.Equal(x.Value, z.Value)
	}
	if !differs {
		t.Error("another seed made the same traffic")
	}
	if fmt.Sprint(a.Planted()) != fmt.Sprint(b.Planted()) {
		t.Error("the same seed planted other attacks")
	}
}

func TestOrderOfTimeAndRate(t *testing.T) {
	for _, c := range []struct {
		rate float64
		d    time.Duration
	}{{10, time.Minute}, {500, 30 * time.Second}, {5000, 10 * time.Second}, {50_000, 5 * time.Second}} {
		g := New(options(1, c.rate, c.d))
		all := until(g, c.d)
		last := start
		attacks := 0
		for i, m := range all {
			if m.Time.Before(last) {
				t.Fatalf("rate %g: message %d at %s comes after %s", c.rate, i, m.Time, last)
			}
			last = m.Time
		}
		for i := range g.planted {
			attacks += len(carriers(all, &g.planted[i]))
		}
		want := c.rate * c.d.Seconds()
		if got := float64(len(all) - attacks); got < 0.8*want || got > 1.3*want {
			t.Errorf("rate %g for %s: %.0f benign messages, not %.0f", c.rate, c.d, got, want)
		}
	}
}

// carriers is the messages that hold all values of an attack's key, within its time.
func carriers(all []Message, a *Attack) []Message {
	var out []Message
	for _, m := range all {
		if m.Time.Before(a.From) || m.Time.After(a.To) || m.Headers[TenantHeader] != a.Tenant {
			continue
		}
		holds := true
		for _, v := range a.Key {
			text := string(m.Value)
			holds = holds && (strings.Contains(text, v) || holdsAddress(text, v))
		}
		if holds {
			out = append(out, m)
		}
	}
	return out
}

func holdsAddress(text, addr string) bool {
	a, err := netip.ParseAddr(addr)
	if err != nil || !a.Is6() {
		return false
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == '"' || r == ' ' || r == ',' }) {
		if b, err := netip.ParseAddr(word); err == nil && a == b {
			return true
		}
	}
	return false
}

func TestEveryPlantedAttackIsThere(t *testing.T) {
	least := map[string]int{"ssh-bruteforce": 33, "web-request-flood": 1500, "web-path-probing": 160, "app-mass-export": 30, "web-embargoed-sign-in": 3,
		"cloudtrail-admin-policy-attached": 3, "cloudtrail-logging-disabled": 2}
	for _, d := range []time.Duration{5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute} {
		for seed := range uint64(3) {
			g := New(options(seed, 100, d))
			all := until(g, d)
			planted := g.Planted()
			if len(planted) < 10 || !slices.IsSortedFunc(planted, func(a, b Attack) int { return a.From.Compare(b.From) }) {
				t.Fatalf("%d attacks in %s", len(planted), d)
			}
			for _, a := range planted {
				if a.From.Before(start.Add(d/100)) || a.To.After(start.Add(d*90/100)) || a.To.Before(a.From) {
					t.Errorf("%s in %s lies from %s to %s", a.Name, d, a.From.Sub(start), a.To.Sub(start))
				}
				if got := len(carriers(all, &a)); got < max(1, least[a.Rule]) {
					t.Errorf("%s in %s: %d messages", a.Name, d, got)
				}
			}
		}
	}
}

func TestShortRunsKeepEveryAttackInside(t *testing.T) {
	for _, d := range []time.Duration{5 * time.Second, 30 * time.Second, 3 * time.Minute} {
		for _, a := range New(options(1, 100, d)).Planted() {
			if from, to := a.From.Sub(start), a.To.Sub(start); from < d/10 || to > d*75/100 {
				t.Errorf("%s: %s from %s to %s", d, a.Name, from, to)
			}
		}
	}
}

func TestLongRunsRepeatAttacks(t *testing.T) {
	planted := New(options(1, 100, time.Hour)).Planted()
	if first := planted[0].From.Sub(start); first > 15*time.Second {
		t.Errorf("who watches for an hour waits %s for the first attack", first)
	}
	seen := map[string]bool{}
	for _, a := range planted {
		key := fmt.Sprint(a.Rule, a.Tenant, a.Key)
		if seen[key] && a.Key["source.ip"] != "" {
			t.Errorf("%s: %s comes twice", a.Name, key)
		}
		seen[key] = true
	}
	if len(planted) < 100 {
		t.Errorf("%d attacks in an hour", len(planted))
	}
}

// TestBenignIsBenign is about what the generator promises to whoever counts false alarms.
func TestBenignIsBenign(t *testing.T) {
	d := 2 * time.Minute
	g := New(options(5, 3000, d))
	all := until(g, d)
	perAddress := map[string]int{} // requests in ten seconds
	failures := map[string]int{}   // of SSH in a minute
	for _, m := range all {
		if attacked(g, &m) {
			continue
		}
		text := string(m.Value)
		if m.Topic == TopicNginx {
			if i := strings.Index(text, "nginx: "); i >= 0 {
				text = text[i+len("nginx: "):]
			}
			fields := strings.Fields(text)
			perAddress[fmt.Sprint(m.Headers[TenantHeader], fields[0], m.Time.Unix()/10)]++
		}
		if i := strings.Index(text, sshFailed); m.Topic == TopicAuth && i >= 0 {
			addr := text[strings.LastIndex(text, " from ")+6:]
			failures[fmt.Sprint(addr[:strings.IndexByte(addr, ' ')], m.Time.Unix()/60)]++
		}
	}
	for who, n := range perAddress {
		if n > 200 && !strings.Contains(who, "10.") {
			t.Errorf("%s: %d requests in ten seconds", who, n)
		}
	}
	most := 0
	for who, n := range failures {
		if most = max(most, n); n > 15 {
			t.Errorf("%s: %d failed logins in a minute", who, n)
		}
	}
	if most < 5 {
		t.Errorf("nobody mistypes a password: %d", most)
	}
}

func attacked(g *Generator, m *Message) bool {
	for i := range g.planted {
		if len(carriers([]Message{*m}, &g.planted[i])) > 0 {
			return true
		}
	}
	return false
}

func TestDocumentsAreWhole(t *testing.T) {
	d := time.Minute
	g := New(options(3, 1000, d))
	broken, several, topics := int64(0), 0, map[string]int{}
	for _, m := range until(g, d) {
		topics[m.Topic]++
		if m.Headers[TenantHeader] == "" || len(m.Key) == 0 {
			t.Fatalf("%+v has no tenant or key", m)
		}
		if m.Topic == TopicApp || m.Topic == TopicCloudTrail {
			if !json.Valid(m.Value) {
				broken++
			} else if bytes.HasPrefix(m.Value, []byte(`{"Records"`)) {
				several++
			}
		}
	}
	if got := g.Undecodable(); broken > got || broken < got-1 || broken < 3 { // one may come just behind the end
		t.Errorf("%d documents are broken, and the generator says %d", broken, got)
	}
	if several == 0 || len(topics) != len(Topics()) {
		t.Errorf("%d messages hold several events; topics %v", several, topics)
	}
}

func TestCountriesAreWhatTheyClaim(t *testing.T) {
	embargoed := map[string]bool{"CU": true, "IR": true, "KP": true, "SY": true}
	country := func(addr string) string { return iploc.IPCountry(netip.MustParseAddr(addr)) }
	g := New(options(9, 100, time.Minute))
	seen := map[string]bool{}
	for range 2000 {
		for _, addr := range []string{g.embargoed(false), g.embargoed(true)} {
			if c := country(addr); !embargoed[c] {
				t.Fatalf("%s is in %q, which is not embargoed", addr, c)
			}
		}
		for _, tn := range g.tenants {
			for _, addr := range []string{g.visitor(tn), g.hostile(), tn.offices[0], tn.offices[1]} {
				c := country(addr)
				if embargoed[c] || c == "" || c == "ZZ" {
					t.Fatalf("%s is in %q", addr, c)
				}
				seen[c] = true
			}
		}
	}
	for _, neighbour := range []string{"TR", "IQ", "JO", "LB", "KR", "DO", "MX"} {
		if !seen[neighbour] {
			t.Errorf("nobody visits from %s: %v", neighbour, seen)
		}
	}
}

func TestExplains(t *testing.T) {
	a := Attack{Rule: "r", Also: []string{"s"}, Tenant: "acme", Key: map[string]string{"source.ip": "192.0.2.1", "user.name": "x"}}
	for _, c := range []struct {
		tenant, rule string
		key          map[string]string
		want         bool
	}{
		{"acme", "r", map[string]string{"source.ip": "192.0.2.1"}, true},
		{"acme", "s", map[string]string{"source.ip": "192.0.2.1", "host.name": "h"}, true},
		{"acme", "r", map[string]string{"source.ip": "192.0.2.1", "user.name": "y"}, false},
		{"acme", "r", map[string]string{"host.name": "h"}, false},
		{"acme", "q", map[string]string{"source.ip": "192.0.2.1"}, false},
		{"globex", "r", map[string]string{"source.ip": "192.0.2.1"}, false},
	} {
		if got := a.Explains(c.tenant, c.rule, c.key); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	g := New(options(1, 100_000, time.Minute))
	b.ReportAllocs()
	var bytes int64
	for b.Loop() {
		bytes += int64(len(g.Next().Value))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(bytes)/float64(b.N), "B/msg")
}
