package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// printStatus prints what a process said, for people. Errors may quote what an attacker wrote.
func printStatus(out io.Writer, one answered) {
	if one.Status == nil {
		fmt.Fprintf(out, "%s  %s\n", one.URL, plain(one.Error))
		return
	}
	s := one.Status
	fmt.Fprintf(out, "%s  klaxon %s, %s, %s\n", one.URL, plain(s.Version), upText(s), stateText(one))
	printLoops(out, s)
	printDestinations(out, s)
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printGeneration(w, s)
	printResources(w, s)
	w.Flush()
	printErrors(out, s)
}

func upText(s *statusReport) string {
	if s.Started.IsZero() {
		return "starting"
	}
	return "up " + age(s.Time, s.Started)
}

func stateText(one answered) string {
	state := "ready"
	switch {
	case one.Status.Stopping:
		state = "STOPPING"
	case !one.Status.Ready:
		state = "NOT READY"
	}
	if len(one.Behind) > 0 {
		state += ", BEHIND: " + plain(strings.Join(one.Behind, ", "))
	}
	return state
}

func printLoops(out io.Writer, s *statusReport) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nLOOP\tOWNS\tLAG\tOLDEST UNCOMMITTED\tSTATE")
	shown := map[string]bool{}
	for _, l := range s.Loops {
		unit := "partitions"
		if l.Name == "detect" {
			unit = "shards"
		}
		shown[l.Name] = true
		fmt.Fprintf(w, "%s\t%d %s\t%d\t%s\t%s\n", plain(l.Name), l.Owned, unit, l.Lag, age(s.Time, l.OldestUncommitted), partText(s, l.Name))
	}
	for _, part := range slices.Sorted(maps.Keys(s.Parts)) {
		if !shown[part] {
			fmt.Fprintf(w, "%s\t\t\t\t%s\n", plain(part), partText(s, part))
		}
	}
	w.Flush()
}

func partText(s *statusReport, part string) string {
	if why := s.Parts[part]; why != "" {
		return plain(why)
	}
	return "ready"
}

func printDestinations(out io.Writer, s *statusReport) {
	if len(s.Destinations) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nDESTINATION\tWAITING\tOLDEST\tPARKED\tDELIVERED\tLAST\tFAILURES\tSTATE")
	for _, d := range s.Destinations {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%s\t%d\t%s\n", plain(d.Name), d.Waiting, age(s.Time, d.Oldest), d.Parked, d.Delivered, age(s.Time, d.LastDelivery), d.Failures, d.state())
	}
	w.Flush()
}

// state is whether this process delivers to it, and whether it counts as down.
func (d destinationStatus) state() string {
	switch {
	case d.BreakerOpen:
		return "DOWN"
	case d.Held:
		return "delivering"
	}
	return "another process's"
}

func printGeneration(w io.Writer, s *statusReport) {
	fmt.Fprintf(w, "roles\t%s\n", plain(strings.Join(s.Roles, ", ")))
	g := s.Generation
	fmt.Fprintf(w, "generation\t%s, loaded %s ago: %d rules, %d datasets, %d lists\n", plain(g.Hash), age(s.Time, g.Loaded), g.Rules, g.Datasets, g.Lists)
	if g.Failed != "" {
		fmt.Fprintf(w, "\ta reload failed %s ago: %s\n", age(s.Time, g.FailedAt), plain(g.Failed))
	}
}

func printResources(w io.Writer, s *statusReport) {
	if s.Store != nil {
		fmt.Fprintf(w, "store\t%s: %d open incidents\n", plain(s.Store.Name), s.Store.OpenIncidents)
	}
	limit := ""
	if s.Memory.LimitBytes > 0 {
		limit = " of " + byteText(s.Memory.LimitBytes)
	}
	fmt.Fprintf(w, "memory\t%s%s; detectors remember %d keys in %s\n", byteText(s.Memory.UsedBytes), limit, s.Memory.DetectorKeys, byteText(s.Memory.DetectorBytes))
	for _, d := range s.Disks {
		low := ""
		if d.Low {
			low = ", LOW"
		}
		fmt.Fprintf(w, "disk\t%s: %s free of %s%s\n", plain(d.Path), byteText(d.FreeBytes), byteText(d.SizeBytes), low)
	}
}

func printErrors(out io.Writer, s *statusReport) {
	if len(s.Errors) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nLAST ERRORS\tTIMES\tFROM\tWHAT")
	for _, e := range s.Errors {
		what := e.Message
		if e.Error != "" {
			what += ": " + e.Error
		}
		fmt.Fprintf(w, "%s ago\t%d\t%s\t%s\n", age(s.Time, e.Last), e.Count, plain(e.Part), plain(what))
	}
	w.Flush()
}

// age is how long ago a time was, in one or two units; "-" for none.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := max(now.Sub(then), 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
