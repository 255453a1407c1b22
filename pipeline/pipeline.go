// Package pipeline is the four loops that move klaxon's data, one file each: archive, match, detect and deliver. Each loop is
// fetch, transform, deliver, commit; what is between them is Kafka. The pure part that the loops share with rule tests and the
// offline commands is the Worker.
//
// The package knows neither the store nor any destination: it declares the small interfaces that it needs.
package pipeline

import (
	"context"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// Claim is the partitions that a loop owns for one generation of its consumer group. It is used by one goroutine.
type Claim interface {
	// Owned is what is owned, with the committed offsets.
	Owned() []kafka.Partition
	// Fetch is the next batch of any owned partition. It waits at most a moment: a batch without records and with AtEnd set
	// says that a partition was read to its end. The caller releases the batch. An error means that ctx has ended.
	Fetch(ctx context.Context) (*event.Batch, error)
	// Commit says where to go on after a restart: the next offset of each partition.
	Commit(ctx context.Context, offsets event.Offsets) error
}

// GroupClaim is a claim that knows what the other members of its group read.
type GroupClaim interface {
	Claim
	// Topics is every topic that the group reads, whoever owns its partitions.
	Topics() []kafka.Topic
}

// SeekClaim is a claim whose starting offsets the caller knows better than Kafka does.
type SeekClaim interface {
	Claim
	// Seek sets where the first Fetch of a partition begins.
	Seek(source event.Source, offset int64) error
}

// Clock is where the loops get the time from.
type Clock func() time.Time

// Drain is how long a loop that lost its partitions may take to finish what it holds, for a session of the consumer group.
func Drain(session time.Duration) time.Duration { return min(2*time.Second, session/4) }

// afterwards is a context for the last acts of a loop whose own context has ended.
func afterwards(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// sleep waits, and answers false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
