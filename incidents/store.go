package incidents

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// ErrFenced says that somebody else has claimed a shard since: nothing was written, and the memory of the shard is to be dropped.
var ErrFenced = errors.New("fenced: another process has claimed this shard")

// ErrNotFound says that there is no such incident or message.
var ErrNotFound = errors.New("not found")

// ShardState is what the store knows of a shard when it is claimed.
type ShardState struct {
	Epoch        int64  // who may write: the greatest epoch only
	Next         int64  // the next offset of the hits topic, or -1 where the store has none
	TopicID      string // which incarnation of the hits topic Next belongs to
	CheckpointAt int64  // the offset that Checkpoint stands at
	Checkpoint   []byte // nil: none
}

// Gap says whether the shard was read from another incarnation of the hits topic than the one that it was claimed for: what that
// one still held is lost, and memory begins anew at the earliest hit.
func (s *ShardState) Gap(topicID string) bool { return s.Next >= 0 && s.TopicID != topicID }

// ShardWrite is what one transaction says of a shard.
type ShardWrite struct {
	Shard      int32
	Epoch      int64
	Next       int64 // the next offset to read
	TopicID    string
	Checkpoint []byte // nil: none this time; else the memory at Next
	Alerts     []alert.Alert
}

// Known is what is stored of an alert; a Revision of 0 says that it is new.
type Known struct {
	Revision int64
	Incident string // the id of the incident that it folds into, or ""
	KeyID    string // the key of that incident, which need not be the alert's own any more
}

// KeyState is what is stored of an incident key.
type KeyState struct {
	Episode int64  // how many incidents the key has had
	Open    string // the id of the one that is open, or ""
}

// Store keeps the book. A store is safe for concurrent use.
type Store interface {
	// Claim takes a shard, in a transaction of its own: from its end on no transaction of an earlier epoch can commit.
	Claim(ctx context.Context, shard int32, topicID string) (ShardState, error)
	// Update calls f in one transaction, which is committed if f returns nil, and otherwise leaves nothing behind; then it may call f
	// again. The Tx is valid until f returns. Writing transactions exclude each other as far as they lock the same shards and keys.
	Update(ctx context.Context, f func(Tx) error) error
	// View calls f with one unchanging state, and may call it again. The View is valid until f returns.
	View(ctx context.Context, f func(View) error) error
	// Close waits for transactions under way.
	Close() error
}

// View reads. What it returns is the caller's.
type View interface {
	// Incident returns an incident by its id; ErrNotFound.
	Incident(id string) (Incident, error)
	// Incidents returns the incidents that the filter lets through, the one that was opened last first.
	Incidents(Filter) ([]Incident, error)
	// Entries returns the last entries of an incident's timeline, at most limit, in their order.
	Entries(incident string, limit int) ([]Entry, error)
	// Alerts returns the last revisions of alerts, by id.
	Alerts(AlertFilter) ([]alert.Alert, error)
	// Messages returns the outbox's messages that the filter lets through, by Seq.
	Messages(MessageFilter) ([]Message, error)
	// Due returns what may be delivered to a destination: no message is due while an earlier one of its subject waits for its time.
	Due(destination string, now time.Time, limit int) ([]Message, error)
	// Tally counts.
	Tally() (Tally, error)
	// Checkpoint returns the newest checkpoint of a shard that stands before an offset, and -1 where there is none.
	Checkpoint(shard int32, before int64) (at int64, state []byte, err error)
	// Lease returns a lease; one that nobody ever took is zero.
	Lease(name string) (Lease, error)
}

// Tx reads and writes.
type Tx interface {
	View
	// Fence checks that the shard is still the epoch's, and writes its next offset and checkpoint, of which two are kept;
	// ErrFenced. It comes before everything else, shards ascending.
	Fence(w ShardWrite, now time.Time) error
	// LockKey returns what is known of an incident key, and keeps others from it until the transaction ends. Keys ascending.
	LockKey(keyID string) (KeyState, error)
	PutKey(keyID string, k KeyState) error
	// Known looks an alert up.
	Known(alertID string) (Known, error)
	// PutAlert stores the revision, in place of an earlier one, with body as its JSON; incident may be "". Now is when, for retention.
	PutAlert(a *alert.Alert, body json.RawMessage, incident string, now time.Time) error
	// Link says that an alert belongs to an incident; twice is once.
	Link(incident, alertID string) error
	// PutIncident stores the incident, in place of an earlier revision.
	PutIncident(in *Incident) error
	AddEntry(e *Entry) error
	// AddMessage puts a message into the outbox and ignores one whose id its destination has already.
	AddMessage(m *Message) error
	// PutMessage stores state, attempts, next, cause, ref, done and creation of a message by its Seq, and drops the body of one
	// that was sent. It answers false, and does nothing, where the message was sent before or is gone.
	PutMessage(m *Message) (bool, error)
	// PutThread remembers what a destination called its first message about a subject, and when it was last told of it. The first
	// ref stays.
	PutThread(destination, subject, ref string, now time.Time) error
	// PutLease stores a lease if its turn is still the one that was seen, and answers whether it did.
	PutLease(name string, l Lease, seen int64) (bool, error)
	// Prune removes what retention says. One at a time does, whoever else calls it.
	Prune(Pruning) (Pruned, error)
}

// Filter chooses incidents. Zero values let everything through.
type Filter struct {
	IDPrefix    string
	States      []State // any of
	Open        bool    // only those that are not closed
	Tenant      string
	MinSeverity alert.Severity
	OpenedSince time.Time
	Limit       int // default 100, at most 10,000
}

// AlertFilter chooses alerts. Zero values let everything through.
type AlertFilter struct {
	ID       string
	Incident string // the id of an incident that they belong to
	Tenant   string
	Rule     string
	Mode     alert.Mode
	After    string // ids greater than this, for reading on
	Limit    int    // default 100, at most 10,000
}

// MessageFilter chooses messages. Zero values let everything through.
type MessageFilter struct {
	Seq         int64
	Destination string
	State       string
	Subject     string
	After       int64 // Seq greater than this, for reading on
	Limit       int   // default 100, at most 10,000
}

// Tally is how much there is.
type Tally struct {
	// Open is how many incidents are open, by severity.
	Open   map[alert.Severity]int64 `json:"open"`
	Outbox []Backlog                `json:"outbox"`
}

// OpenIncidents is how many incidents are open.
func (t *Tally) OpenIncidents() (n int64) {
	for _, one := range t.Open {
		n += one
	}
	return n
}

// Backlog is what a destination has not been told, by destination.
type Backlog struct {
	Destination string    `json:"destination"`
	Waiting     int64     `json:"waiting"`
	Parked      int64     `json:"parked"`
	Oldest      time.Time `json:"oldest,omitzero"` // when the oldest that waits was written
}

// Pruning says what to give up and what to remove: everything older than these times.
type Pruning struct {
	Now time.Time
	// Waiting messages are parked.
	Waiting time.Time
	// MaxWaiting bounds the messages that wait for one destination; the oldest beyond it are parked.
	MaxWaiting int64
	// Sent and Parked messages are removed.
	Sent, Parked time.Time
	// Alerts that belong to no incident are removed.
	Alerts time.Time
	// Threads are forgotten, but not those of open incidents.
	Threads time.Time
	// Limit bounds how many rows of each kind one transaction touches.
	Limit int
}

// Pruned is how many rows a Prune touched.
type Pruned struct {
	GivenUp, Overflowed, Sent, Parked, Alerts, Threads int64
}

const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// Rows is how many rows a filter with this limit lets through at most; for stores.
func Rows(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}
