// Package archive is the format of stored events, and reads and writes it: segments of ECS documents as JSON lines, compressed with
// zstd in blocks, beside each of them a small index, in folders by tenant, dataset, day and hour of record time:
//
//	tenant=<t>/dataset=<d>/dt=<yyyy-mm-dd>/hour=<hh>/<topic>-<partition>-<first offset>.ndjson.zst
//	tenant=<t>/dataset=<d>/dt=<yyyy-mm-dd>/hour=<hh>/<topic>-<partition>-<first offset>.index
//
// A segment is put if absent and never changed. Its name says where it begins and not where it ends, since a replay cuts its batches
// elsewhere: whoever finds a name taken asks which documents are there, and leaves them out. Names are the archive's only memory:
// after any crash and any replay, each document is there once.
//
// Any zstd tool reads a segment. An index can be lost: it is made anew from its segment, and only ever leaves out what a search need
// not read.
package archive

import (
	"context"
	"errors"
	"fmt"
)

// Bucket is where segments are kept. Names are paths with slashes, relative to its root. It is safe for concurrent use.
type Bucket interface {
	// PutIfAbsent stores an object, whole or not at all; when it returns nil, the object survives a power cut. An error that wraps
	// fs.ErrExist says that the name is taken; the object of that name is left alone.
	PutIfAbsent(ctx context.Context, name string, data []byte) error
	// Get returns length bytes of an object from an offset on, or all to its end if length is negative. Fewer bytes than asked for
	// are an error. An error that wraps fs.ErrNotExist says that there is no such object. The caller owns the bytes.
	Get(ctx context.Context, name string, offset, length int64) ([]byte, error)
	// List returns what stands directly in a folder ("" is the root), in the order of the names; nothing if there is no such
	// folder. The caller owns the slice.
	List(ctx context.Context, folder string) ([]Entry, error)
}

// Entry is an object or a folder, by its name within the folder that was listed.
type Entry struct {
	Name   string
	Folder bool
}

// Damage is a segment, or a part of one, that cannot be read.
type Damage struct {
	Name      string // of the segment
	Documents int64  // how many could not be read; -1: not known
	Err       error
}

// Error says what is damaged.
func (d Damage) Error() string {
	if d.Documents < 0 {
		return fmt.Sprintf("%s is damaged: %v", d.Name, d.Err)
	}
	return fmt.Sprintf("%s is damaged: %d documents cannot be read: %v", d.Name, d.Documents, d.Err)
}

// Unwrap is the cause.
func (d Damage) Unwrap() error { return d.Err }

// ErrDamaged says that bytes are not what was written.
var ErrDamaged = errors.New("not what was written")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}
