package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/klaxonhq/klaxon/rules"
)

type runCmd struct {
	Config string `short:"c" required:"" type:"path" help:"Configuration file." placeholder:"FILE"`
}

// Run runs the loops until a signal comes. The log goes to standard error.
func (c *runCmd) Run(ctx context.Context, std streams) error {
	cfg, list := loadConfig(c.Config, os.LookupEnv)
	if list.HasErrors() {
		fmt.Fprintln(std.err, list)
		return errBroken
	}
	log, err := newLogger(cfg.Log, cfg.Secrets.writer(std.err))
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // standard error cannot always be synced, and there is nobody left to tell
	limitMemory(&cfg, log, "/")
	checkFiles(log, openFiles)
	keeper, err := newKeeper(os.Getenv, os.Getpid())
	if err != nil {
		return err
	}
	defer keeper.close()
	a, err := newApp(cfg, log, withKeeper(keeper))
	if err != nil {
		return err
	}
	return a.run(ctx)
}

type checkCmd struct {
	Config string `short:"c" required:"" type:"path" help:"Configuration file." placeholder:"FILE"`
	JSON   bool   `help:"Print JSON lines."`
}

// Run reads the configuration, its datasets, rules and lists, and reports every mistake. It talks to nobody.
func (c *checkCmd) Run(std streams) error {
	cfg, list := loadConfig(c.Config, os.LookupEnv)
	var g *loaded
	if !list.HasErrors() {
		if _, err := kafkaConfig(cfg.Kafka, nil); err != nil {
			return err
		}
		loadedSet, more := load(cfg.sources())
		g, list = loadedSet, append(list, more...)
	}
	if g != nil {
		list = append(list, rules.Lint(g.Rules, time.Now(), endsSoon)...)
	}
	list.Sort()
	if err := printDiagnostics(std.out, list, c.JSON); err != nil {
		return err
	}
	if list.HasErrors() {
		return errBroken
	}
	if !c.JSON {
		fmt.Fprintf(std.out, "%s: fine: %d topics, %d datasets, %d rules, roles %v\n", c.Config, len(cfg.Kafka.Topics), len(g.datasets.List()), len(g.Rules.Rules()), cfg.Roles)
		for _, v := range g.databases.Versions() {
			fmt.Fprintf(std.out, "enrich.geoip.%s: %s\n", v.Kind, v)
		}
	}
	return nil
}
