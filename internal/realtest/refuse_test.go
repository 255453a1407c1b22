package realtest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// witness is a test that only notes how it was ended.
type witness struct {
	testing.TB
	skipped, failed string
}

func (w *witness) Helper() {}

func (w *witness) Skipf(format string, args ...any) {
	w.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (w *witness) Fatalf(format string, args ...any) {
	w.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// watch runs f as a test of its own and returns how it ended.
func watch(f func(t testing.TB)) *witness {
	w := &witness{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(w)
	}()
	<-done
	return w
}

func TestWithoutAServer(t *testing.T) {
	servers := New()
	servers.kafka.err = errors.New("no java on this machine")
	ask := func(t testing.TB) { leaveIfShort(t, "never"); refuse(t, "kafka", servers.kafka.err.Error()) }

	t.Run("the test is skipped and says why", func(t *testing.T) {
		t.Setenv("KLAXON_TEST_REQUIRE", "elasticsearch")
		w := watch(func(t testing.TB) { refuse(t, "kafka", servers.kafka.err.Error()) })
		if !strings.Contains(w.skipped, "no java on this machine") || w.failed != "" {
			t.Errorf("skipped %q, failed %q", w.skipped, w.failed)
		}
	})
	t.Run("the test fails where the server is required", func(t *testing.T) {
		t.Setenv("KLAXON_TEST_REQUIRE", "elasticsearch, kafka,never")
		w := watch(ask)
		if !strings.Contains(w.failed, "no java on this machine") || w.skipped != "" {
			t.Errorf("skipped %q, failed %q", w.skipped, w.failed)
		}
	})
	t.Run("every later test hears the same", func(t *testing.T) {
		t.Setenv("KLAXON_TEST_REQUIRE", "kafka")
		for range 2 {
			if w := watch(func(t testing.TB) { servers.Kafka(t) }); !strings.Contains(w.failed, "no java on this machine") {
				t.Errorf("failed %q", w.failed)
			}
		}
	})
}

func TestGivenByAddress(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		t.Setenv("KLAXON_TEST_REQUIRE", "kafka")
		one := &server{kind: kafkaKind(), address: "127.0.0.1:1"}
		for name, err := range map[string]error{"kill": one.end(true), "stop": one.end(false), "restart": one.restart()} {
			if !errors.Is(err, ErrGiven) {
				t.Errorf("%s of a server that is not ours: %v", name, err)
			}
		}
	})
	t.Run("after Close nothing is started", func(t *testing.T) {
		t.Setenv("KLAXON_TEST_REQUIRE", "kafka")
		servers := New()
		servers.Close()
		if w := watch(func(t testing.TB) { servers.Kafka(t) }); !strings.Contains(w.failed, "closed") {
			t.Errorf("failed %q", w.failed)
		}
	})
}
