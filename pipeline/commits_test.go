package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// shaky is a claim whose first commit fails.
type shaky struct {
	*fakeClaim
	failed bool
}

func (c *shaky) Commit(ctx context.Context, o event.Offsets) error {
	if !c.failed {
		c.failed = true
		return errors.New("no coordinator")
	}
	return c.fakeClaim.Commit(ctx, o)
}

// TestFailedCommitsAreRepeated: a commit that failed is made good although no record follows, or the partition would lag for ever.
func TestFailedCommitsAreRepeated(t *testing.T) {
	loops := map[string]func(*testing.T) func(context.Context, Claim) error{
		"archive": func(t *testing.T) func(context.Context, Claim) error {
			return testArchive(t, &fakeSink{}, &fakeSender{}).Run
		},
		"match": func(t *testing.T) func(context.Context, Claim) error {
			m := testMatch(t, &memoryLog{shards: map[int32][][]byte{}})
			return func(ctx context.Context, c Claim) error { return m.Run(ctx, c.(GroupClaim)) }
		},
	}
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				claim := &shaky{fakeClaim: &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), failure("192.0.2.1"), failure("192.0.2.2"))}}}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- loop(t)(ctx, claim) }()
				time.Sleep(5 * time.Second)
				if claim.committed() != 2 || len(claim.commits) != 1 {
					t.Errorf("committed %d in %d commits", claim.committed(), len(claim.commits))
				}
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
