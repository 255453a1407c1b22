package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/klaxonhq/klaxon/alert"
)

// snapshot is what a demo looks like at one moment.
type snapshot struct {
	Elapsed   time.Duration `json:"-"`
	Seconds   float64       `json:"elapsed_seconds"`
	Produced  int64         `json:"produced"`
	Rate      float64       `json:"events_per_second"`
	Matched   int64         `json:"matched"`
	Lag       int64         `json:"lag"`
	Archived  int64         `json:"archived"`
	Dead      int64         `json:"dead_letters"`
	Hits      int64         `json:"hits"`
	Alerts    int64         `json:"alerts"`
	Incidents int           `json:"open_incidents"`
	Stopping  bool          `json:"stopping,omitempty"`
	P50       time.Duration `json:"-"`
	P99       time.Duration `json:"-"`
}

// view shows a demo as it runs.
type view interface {
	alert(a *alert.Alert)
	status(s snapshot)
	close()
}

func newView(out io.Writer, asJSON bool) view {
	if asJSON {
		return &jsonView{json.NewEncoder(out)}
	}
	if width, ok := terminal(out); ok {
		return &liveView{out: out, width: width}
	}
	return &lineView{out: out}
}

// plain is text that is safe to print: an attacker chooses user names and paths, and a terminal obeys control characters.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

func alertLine(a *alert.Alert) string {
	return fmt.Sprintf("%-7s %-10s %s", strings.ToUpper(a.Severity.String()), plain(a.Tenant), plain(a.Title))
}

type jsonView struct{ enc *json.Encoder }

func (v *jsonView) alert(a *alert.Alert) {
	_ = v.enc.Encode(map[string]any{"type": "alert", "alert": a})
}

func (v *jsonView) status(s snapshot) {
	_ = v.enc.Encode(struct {
		Type string `json:"type"`
		snapshot
	}{"status", s})
}

func (v *jsonView) close() {}

// lineView prints alerts as they come and a line of numbers every five seconds.
type lineView struct {
	out      io.Writer
	next     time.Duration
	stopping bool // was said
}

func (v *lineView) alert(a *alert.Alert) { fmt.Fprintf(v.out, "ALERT  %s\n", alertLine(a)) }

// stopping is what is said after the first signal.
const stopping = "stopping: what was written is finished and counted; a second Ctrl-C leaves at once"

func (v *lineView) status(s snapshot) {
	if s.Stopping && !v.stopping {
		v.stopping = true
		fmt.Fprintln(v.out, stopping)
	}
	if s.Elapsed < v.next {
		return
	}
	v.next = s.Elapsed + 5*time.Second
	fmt.Fprintf(v.out, "%5.0fs  %d events (%.0f/s), lag %d, archived %d, dead letters %d, alerts %d, open incidents %d\n",
		s.Elapsed.Seconds(), s.Produced, s.Rate, s.Lag, s.Archived, s.Dead, s.Alerts, s.Incidents)
}

func (v *lineView) close() {}

// liveView draws over itself: the numbers on top, the newest alerts below.
type liveView struct {
	out    io.Writer
	width  int
	recent []string
	drawn  int
}

const recentAlerts = 12

func (v *liveView) alert(a *alert.Alert) {
	line := time.UnixMilli(a.Time).UTC().Format("15:04:05") + "  " + alertLine(a)
	v.recent = append(v.recent, line)
	if len(v.recent) > recentAlerts {
		v.recent = v.recent[1:]
	}
}

func (v *liveView) status(s snapshot) {
	lines := []string{
		fmt.Sprintf("klaxon demo  %s   events %d (%.0f/s)   lag %d", s.Elapsed.Round(time.Second), s.Produced, s.Rate, s.Lag),
		fmt.Sprintf("  archived %d   dead letters %d   hits %d   from record to alert: half within %s, 99 %% within %s", s.Archived, s.Dead, s.Hits, s.P50, s.P99),
		fmt.Sprintf("  alerts %d   open incidents %d", s.Alerts, s.Incidents),
		"",
	}
	if s.Stopping {
		lines[3] = stopping
	}
	lines = append(lines, v.recent...)
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	for _, l := range lines {
		if r := []rune(l); len(r) >= v.width {
			l = string(r[:v.width-1])
		}
		fmt.Fprintf(&b, "\x1b[2K%s\n", l)
	}
	v.drawn = len(lines)
	fmt.Fprint(v.out, b.String())
}

func (v *liveView) close() { fmt.Fprintln(v.out) }
