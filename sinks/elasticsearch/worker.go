package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klaxonhq/klaxon/event"
	"go.uber.org/zap"
)

const (
	// bulkPath asks for what decides on an item, and for nothing else. The filter keeps the items' places.
	bulkPath = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by,items.*.failure_store"
	// splitAfter is after how many failures, or refusals with 429, a request is cut in halves: it may be larger than the server can
	// ever take, or hold a document that it fails on.
	splitAfter = 5
	// giveUpAfter is after how many failures one document is put aside until the others are stored; then it gets as many tries again.
	giveUpAfter = 12
	// largeBytes is the least of a document that alone can be more than a server has under way: a tenth of its memory.
	largeBytes = 256 << 10
)

// worker sends bulk requests, one at a time, with memory of its own.
type worker struct {
	client   *Client
	batch    *batch
	body     bytes.Buffer
	gzip     *gzip.Writer
	answer   bytes.Buffer
	items    []item
	rejected []event.Rejection
	suspects []suspect
	alerts   bool // the lines are alerts
}

// suspect is a line that the server failed on again and again.
type suspect struct {
	index  int
	detail string
}

func newWorker(c *Client) *worker {
	w := &worker{client: c}
	w.gzip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // it fails for levels that there are not
	return w
}

// deliver sends lines of the batch until each is stored or rejected, or ctx ends. It reuses todo.
func (w *worker) deliver(ctx context.Context, todo []int) {
	failures, hard := 0, 0 // since something was taken; those that may be a document's fault
	for len(todo) > 0 && ctx.Err() == nil {
		left, v, why := w.try(ctx, todo)
		if ctx.Err() != nil {
			return
		}
		if len(left) < len(todo) {
			failures, hard = 0, 0
		}
		todo = left
		failures++
		if len(todo) > 0 && w.mayBeAtFault(todo, v, why) {
			hard++
		}
		switch {
		case len(todo) == 0:
			return
		case v == split, hard >= splitAfter && len(todo) > 1:
			w.split(ctx, todo, why)
			return
		case hard >= giveUpAfter: // one document
			w.suspects = append(w.suspects, suspect{todo[0], why.detail()})
			return
		}
		w.hold(ctx, v, failures, len(todo), why)
	}
}

// mayBeAtFault says whether a request may have failed because of what it holds: the server breaks off, or calls itself busy and the request
// is large enough to be why.
func (w *worker) mayBeAtFault(todo []int, v verdict, why refusal) bool {
	l := w.batch.lines[todo[0]]
	return !why.item && (v == broken || why.busy() && (len(todo) > 1 || l.to-l.from >= largeBytes))
}

// split cuts a request that is too much, or that one document spoils, in halves.
func (w *worker) split(ctx context.Context, todo []int, why refusal) {
	if len(todo) == 1 {
		reason := ReasonRejected
		if why.status == 413 || why.status == 429 {
			reason = ReasonTooLarge
		}
		w.reject(todo[0], reason, why.detail())
		return
	}
	w.client.stats.splits.Add(1)
	half := len(todo) / 2
	w.deliver(ctx, todo[:half])
	w.deliver(ctx, todo[half:])
}

func (w *worker) reject(index int, reason, detail string) {
	w.client.stats.rejected.Add(1)
	w.rejected = append(w.rejected, rejection(w.batch.lines[index].id, reason, detail))
}

// refusal is why something has to be sent again.
type refusal struct {
	status       int // 0: no answer
	kind, reason string
	err          error
	item         bool // of one item; the request was answered
}

// busy says whether the request was refused because of what else the server has under way.
func (r refusal) busy() bool { return r.status == 429 && !r.item && !blocked(r.kind, r.reason) }

func (r refusal) detail() string {
	switch {
	case r.err != nil:
		return r.err.Error()
	case r.reason != "":
		return fmt.Sprintf("%d %s: %s", r.status, r.kind, r.reason)
	}
	return fmt.Sprintf("status %d", r.status)
}

// hold waits before the next try, and says so.
func (w *worker) hold(ctx context.Context, v verdict, failures, documents int, why refusal) {
	p := w.client.cfg.Pauses
	pause := p.Slow
	if v != slow {
		pause = min(p.First<<min(max(failures-1, 0), 20), p.Max)
	}
	pause += time.Duration(rand.Int64N(int64(pause)/2 + 1))
	w.client.stats.retried.Add(int64(documents))
	kind := fmt.Sprint(why.status, why.kind)
	if why.err != nil {
		kind = "unreachable"
	}
	if v == slow || failures > 2 {
		w.client.tell(kind, "Elasticsearch does not take documents; they are sent again until it does",
			zap.Int("documents", documents), zap.String("reason", why.detail()), zap.Duration("pause", pause))
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// try sends one request. It answers the lines that have to be sent again, in todo's memory, how, and why.
func (w *worker) try(ctx context.Context, todo []int) (left []int, v verdict, why refusal) {
	c := w.client
	if err := w.compress(todo); err != nil {
		return todo, retry, refusal{err: err}
	}
	c.stats.requests.Add(1)
	c.stats.bytes.Add(int64(w.body.Len()))
	a, err := c.request(ctx, c.base, "POST", bulkPath, w.body.Bytes(), true, &w.answer)
	if err != nil {
		c.stats.failures.Add(1)
		if unreachable(err) {
			return todo, retry, refusal{err: err}
		}
		return todo, broken, refusal{err: err}
	}
	if a.status != 200 {
		c.stats.failures.Add(1)
		kind, reason := parseFailure(a.body)
		if kind == "" && reason == "" {
			reason = excerpt(a.body)
		}
		return todo, judgeRequest(a.status, kind, reason), refusal{status: a.status, kind: kind, reason: reason}
	}
	w.items, err = parseBulk(a.body, w.items[:0])
	if err == nil && len(w.items) != len(todo) {
		err = fmt.Errorf("%w: it has %d items for %d documents", errMalformed, len(w.items), len(todo))
	}
	if err != nil { // what was stored is not known: the ids will tell
		c.stats.failures.Add(1)
		return todo, broken, refusal{err: err}
	}
	return w.judge(todo)
}

// judge looks at every item of an answer.
func (w *worker) judge(todo []int) (left []int, v verdict, why refusal) {
	c := w.client
	left = todo[:0]
	for i, index := range todo {
		it := &w.items[i]
		verdict, reason := judgeItem(it)
		l := &w.batch.lines[index]
		if verdict == broken {
			if l.failures++; l.failures >= giveUpAfter {
				verdict, reason = reject, ReasonRefused
			}
		}
		switch verdict {
		case stored:
			w.taken().Add(1)
		case present:
			c.stats.present.Add(1)
		case reject:
			w.reject(index, reason, refusal{status: it.status, kind: it.kind, reason: it.reason}.detail())
		default:
			left = append(left, index)
			if len(left) == 1 || verdict == slow && v != slow {
				v, why = verdict, refusal{status: it.status, kind: it.kind, reason: it.reason, item: true}
			}
		}
	}
	return left, v, why
}

// taken counts what this worker stores.
func (w *worker) taken() *atomic.Int64 {
	if w.alerts {
		return &w.client.stats.alerts
	}
	return &w.client.stats.stored
}

var errEncode = errors.New("cannot compress a request")

// compress makes the request's body of the lines.
func (w *worker) compress(todo []int) error {
	w.body.Reset()
	w.gzip.Reset(&w.body)
	for i := 0; i < len(todo); {
		from := w.batch.lines[todo[i]].from
		to := from
		for ; i < len(todo) && w.batch.lines[todo[i]].from == to; i++ { // neighbours in one go
			to = w.batch.lines[todo[i]].to
		}
		if _, err := w.gzip.Write(w.batch.buf[from:to]); err != nil {
			return fmt.Errorf("%w: %w", errEncode, err)
		}
	}
	if err := w.gzip.Close(); err != nil {
		return fmt.Errorf("%w: %w", errEncode, err)
	}
	return nil
}

// excerpt is the beginning of an answer that is not of the form that Elasticsearch's have.
func excerpt(b []byte) string {
	const most = 200
	if len(b) > most {
		b = b[:most]
	}
	return string(bytes.ToValidUTF8(bytes.TrimSpace(b), nil))
}
