package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"go.uber.org/zap"
)

type incidentsCmd struct {
	List  incidentsListCmd  `cmd:"" help:"List incidents, the newest first."`
	Show  incidentsShowCmd  `cmd:"" help:"Show an incident with its timeline and alerts."`
	Ack   incidentsAckCmd   `cmd:"" help:"Acknowledge an incident: you own it from then on."`
	Close incidentsCloseCmd `cmd:"" help:"Close an incident."`
	Note  incidentsNoteCmd  `cmd:"" help:"Add a note to an incident's timeline."`
}

// storeFlags says which store is meant.
type storeFlags struct {
	Config string `short:"c" type:"path" help:"Configuration file that names the store." placeholder:"FILE"`
	Store  string `help:"The store itself, instead of a configuration: a file, or postgres://user@host/database. Nobody is told of changes." placeholder:"FILE|URL"`
	JSON   bool   `help:"Print JSON."`
}

// with opens the store for one act.
func (f *storeFlags) with(ctx context.Context, std streams, act func(context.Context, *incidents.Book) error) (err error) {
	where, err := storeFlag(f.Store)
	policy := incidents.Policy{}
	switch {
	case (f.Config == "") == (f.Store == ""):
		return errWhichStore
	case err != nil:
		return err
	case f.Config != "":
		cfg, list := loadConfig(f.Config, os.LookupEnv)
		if list.HasErrors() {
			fmt.Fprintln(std.err, list)
			return errBroken
		}
		a := &app{cfg: cfg, log: zap.NewNop(), stats: newStats(), wake: map[string]chan struct{}{}}
		if err := a.wireDestinations(); err != nil {
			return err
		}
		for _, d := range a.told {
			policy.Destinations = append(policy.Destinations, d.Destination)
		}
		where = cfg.Store
	}
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	store, err := openExistingStore(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return act(ctx, incidents.NewBook(store, policy))
}

// changed prints an incident that somebody changed.
func (f *storeFlags) changed(std streams, in incidents.Incident) error {
	if f.JSON {
		return json.NewEncoder(std.out).Encode(in)
	}
	return incidents.WriteList(std.out, []incidents.Incident{in})
}

type incidentsListCmd struct {
	storeFlags
	All      bool   `help:"List closed ones too."`
	Tenant   string `help:"Only this tenant's."`
	Severity string `help:"Only from this severity on: low, normal, high or urgent."`
	Limit    limit  `default:"100" help:"At most so many; 0 is all, up to 10000."`
}

// Run lists incidents.
func (c *incidentsListCmd) Run(ctx context.Context, std streams) error {
	filter := incidents.Filter{Open: !c.All, Tenant: c.Tenant, Limit: c.Limit.rows()}
	if c.Severity != "" {
		s, err := alert.ParseSeverity(c.Severity)
		if err != nil {
			return err
		}
		filter.MinSeverity = s
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		list, err := b.List(ctx, filter)
		if err != nil {
			return err
		}
		if !c.JSON {
			return incidents.WriteList(std.out, list)
		}
		enc := json.NewEncoder(std.out)
		for i := range list {
			if err := enc.Encode(&list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

type incidentsShowCmd struct {
	ID string `arg:"" help:"The incident's id, or the beginning of it."`
	storeFlags
}

// Run shows one incident.
func (c *incidentsShowCmd) Run(ctx context.Context, std streams) error {
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		in, timeline, alerts, err := b.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		if !c.JSON {
			return incidents.WriteShow(std.out, in, timeline, alerts)
		}
		return json.NewEncoder(std.out).Encode(struct {
			incidents.Incident
			Timeline []incidents.Entry `json:"timeline"`
			Evidence []alert.Alert     `json:"alerts"`
		}{in, timeline, alerts})
	})
}

// whoFlags says who acts.
type whoFlags struct {
	As string `help:"Who you are; your user name by default." placeholder:"NAME"`
}

func (f *whoFlags) actor() (string, error) {
	if f.As != "" {
		return f.As, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("cannot find out who you are, say it with --as: %w", err)
	}
	return u.Username, nil
}

type incidentsAckCmd struct {
	ID string `arg:"" help:"The incident's id, or the beginning of it."`
	storeFlags
	whoFlags
}

// Run acknowledges an incident.
func (c *incidentsAckCmd) Run(ctx context.Context, std streams) error {
	actor, err := c.actor()
	if err != nil {
		return err
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		in, err := b.Acknowledge(ctx, time.Now(), c.ID, actor)
		if err != nil {
			return err
		}
		return c.changed(std, in)
	})
}

type incidentsCloseCmd struct {
	ID            string `arg:"" help:"The incident's id, or the beginning of it."`
	Reason        string `required:"" help:"Why it is over."`
	FalsePositive bool   `help:"It was nothing."`
	storeFlags
	whoFlags
}

// Run closes an incident.
func (c *incidentsCloseCmd) Run(ctx context.Context, std streams) error {
	actor, err := c.actor()
	if err != nil {
		return err
	}
	as := incidents.Closed
	if c.FalsePositive {
		as = incidents.FalsePositive
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		in, err := b.Close(ctx, time.Now(), c.ID, actor, as, c.Reason)
		if err != nil {
			return err
		}
		return c.changed(std, in)
	})
}

type incidentsNoteCmd struct {
	ID   string `arg:"" help:"The incident's id, or the beginning of it."`
	Text string `arg:"" help:"The note."`
	storeFlags
	whoFlags
}

// Run adds a note.
func (c *incidentsNoteCmd) Run(ctx context.Context, std streams) error {
	actor, err := c.actor()
	if err != nil {
		return err
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		in, err := b.Note(ctx, time.Now(), c.ID, actor, c.Text)
		if err != nil {
			return err
		}
		return c.changed(std, in)
	})
}
