package ingest

import (
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// hotLine is a typical line of every shipped dataset.
func hotLine() map[string]string {
	return map[string]string{
		"nginx.access":  `203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] "GET /admin?x=1 HTTP/1.1" 404 162 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" "198.51.100.7, 10.0.0.9"`,
		"apache.access": `www.example.com:443 2001:4860:4860::8888 - frank [10/Oct/2026:13:55:36 -0700] "GET /a/b HTTP/1.0" 200 2326 "-" "Mozilla/4.08 [en] (Win98; I ;Nav)"`,
		"system.auth":   `<38>Dec 31 13:55:36 bastion sshd[4242]: Failed password for invalid user root from 1.2.3.4 port 22 ssh2 from 203.0.113.9 port 53122 ssh2`,
		"aws.cloudtrail": `{"Records":[{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROA:cli","arn":"arn:aws:sts::123456789012:assumed-role/deploy/cli","accountId":"123456789012"},"eventTime":"2026-10-10T13:55:36Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","awsRegion":"eu-west-1","sourceIPAddress":"ec2.amazonaws.com","userAgent":"x \"y\"","errorCode":"Client.UnauthorizedOperation","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"}]}},"eventID":"e-2"},` +
			`{"eventVersion":"1.08","userIdentity":{"type":"Root"},"eventTime":"2026-10-10T13:55:36Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","sourceIPAddress":"203.0.113.9","eventID":"e-3"}]}`,
		"app.audit": `{"time":"2026-10-10T13:55:36.250Z","action":"login","outcome":"failure","actor":{"id":"u-17","name":"alice"},"source":{"ip":"10.0.0.7","forwarded_for":"203.0.113.9, 10.0.0.9"},"tenant":"acme","details":{"n":1}}`,
		"json":      `{"log":"{\"level\":50,\"time\":1791554136250,\"pid\":7,\"hostname\":\"web1\",\"msg\":\"boom\",\"source\":{\"ip\":\"8.8.8.8\"},\"plan\":\"gold\"}\n","stream":"stdout","time":"2026-10-10T13:55:37.1Z"}`,
		"text":      "worker 7: cache warmed in 31 ms, \xff\xfe",
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	set := shipped(t)
	databases := made(t, enrich.Kinds()...)
	for _, d := range set.All() {
		line, ok := hotLine()[d.Name]
		if !ok {
			t.Errorf("%s: add a line", d.Name)
			continue
		}
		for how, name := range map[string]string{"given": d.Name, "claimed": "", "located": d.Name} {
			t.Run(d.Name+" "+how, func(t *testing.T) {
				o := Options{Datasets: set, Country: enrich.Embedded{}, Tenant: TenantRule{Topic: "logs.{tenant}.*"}}
				if how == "located" {
					o.Databases = databases
				}
				n := NewNormalizer(o)
				e := event.New(set.Schema())
				rec := &event.Record{Source: event.Source{Topic: "in.acme.x"}, Value: []byte(line), Time: 1798761600000, Headers: []event.Header{{Key: "x", Value: []byte("y")}}}
				var doc []byte
				events := 0
				run := func() {
					if err := n.NormalizeAs(name, rec, e, func(e *event.Event) {
						events++
						doc = e.AppendDocument(doc[:0])
						if kind := e.Text(event.EventKind); kind != "event" {
							t.Fatalf("%s: %s", kind, doc)
						}
					}); err != nil {
						t.Fatal(err)
					}
				}
				run()
				run()
				if events == 0 {
					t.Fatal("no event")
				}
				if n := testing.AllocsPerRun(50, run); n != 0 {
					t.Errorf("%v allocations a record", n)
				}
			})
		}
	}
}

func BenchmarkNormalize(b *testing.B) {
	set := shipped(b)
	for _, d := range set.All() {
		b.Run(d.Name, func(b *testing.B) {
			n := NewNormalizer(Options{Datasets: set, Country: enrich.Embedded{}})
			e := event.New(set.Schema())
			rec := &event.Record{Value: []byte(hotLine()[d.Name]), Time: 1798761600000}
			b.SetBytes(int64(len(rec.Value)))
			b.ReportAllocs()
			for b.Loop() {
				if err := n.NormalizeAs(d.Name, rec, e, func(*event.Event) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
