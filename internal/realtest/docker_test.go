package realtest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeEngine answers as `docker` does and notes what it was asked.
const fakeEngine = `#!/bin/sh
echo "$@" >>"$KLAXON_FAKE_ENGINE"
case $1 in
version) echo 29.0 ;;
run) echo c0ffee ;;
inspect) if tail -n 2 "$KLAXON_FAKE_ENGINE" | grep -q '^kill\|^stop'; then echo exited; else echo running; fi ;;
esac
`

func TestContainer(t *testing.T) {
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(fakeEngine), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Setenv("KLAXON_FAKE_ENGINE", asked)

	if err := dockerAnswers(t.Context()); err != nil {
		t.Fatal(err)
	}
	box, address, err := kafkaContainer()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return box.start(t.Context()) },
		box.ended,
		func() error { return box.end(t.Context(), true) },
		func() error { return box.start(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	box.remove()

	text, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for line := range strings.Lines(string(text)) {
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		verbs = append(verbs, verb)
	}
	if want := []string{"version", "run", "inspect", "inspect", "kill", "start", "rm"}; !slices.Equal(verbs, want) {
		t.Errorf("the engine was asked %v, want %v", verbs, want)
	}
	_, port, _ := strings.Cut(address, ":")
	for _, part := range []string{
		"--publish " + address + ":" + port + " ",
		"--env KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://" + address + " ",
		"--env KAFKA_AUTO_CREATE_TOPICS_ENABLE=false ",
		" apache/kafka:" + kafkaVersion + "\n",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("docker run lacks %q", part)
		}
	}
}

func TestNoEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := dockerAnswers(context.Background()); err == nil {
		t.Error("an engine answers where there is no docker")
	}
}
