package archive

import (
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
)

// A stored document becomes the event that it was made of, whatever the types of its fields, a vendor's object included.
func TestDecode(t *testing.T) {
	s, err := ecs.Schema()
	if err == nil {
		s, err = s.Extend(event.Field{Name: "aws.cloudtrail", Type: event.Object}, event.Field{Name: "aws.cloudtrail.userIdentity.arn", Type: event.Untyped},
			event.Field{Name: "$scratch", Type: event.Keyword})
	}
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"@timestamp":"2026-11-24T09:50:00.123Z","aws":{"cloudtrail":{"userIdentity":{"arn":"arn:aws:iam::1:user/a"},"n":[1,{"x":null}]}},` +
		`"event":{"category":["iam","configuration"],"dataset":"aws.cloudtrail","original":"a \"quoted\" line\nof two"},"http":{"response":{"status_code":404}},` +
		`"klaxon":{"id":"logs-2-17-mwun79c0-3","tenant":"acme"},"source":{"ip":"2001:db8::1"},"tags":["x","y"]}`
	d, e := newDecoder(s), event.New(s)
	for range 2 { // the event is reused
		if err := d.decode(&Key{Hour: HourOf(start), Topic: "logs", Partition: 2}, []byte(body), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(e.AppendDocument(nil)); got != body {
		t.Errorf("read as\n%s, was\n%s", got, body)
	}
	if e.ID.String() != "logs-2-17-mwun79c0-3" || e.ID.Index != 3 || e.Received != e.ID.Time || e.Tenant != "acme" || e.Dataset != "aws.cloudtrail" || e.Time != start+123 {
		t.Errorf("%+v at %d of %s, %s", e.ID, e.Time, e.Tenant, e.Dataset)
	}
	if got := e.Text(s.ID("aws.cloudtrail.userIdentity.arn")); got != "arn:aws:iam::1:user/a" {
		t.Errorf("a field inside the vendor's object is %q", got)
	}
	if err := d.decode(&Key{}, []byte(body[:50]), e); err == nil {
		t.Error("half a document is read")
	}
}
