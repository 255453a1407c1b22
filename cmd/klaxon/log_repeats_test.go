package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// lineLog is a log in memory, safe to be read while it is written.
type lineLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// messages is the message of every line since the last call.
func (l *lineLog) messages(t *testing.T) (out []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		var m struct{ Message string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, m.Message)
	}
	l.b.Reset()
	return out
}

func jsonLog(t *testing.T) (*zap.Logger, *lineLog) {
	t.Helper()
	out := &lineLog{}
	log, err := newLogger(LogConfig{Level: "debug", Format: "json"}, out)
	if err != nil {
		t.Fatal(err)
	}
	return log, out
}

func wantMessages(t *testing.T, out *lineLog, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := out.messages(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLogSumsUpWhatRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		fail := func() { log.Warn("cannot deliver", zap.String("destination", "x"), zap.Error(errors.New("refused"))) }
		fail()
		wantMessages(t, out, "cannot deliver")
		for range 59 {
			time.Sleep(time.Second)
			fail()
		}
		wantMessages(t, out)
		time.Sleep(time.Second)
		wantMessages(t, out, "cannot deliver (repeated 59 times in the last 1m)")
		for range 119 {
			fail()
			time.Sleep(time.Second)
		}
		wantMessages(t, out)
		time.Sleep(time.Second)
		wantMessages(t, out, "cannot deliver (repeated 119 times in the last 2m)")
		time.Sleep(10 * time.Minute)
		wantMessages(t, out) // it is over, and nothing is left to say
		fail()
		wantMessages(t, out, "cannot deliver")
		if n := repeatsOf(log).suppressed.Load(); n != 59+119 {
			t.Errorf("%d are counted as held back", n)
		}
	})
}

// TestLogSpansGrowToTenMinutes: what goes on for hours is told six times an hour.
func TestLogSpansGrowToTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		for range 2 * 3600 {
			log.Error("down")
			time.Sleep(time.Second)
		}
		got := out.messages(t)
		if last := got[len(got)-1]; len(got) != 1+4+10 || !strings.HasSuffix(last, "in the last 10m)") {
			t.Errorf("%d lines, the last %q", len(got), last)
		}
	})
}

func TestLogTellsThingsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		say := []func(){
			func() { log.Warn("a") }, func() { log.Error("a") }, func() { log.Warn("a", zap.Error(errors.New("x"))) }, func() { log.Warn("a", zap.Error(errors.New("y"))) },
			func() { log.Warn("a", zap.String("loop", "match")) }, func() { log.With(zap.String("loop", "detect")).Warn("a") },
			func() { log.Error("a", zap.Strings("first", []string{"x"})) }, func() { log.Error("a", zap.Strings("first", []string{"x", "y"})) },
		}
		for range 3 {
			for _, f := range say {
				f()
			}
		}
		wantMessages(t, out, "a", "a", "a", "a", "a", "a", "a", "a")
		for port := range 20 { // a connection's own port and counts make no difference
			log.Warn("b", zap.Int("records", port), zap.Error(fmt.Errorf("read tcp 10.0.0.1:%d->10.0.0.2:9092: reset", 40000+port)))
		}
		wantMessages(t, out, "b")
	})
}

func TestLogPassesWhatIsNoWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		for range 30 {
			log.Info("stopping")
			log.Debug("detail")
		}
		if got := out.messages(t); len(got) != 60 {
			t.Errorf("%d of 60 lines", len(got))
		}
	})
}

// TestLogForgetsTheQuietest: the table is bounded; what it forgets is summed up, and what is new is always written.
func TestLogForgetsTheQuietest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		log.Warn("first")
		log.Warn("first")
		for i := range 3 * maxTexts {
			time.Sleep(time.Millisecond)
			log.Warn("w" + strings.Repeat("x", i))
		}
		got := out.messages(t)
		if len(got) != 3*maxTexts+2 || got[maxTexts] != "first (repeated 1 times in the last 1s)" || len(repeatsOf(log).texts) != maxTexts {
			t.Errorf("%d lines, %q, %d texts", len(got), got[maxTexts], len(repeatsOf(log).texts))
		}
	})
}

func TestLogSyncSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := jsonLog(t)
		for range 3 {
			log.Warn("down")
		}
		time.Sleep(5 * time.Second)
		log.Info("stopped")
		if err := log.Sync(); err != nil {
			t.Fatal(err)
		}
		wantMessages(t, out, "down", "stopped", "down (repeated 2 times in the last 5s)")
	})
}

func TestLogLastErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := jsonLog(t)
		began := time.Now()
		log.Warn("older", zap.String("loop", "match"))
		time.Sleep(time.Second)
		log.Error("newer", zap.String("destination", "x"), zap.Error(errors.New("refused")))
		time.Sleep(time.Second)
		log.Error("newer", zap.String("destination", "x"), zap.Error(errors.New("refused")))
		got := repeatsOf(log).last(5)
		want := lastError{Level: "error", Message: "newer", Part: "x", Error: "refused", Count: 2, First: began.Add(time.Second), Last: began.Add(2 * time.Second)}
		if len(got) != 2 || got[0] != want || got[1].Part != "match" {
			t.Errorf("%+v", got)
		}
		if one := repeatsOf(log).last(1); len(one) != 1 || one[0] != want {
			t.Errorf("%+v", one)
		}
	})
}

func TestLogNamesFieldsByECS(t *testing.T) {
	log, out := jsonLog(t)
	log.Error("no", zap.Error(errors.New("refused")), zap.String("topic", "logs"))
	var m map[string]any
	if err := json.Unmarshal([]byte(out.String()), &m); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"error.message": "refused", "log.level": "error", "message": "no", "service.name": "klaxon", "topic": "logs"} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
	if _, ok := m["error"]; ok || m["@timestamp"] == nil || m["ecs.version"] == nil {
		t.Errorf("%v", m)
	}
}

// TestLogFromManyGoroutines is for the race detector: nothing is lost between what is written and what is counted.
func TestLogFromManyGoroutines(t *testing.T) {
	log, out := jsonLog(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 100 {
				log.Warn(fmt.Sprint("text ", g%4))
			}
		})
	}
	wg.Wait()
	table := repeatsOf(log)
	if written := int64(len(out.messages(t))); written != 4 || table.suppressed.Load()+written != 800 || table.warnings.Load() != 800 {
		t.Errorf("%d written, %d held back, %d counted", written, table.suppressed.Load(), table.warnings.Load())
	}
}
