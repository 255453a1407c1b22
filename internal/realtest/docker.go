package realtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// container is a server in a container of the machine's Docker engine. It outlives a test that was killed: `docker ps` shows
// it under the label klaxon-realtest.
type container struct {
	image string
	args  []string // of `docker run`, before the image
	id    string   // "" until it was created
}

// dockerAnswers returns nil if there is an engine to run containers on.
func dockerAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("no Docker engine: %w", err)
	}
	return nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, lastLines([]byte(stderr.String())))
	}
	return strings.TrimSpace(string(out)), nil
}

func (c *container) start(ctx context.Context) error {
	if c.id != "" {
		_, err := docker(ctx, "start", c.id)
		return err
	}
	args := append([]string{"run", "--detach", "--label", "klaxon-realtest"}, c.args...)
	id, err := docker(ctx, append(args, c.image)...)
	c.id = id
	return err
}

func (c *container) ended() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	state, err := docker(ctx, "inspect", "--format", "{{.State.Status}}", c.id)
	if err != nil || state == "running" || state == "created" {
		return err
	}
	log, _ := docker(ctx, "logs", "--tail", "15", c.id)
	return errors.New("the container is " + state + "; its log ends:\n" + log)
}

func (c *container) end(ctx context.Context, kill bool) error {
	if c.ended() != nil {
		return nil
	}
	verb := "stop"
	if kill {
		verb = "kill"
	}
	_, err := docker(ctx, verb, c.id)
	return err
}

func (c *container) remove() {
	if c.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	_, _ = docker(ctx, "rm", "--force", "--volumes", c.id)
}
