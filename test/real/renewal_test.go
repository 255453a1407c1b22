package real

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/realtest"
)

// renewal starts with a client's certificate that the broker does not accept, and renews it on disk; then the broker's authority,
// which is not trusted before its file is replaced.
func (s *secure) renewal(t *testing.T) {
	stranger, err := realtest.NewAuthority("stranger")
	if err != nil {
		t.Fatal(err)
	}
	files := identity(t, stranger, stranger, realtest.Subject{Name: "klaxon"})
	client := kafka.NewClient(kafka.Config{Brokers: []string{s.Mutual}, TLS: follow(t, files)})
	defer client.Close()
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	says(t, "with another authority", client.Ping(ctx), []string{"ca_file"})
	write(t, files.CA, s.CA.PEM)
	says(t, "with a certificate of another authority", client.Ping(ctx), []string{"does not accept the client's certificate (cert_file) of CN=klaxon"})
	renewed := identity(t, s.CA, s.CA, realtest.Subject{Name: "renewed"})
	for to, from := range map[string]string{files.Key: renewed.Key, files.Cert: renewed.Cert} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, data)
	}
	if err := client.Ping(ctx); err != nil {
		t.Errorf("after the certificate was renewed: %v", err)
	}
	applyACL(t, s.Plain, "kafka-acls.sh --add --allow-principal User:CN=renewed --operation Describe --topic renewal")
	s.topic(t, "renewal")
	eventually(t, 20*time.Second, "the broker knows the client by its certificate's name", func() bool {
		_, err := client.Describe(ctx, "renewal")
		return err == nil
	})
}
