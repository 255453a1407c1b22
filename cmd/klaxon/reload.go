package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// templatesTimeout bounds one try to bring the templates of Elasticsearch up to date.
const templatesTimeout = 15 * time.Second

// keepGeneration exchanges the generation when its files change, or SIGHUP comes, until ctx ends. The configuration itself is read
// at the start only.
func (a *app) keepGeneration(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	a.loaded.watch(ctx, a.cfg.Reload.Every, signals, a.afterLook)
}

// afterLook brings the templates of Elasticsearch up to date with the fields of a new generation. What is written meanwhile is kept
// whole; until it succeeds, new fields are not indexed, and it is tried again after the next look.
func (a *app) afterLook(ctx context.Context, changed bool) {
	if a.templates == nil || !a.has("archive") && !a.has("deliver") {
		return
	}
	ctx, done := context.WithTimeout(ctx, templatesTimeout)
	defer done()
	act := a.templates.ensure
	if changed {
		act = a.templates.again
	}
	if err := act(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("cannot bring the templates of Elasticsearch up to date, trying again", zap.Error(err))
	}
}

// notes is what /readyz says beside what works.
func (a *app) notes() map[string]string {
	out := map[string]string{}
	if why := a.loaded.trouble(); why != "" {
		out["generation"] = why
	}
	return out
}
