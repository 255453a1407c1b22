package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

type outboxCmd struct {
	List  outboxListCmd  `cmd:"" help:"List what destinations have not taken."`
	Retry outboxRetryCmd `cmd:"" help:"Have parked messages tried again."`
}

type outboxListCmd struct {
	storeFlags
	Destination string `help:"Only this destination's, such as webhook.soc." placeholder:"NAME"`
	State       string `help:"waiting, parked or sent; without it, the first two." enum:"waiting,parked,sent," default:""`
	Limit       limit  `default:"100" help:"At most so many of a state; 0 is all, up to 10000."`
}

// Run lists messages, those that were written first at the top.
func (c *outboxListCmd) Run(ctx context.Context, std streams) error {
	states := []string{c.State}
	if c.State == "" {
		states = []string{incidents.Parked, incidents.Waiting}
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		var all []incidents.Message
		for _, state := range states {
			list, err := b.Outbox(ctx, incidents.MessageFilter{Destination: c.Destination, State: state, Limit: c.Limit.rows()})
			if err != nil {
				return err
			}
			all = append(all, list...)
		}
		if !c.JSON {
			return incidents.WriteOutbox(std.out, all)
		}
		enc := json.NewEncoder(std.out)
		for i := range all {
			if err := enc.Encode(&all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

type outboxRetryCmd struct {
	storeFlags
	Seq         []int64 `arg:"" optional:"" help:"The messages' numbers, as the list shows them."`
	Destination string  `help:"Instead of numbers: all that is parked for this destination." placeholder:"NAME"`
}

// Run puts parked messages back into their place. A running klaxon tries them within a second.
func (c *outboxRetryCmd) Run(ctx context.Context, std streams) error {
	if (len(c.Seq) == 0) == (c.Destination == "") {
		return errors.New("name either messages by their numbers, or a destination with --destination")
	}
	return c.with(ctx, std, func(ctx context.Context, b *incidents.Book) error {
		seqs := c.Seq
		if c.Destination != "" {
			list, err := b.Outbox(ctx, incidents.MessageFilter{Destination: c.Destination, State: incidents.Parked, Limit: limit(0).rows()})
			if err != nil {
				return err
			}
			for i := range list {
				seqs = append(seqs, list[i].Seq)
			}
		}
		for _, seq := range seqs {
			if err := b.Retry(ctx, seq, time.Now()); err != nil {
				return err
			}
		}
		fmt.Fprintf(std.out, "tried again: %d\n", len(seqs))
		return nil
	})
}
