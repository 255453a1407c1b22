package real

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// as is a client that has logged in, without any right that was not granted.
func (s *secure) as(t *testing.T, user string) *kafka.Client {
	t.Helper()
	c := kafka.NewClient(kafka.Config{Brokers: []string{s.SASL}, TLS: follow(t, authority(t, s.CA)), SASL: mechanism(t, "SCRAM-SHA-512", user, user+"-secret"), Principal: user})
	t.Cleanup(c.Close)
	return c
}

// super is a client that may do everything.
func (s *secure) super(t *testing.T) *kafka.Client {
	t.Helper()
	c := kafka.NewClient(kafka.Config{Brokers: []string{s.Plain}})
	t.Cleanup(c.Close)
	return c
}

// rights does what klaxon does as a user who may do nothing, and each time follows the advice that the error gives, until it works.
func (s *secure) rights(t *testing.T) {
	ctx, done := context.WithTimeout(t.Context(), 2*time.Minute)
	defer done()
	super, c := s.super(t), s.as(t, "reader")
	if _, err := super.EnsureTopic(ctx, kafka.TopicSpec{Name: "rights.logs", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	if topics, err := c.List(ctx); err != nil || len(topics) > 0 {
		t.Errorf("who may do nothing sees %v, error %v", topics, err)
	}
	message := []kafka.Message{{Value: []byte("x")}}
	s.granted(t, "describe a topic", "Describe topic", func() error { _, err := c.Describe(ctx, "rights.logs"); return err })
	s.granted(t, "look at settings", "DescribeConfigs topic", func() error { _, err := c.Settings(ctx, "rights.logs"); return err })
	s.granted(t, "write", "Write topic", func() error {
		return c.Produce(ctx, "rights.logs", kafka.None, map[int32][]kafka.Message{0: message})[0]
	})
	s.granted(t, "send", "Write topic", func() error {
		limited, done := context.WithTimeout(ctx, 2*time.Second)
		defer done()
		_, _ = super.EnsureTopic(ctx, kafka.TopicSpec{Name: "rights.sent", Partitions: 1})
		return c.Send(limited, "rights.sent", message)
	})
	s.granted(t, "create a topic", "Describe topic, Create topic", func() error {
		_, err := c.EnsureTopic(ctx, kafka.TopicSpec{Name: "rights.own", Partitions: 1})
		return err
	})
	s.reads(t, c)
}

// granted acts until there is no error, granting what the errors say is lacking, and wants the first of these to be a certain one.
func (s *secure) granted(t *testing.T, what, lacks string, act func() error) {
	t.Helper()
	var lacked []string
	for range 10 {
		err := act()
		if err == nil {
			break
		}
		var access *kafka.AccessError
		if !errors.As(err, &access) {
			t.Fatalf("%s: %v", what, err)
		}
		if n := strings.Count(kafka.Explain(err), access.Command); n != 1 {
			t.Errorf("%s: the command is there %d times: %v", what, n, kafka.Explain(err))
		}
		lacked = append(lacked, access.Operation+" "+access.Resource)
		applyACL(t, s.Plain, access.Command)
		time.Sleep(100 * time.Millisecond) // the broker's own cache of rights
	}
	if got := strings.Join(lacked, ", "); !strings.HasPrefix(got, lacks) {
		t.Errorf("%s: lacked %q, want %s", what, got, lacks)
	}
}

// reads reads as a group that may neither read its topics nor be a group, and grants what it says it lacks.
func (s *secure) reads(t *testing.T, c *kafka.Client) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if _, err := s.super(t).EnsureTopic(ctx, kafka.TopicSpec{Name: "rights.read", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.super(t).Send(ctx, "rights.read", []kafka.Message{{Value: []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	var (
		mu     sync.Mutex
		lacked = map[string]bool{}
	)
	hear := func(err error) {
		var access *kafka.AccessError
		if !errors.As(err, &access) {
			t.Logf("told: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if key := access.Operation + " " + access.Resource; !lacked[key] {
			lacked[key] = true
			applyACL(t, s.Plain, access.Command)
		}
	}
	read := ""
	err := c.Consume(ctx, kafka.GroupConfig{ID: "rights.group", Topics: kafka.Select("rights.read"), Session: 6 * time.Second, Watch: 200 * time.Millisecond, OnError: hear}, func(ctx context.Context, claim *kafka.Claim) error {
		for {
			b, err := claim.Fetch(ctx)
			if err != nil {
				return nil
			}
			offsets := event.Offsets{b.Source: b.Next}
			for _, r := range b.Records {
				read = string(r.Value)
			}
			b.Release()
			if err := claim.Commit(ctx, offsets); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			if read != "" {
				done()
			}
		}
	})
	if err != nil || read != "y" {
		t.Errorf("read %q, error %v", read, err)
	}
	if !lacked["Read topic"] || !lacked["Read group"] {
		t.Errorf("lacked %v", lacked)
	}
}
