package elasticsearch

import (
	"strings"
	"testing"
	"time"
)

func TestIndexName(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := &Client{cfg: Config{Prefix: "klaxon", Retention: 10 * 24 * time.Hour, Periods: map[string]Period{"weekly": Weekly, "monthly": Monthly}}}
	tests := []struct{ dataset, at, want string }{
		{"nginx.access", "2026-11-24T00:00:00Z", "klaxon-nginx.access-2026.11.24"},
		{"nginx.access", "2026-11-23T23:59:59.999Z", "klaxon-nginx.access-2026.11.23"},
		{"weekly", "2026-11-24T00:00:00Z", "klaxon-weekly-2026.w48"},
		{"weekly", "2026-11-22T23:59:59Z", "klaxon-weekly-2026.w47"}, // a Sunday
		{"monthly", "2026-11-02T00:00:00Z", "klaxon-monthly-2026.11"},
		{"nginx.access", "2026-11-14T12:00:00Z", "klaxon-nginx.access-2026.11.14"},
		{"nginx.access", "2026-11-13T23:59:59Z", "klaxon-undated"}, // its index is to be deleted
		{"weekly", "2026-11-09T00:00:00Z", "klaxon-weekly-2026.w46"},
		{"weekly", "2026-11-08T00:00:00Z", "klaxon-undated"},
		{"nginx.access", "2026-11-25T12:00:00Z", "klaxon-nginx.access-2026.11.25"},
		{"nginx.access", "2026-11-25T12:00:00.001Z", "klaxon-undated"},
		{"nginx.access", "0001-01-01T00:00:00Z", "klaxon-undated"},
		{"", "2026-11-24T00:00:00Z", "klaxon-none-2026.11.24"},
		{`A/b\c*?"<>| ,#:Ü`, "2026-11-24T00:00:00Z", "klaxon-a_b_c__________Ü-2026.11.24"},
	}
	for _, tt := range tests {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(tt.want, "Ü", "__") // two bytes
		if got := c.indexName(tt.dataset, at.UnixMilli(), now); got != want {
			t.Errorf("%s at %s: %s, want %s", tt.dataset, tt.at, got, want)
		}
	}
	long := strings.Repeat("x", 300)
	a, b := c.indexName(long+"a", now.UnixMilli(), now), c.indexName(long+"b", now.UnixMilli(), now)
	if a == b || len(a) > 200 {
		t.Errorf("long names: %s and %s", a, b)
	}
}

// What the sink remembers of a day answers as indexName does, for every instant around now and the border of what is too far ahead.
func TestHeadAgreesWithIndexName(t *testing.T) {
	f := newFake(t)
	now := noon
	c := f.client(func(cfg *Config) { cfg.Now, cfg.Retention = func() time.Time { return now }, 5*24*time.Hour })
	s := c.NewSink()
	for range 3 {
		for d := -7 * 24 * time.Hour; d < 3*24*time.Hour; d += 37 * time.Minute {
			doc := documentAt(1, noon.Add(d), "")
			s.Add(doc)
			want := `{"create":{"_index":"` + c.indexName(doc.Dataset, doc.Received, now) + `","_id":"` + doc.ID.String() + `"}}` + "\n"
			if got := string(s.batch.buf); !strings.HasPrefix(got, want) {
				t.Fatalf("%s: %s, want %s", d, got, want)
			}
			s.batch.reset()
		}
		now = now.Add(25 * time.Minute)
	}
}

func TestConfigFailures(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no address", Config{}, "no address"},
		{"a bare host", Config{URLs: []string{"localhost:9200"}}, "is none: write it as"},
		{"a password in the address", Config{URLs: []string{"https://u:s3cret@es:9200"}}, "holds a password"},
		{"a password in an address that is none", Config{URLs: []string{"https://u:s3cret@es:port"}}, "is none"},
		{"a prefix that no index may have", Config{URLs: []string{"http://es:9200"}, Prefix: "_Klaxon"}, "cannot begin an index's name"},
		{"no CA file", Config{URLs: []string{"http://es:9200"}, CAFile: "/none"}, "cannot read the authorities"},
		{"a CA file without a certificate", Config{URLs: []string{"http://es:9200"}, CAFile: "names_test.go"}, "holds no certificate"},
	}
	for _, tt := range tests {
		_, err := New(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
