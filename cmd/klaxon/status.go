package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

type statusCmd struct {
	Config string        `short:"c" type:"path" help:"Configuration file; its admin.listen is asked." placeholder:"FILE"`
	URL    []string      `help:"Admin address of a process, as in http://127.0.0.1:9464. Repeat it for several." placeholder:"URL"`
	MaxAge time.Duration `default:"5m" help:"A loop or destination whose oldest record or message is older lags badly."`
	JSON   bool          `help:"Print JSON lines, one for each process."`
}

const (
	statusTimeout  = 5 * time.Second
	maxStatusBytes = 8 << 20
)

// answered is what a process said, or why it said nothing.
type answered struct {
	URL    string        `json:"url"`
	Status *statusReport `json:"status,omitempty"`
	Behind []string      `json:"behind,omitempty"` // what lags badly
	Error  string        `json:"error,omitempty"`
}

// Run asks every process and prints what they say. It ends with findings if one is not ready or lags badly, and with an error if
// one cannot be reached.
func (c *statusCmd) Run(ctx context.Context, std streams) error {
	addresses, err := c.addresses()
	if err != nil {
		return err
	}
	all := make([]answered, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() { all[i] = c.ask(ctx, address) })
	}
	asking.Wait()
	for i, one := range all {
		if c.JSON {
			if err := json.NewEncoder(std.out).Encode(one); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		printStatus(std.out, one)
	}
	return verdict(all)
}

func verdict(all []answered) (err error) {
	for _, one := range all {
		switch {
		case one.Status == nil:
			return errBroken
		case !one.Status.Ready || len(one.Behind) > 0:
			err = errFindings
		}
	}
	return err
}

// addresses is whom to ask: what was named, else what the configuration says, else the default address.
func (c *statusCmd) addresses() ([]string, error) {
	var out []string
	for _, s := range c.URL {
		if !strings.Contains(s, "://") {
			s = "http://" + s
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("--url %q is no address: write it as http://127.0.0.1:9464", s)
		}
		out = append(out, strings.TrimSuffix(u.String(), "/"))
	}
	if c.Config == "" && len(out) > 0 {
		return out, nil
	}
	listen := defaultConfig().Admin.Listen
	if c.Config != "" {
		data, err := os.ReadFile(c.Config)
		if err != nil {
			return nil, err
		}
		var list diag.List // mistakes are for check: whoever asks may not be allowed to read the secrets
		listen = parseConfig(c.Config, data, os.LookupEnv, &list).Admin.Listen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return nil, fmt.Errorf("admin.listen is %q, which is no address to ask: name it with --url; the log's line \"started\" has it", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return append([]string{"http://" + net.JoinHostPort(host, port)}, out...), nil
}

func (c *statusCmd) ask(ctx context.Context, address string) answered {
	one := answered{URL: address}
	ctx, done := context.WithTimeout(ctx, statusTimeout)
	defer done()
	s, err := fetchStatus(ctx, address+"/status")
	if err != nil {
		one.Error = err.Error()
		return one
	}
	one.Status, one.Behind = s, s.behind(c.MaxAge)
	return one
}

func fetchStatus(ctx context.Context, address string) (*statusReport, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("cannot reach it: %w: is it running, and is this its admin.listen?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatusBytes))
	if err != nil {
		return nil, fmt.Errorf("cannot read its answer: %w", err)
	}
	var s statusReport
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &s) != nil || s.Time.IsZero() {
		return nil, fmt.Errorf("answers %s, and not as klaxon does: is this its admin.listen?", resp.Status)
	}
	return &s, nil
}

// behind says what lags badly: where the oldest that waits is older than limit.
func (s *statusReport) behind(limit time.Duration) (out []string) {
	for _, l := range s.Loops {
		if !l.OldestUncommitted.IsZero() && s.Time.Sub(l.OldestUncommitted) > limit {
			out = append(out, l.Name)
		}
	}
	for _, d := range s.Destinations {
		if !d.Oldest.IsZero() && s.Time.Sub(d.Oldest) > limit {
			out = append(out, d.Name)
		}
	}
	return out
}
