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
		"app.audit":        `{"time":"2026-10-10T13:55:36.250Z","action":"login","outcome":"failure","actor":{"id":"u-17","name":"alice"},"source":{"ip":"10.0.0.7","forwarded_for":"203.0.113.9, 10.0.0.9"},"tenant":"acme","details":{"n":1}}`,
		"system.sudo":      `<85>Dec 31 13:55:36 web1 sudo[4242]:    alice : command not allowed ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/echo x : TTY=pts/1 ; USER=root ; COMMAND=/bin/sh`,
		"kubernetes.audit": `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"57a794de","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-1/exec?command=%2Fbin%2Fbash\u0026tty=true","verb":"create","user":{"username":"system:serviceaccount:shop:web","groups":["system:serviceaccounts","system:authenticated"]},"sourceIPs":["198.51.100.7","10.0.0.5"],"userAgent":"kubectl","objectRef":{"resource":"pods","namespace":"shop","name":"web-1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},"requestReceivedTimestamp":"2026-10-10T13:55:36.763960Z","stageTimestamp":"2026-10-10T14:55:36.619910Z"}]}`,
		"github.audit":     `[{"@timestamp":1791640536250,"_document_id":"kZ4b","action":"protected_branch.destroy","actor":"mallory","actor_id":583231,"actor_ip":"203.0.113.9","actor_is_bot":false,"actor_location":{"country_code":"DE"},"created_at":1791640536250,"name":"main","operation_type":"remove","org":"acme","org_id":17,"repo":"acme/shop","user":null,"user_agent":"Mozilla/5.0 \"x\""},{"@timestamp":1791640536250,"_document_id":"m-1","action":"git.clone","actor":"alice"}]`,
		"rspamd":           `{"timestamp":1791640536,"uid":"f3a1c2","qid":"4bX1Yz2K9Q","ip":"203.0.113.9","user":"alice","action":"no action","score":-2.1,"from":"bounce@lists.example","rcpt":["alice@acme.example","bob@acme.example"],"header_from":["\"Weekly \\u00fc News\" <news@lists.example>"],"header_subject":["This week"],"symbols":[{"name":"R_SPF_ALLOW","score":-0.2},{"name":"R_DKIM_ALLOW","options":["lists.example"]}]}`,
		"json":             `{"log":"{\"level\":50,\"time\":1791554136250,\"pid\":7,\"hostname\":\"web1\",\"msg\":\"boom\",\"source\":{\"ip\":\"8.8.8.8\"},\"plan\":\"gold\"}\n","stream":"stdout","time":"2026-10-10T13:55:37.1Z"}`,
		"text":             "worker 7: cache warmed in 31 ms, \xff\xfe",
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
				if n := testing.AllocsPerRun(50, run); n > poolAllocations {
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
