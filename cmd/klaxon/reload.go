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

// hangups is SIGHUP for as long as the process runs, until the second answer is called. Nobody need listen: while brokers are waited
// for and while the loops drain, a signal that nobody caught would end the process.
func hangups() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// keepGeneration exchanges the generation when its files change, or a signal comes, until ctx ends. The configuration itself is read
// at the start only.
func (a *app) keepGeneration(ctx context.Context, signals <-chan os.Signal) {
	a.loaded.watch(ctx, a.cfg.Reload.Every, signals, a.afterLook)
}

// afterLook says what a signal does not do, and brings the templates of Elasticsearch up to date with the fields of a new generation.
// What is written meanwhile is kept whole; until it succeeds, new fields are not indexed, and it is tried again after the next look.
func (a *app) afterLook(ctx context.Context, told, changed bool) {
	if told {
		a.compareConfiguration()
	}
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
		a.log.Warn("cannot bring the templates of Elasticsearch up to date, trying again at the next look at the files", zap.Error(err))
	}
}

// compareConfiguration tells who sends a signal in vain that the configuration file is another one than was started with.
func (a *app) compareConfiguration() {
	if a.cfg.File == "" {
		return
	}
	data, err := os.ReadFile(a.cfg.File)
	switch {
	case err != nil:
		a.log.Warn("the configuration file cannot be read any more, and the next start will need it", zap.Error(err))
	case hashOf(data) != a.cfg.Hash:
		a.log.Warn("the configuration file has changed: that takes effect at the next start only", zap.String("file", a.cfg.File))
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
