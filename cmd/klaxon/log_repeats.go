package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// How repetitions are summed up: first after a minute, then after spans that double to ten minutes. So many different texts are
// remembered; beyond, the one that was silent longest is forgotten, and would be written in full again.
const (
	firstSummary = time.Minute
	longSummary  = 10 * time.Minute
	maxTexts     = 256
)

// repeats is the core of a log that does not repeat itself. A warning or an error is written when it is said for the first time;
// the same text with the same error is then only counted, and summed up once in a while for as long as it goes on. What is less
// than a warning always passes. Nothing is dropped without being counted.
type repeats struct {
	zapcore.Core
	table *repeatTable
	with  string // what With added, as part of the text
}

func newRepeats(core zapcore.Core) *repeats {
	return &repeats{Core: core, table: &repeatTable{texts: map[string]*repeated{}}}
}

// With implements zapcore.Core.
func (r *repeats) With(fields []zapcore.Field) zapcore.Core {
	return &repeats{r.Core.With(fields), r.table, r.with + textOf(fields)}
}

// Check implements zapcore.Core.
func (r *repeats) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if r.Enabled(e.Level) {
		return ce.AddCore(e, r)
	}
	return ce
}

// Write implements zapcore.Core.
func (r *repeats) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level < zapcore.WarnLevel {
		return r.Core.Write(e, fields)
	}
	r.table.add(e.Level.String()+" "+e.Message+r.with+textOf(fields), said{r.Core, e, fields})
	return nil
}

// Sync implements zapcore.Core: what was counted and not summed up yet is written first.
func (r *repeats) Sync() error {
	r.table.flush(time.Now())
	return r.Core.Sync()
}

// longNumber is what differs between repetitions of one error: the port of a connection, an offset, a time. Shorter ones tell a
// status, a shard or a server's port.
var longNumber = regexp.MustCompile(`\d{5,}`)

// textOf is what tells one thing that is said from another: errors, texts and lists of them, but no numbers.
func textOf(fields []zapcore.Field) string {
	var b strings.Builder
	for _, f := range fields {
		if text := textField(f); text != "" {
			b.WriteString("\x00" + f.Key + "=" + longNumber.ReplaceAllString(text, "#"))
		}
	}
	return b.String()
}

func textField(f zapcore.Field) string {
	switch f.Type {
	case zapcore.StringType:
		return f.String
	case zapcore.ErrorType:
		if err, ok := f.Interface.(error); ok {
			return err.Error()
		}
	case zapcore.ArrayMarshalerType:
		return fmt.Sprint(f.Interface)
	}
	return ""
}

// said is one entry, and where to write it.
type said struct {
	core   zapcore.Core
	entry  zapcore.Entry
	fields []zapcore.Field
}

func (s said) write() { _ = s.core.Write(s.entry, s.fields) } // there is nobody left to tell

// repeated is what is known of one text.
type repeated struct {
	said              // the last time
	first   time.Time // when it was said first
	count   int64     // how often
	written time.Time // when it was last written or summed up
	span    time.Duration
	held    int64 // how often it was said since, and not written
}

func (r *repeated) due() time.Time { return r.written.Add(r.span) }

// summary is the entry that stands for what was held.
func (r *repeated) summary(now time.Time) said {
	e := r.entry
	e.Time = now
	e.Message = fmt.Sprintf("%s (repeated %d times in the last %s)", e.Message, r.held, span(max(now.Sub(r.written).Round(time.Second), time.Second)))
	s := said{r.core, e, append(slices.Clone(r.fields), zap.Int64("repeated", r.held))}
	r.written, r.span, r.held = now, min(2*r.span, longSummary), 0
	return s
}

// repeatTable is shared by a log and everything that was derived from it.
type repeatTable struct {
	mu         sync.Mutex
	texts      map[string]*repeated
	wakes      time.Time   // when timer does
	timer      *time.Timer // nil while nothing is held
	suppressed pipeline.Counter
	warnings   pipeline.Counter // written or not
	errors     pipeline.Counter
}

// add writes s, or holds it back as a repetition.
func (t *repeatTable) add(text string, s said) {
	for _, one := range t.note(text, s) {
		one.write()
	}
}

// note answers what is to be written now.
func (t *repeatTable) note(text string, s said) (write []said) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.entry.Level == zapcore.WarnLevel {
		t.warnings.Add(1)
	} else {
		t.errors.Add(1)
	}
	now := s.entry.Time
	r := t.texts[text]
	if r == nil {
		write = t.makeRoom(now)
		t.texts[text] = &repeated{said: s, first: now, count: 1, written: now, span: firstSummary}
		return append(write, s)
	}
	r.said = s
	r.count++
	if r.held == 0 && !now.Before(r.due()) { // it was silent meanwhile, and begins anew
		r.written, r.span = now, firstSummary
		return []said{s}
	}
	r.held++
	t.suppressed.Add(1)
	t.wake(r.due(), now)
	return nil
}

// makeRoom forgets the text that was silent longest, if there are too many, and sums it up.
func (t *repeatTable) makeRoom(now time.Time) (write []said) {
	if len(t.texts) < maxTexts {
		return nil
	}
	oldest := ""
	for text, r := range t.texts {
		if oldest == "" || r.entry.Time.Before(t.texts[oldest].entry.Time) {
			oldest = text
		}
	}
	if r := t.texts[oldest]; r.held > 0 {
		write = append(write, r.summary(now))
	}
	delete(t.texts, oldest)
	return write
}

// wake makes sure that sums are written at a time, even if nothing more is said. The caller holds the lock.
func (t *repeatTable) wake(at, now time.Time) {
	if t.timer != nil && !at.Before(t.wakes) {
		return
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.wakes, t.timer = at, time.AfterFunc(at.Sub(now), func() { t.sum(time.Now(), false) })
}

// flush sums up everything that is held.
func (t *repeatTable) flush(now time.Time) { t.sum(now, true) }

// sum sums up what is due, or everything that is held.
func (t *repeatTable) sum(now time.Time, all bool) {
	t.mu.Lock()
	var write []said
	var next time.Time
	for _, r := range t.texts {
		if r.held == 0 {
			continue
		}
		if all || !now.Before(r.due()) {
			write = append(write, r.summary(now))
		} else if next.IsZero() || r.due().Before(next) {
			next = r.due()
		}
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.timer = nil; !next.IsZero() {
		t.wake(next, now)
	}
	t.mu.Unlock()
	for _, one := range write {
		one.write()
	}
}

// lastError is a warning or an error of the log, and how often it was said.
type lastError struct {
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Part    string    `json:"part,omitempty"` // the loop, destination or part that said it
	Error   string    `json:"error,omitempty"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// last is what was said last, the newest first.
func (t *repeatTable) last(limit int) []lastError {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.SortedFunc(maps.Values(t.texts), func(a, b *repeated) int { return cmp.Compare(b.entry.Time.UnixNano(), a.entry.Time.UnixNano()) })
	out := []lastError{}
	for _, r := range all[:min(limit, len(all))] {
		one := lastError{Level: r.entry.Level.String(), Message: r.entry.Message, Count: r.count, First: r.first, Last: r.entry.Time}
		for _, f := range r.fields {
			switch f.Key {
			case "error":
				one.Error = textField(f)
			case "loop", "destination", "part":
				one.Part = textField(f)
			}
		}
		out = append(out, one)
	}
	return out
}

// repeatsOf is the table of a log that newLogger made; any other log has an empty one.
func repeatsOf(log *zap.Logger) *repeatTable {
	if r, ok := log.Core().(*repeats); ok {
		return r.table
	}
	return newRepeats(zapcore.NewNopCore()).table
}
