package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// initResult is what a run of init came to.
type initResult struct {
	*survey
	Brokers []string
	File    string // "" where nothing was written to a file
	Created []string
}

// printJSON prints a line for every topic, one for the rules, and one for what was written.
func (r *initResult) printJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, f := range r.Topics {
		line := struct {
			Type string `json:"type"`
			*finding
		}{"topic", f}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	rules := struct {
		Type  string      `json:"type"`
		Fed   []string    `json:"fed"`
		Unfed []unfedRule `json:"unfed"`
	}{"rules", append([]string{}, r.Fed...), append([]unfedRule{}, r.Unfed...)}
	if err := enc.Encode(rules); err != nil {
		return err
	}
	topics := []string{}
	for _, f := range r.logs() {
		topics = append(topics, f.Topic)
	}
	return enc.Encode(struct {
		Type    string   `json:"type"`
		File    string   `json:"file,omitempty"`
		Topics  []string `json:"topics"`
		Tenant  string   `json:"tenant_header,omitempty"`
		Created []string `json:"topics_created,omitempty"`
	}{"configuration", r.File, topics, r.TenantHeader, r.Created})
}

// print prints the same for people, and what to do next.
func (r *initResult) print(w io.Writer, sample int) error {
	fmt.Fprintf(w, "%s at %s; of each the newest records were read, %d at most.\n", plural(len(r.Topics), "topic"), plain(strings.Join(r.Brokers, ", ")), sample)
	if logs := r.logs(); len(logs) > 0 {
		fmt.Fprintln(w)
		if err := printTopics(w, logs); err != nil {
			return err
		}
	}
	if out := r.leftOut(); len(out) > 0 {
		fmt.Fprintln(w, "\nLeft out")
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, f := range out {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", plain(f.Topic), f.Skip, plain(f.Detail))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	r.printRemarks(w)
	if r.TenantHeader != "" {
		fmt.Fprintf(w, "\nTenants, by the header %s: %s\n", plain(r.TenantHeader), tenantsText(r.logs()))
	}
	r.printRules(w)
	r.printNext(w)
	return nil
}

func printTopics(w io.Writer, logs []*finding) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TOPIC\tDATASET\tCLAIMED BY\tPARSED\tPER SECOND\tBYTES\tNEWEST (UTC)\tRULES")
	for _, f := range logs {
		by, parsed, rate := f.ClaimedBy, fmt.Sprintf("%d %%", f.parsedPercent()), "?"
		if by == "" {
			by, parsed = "nobody", "-"
		}
		if f.Rate > 0 {
			rate = rateText(f.Rate)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\n", plain(f.Topic), f.Dataset, by, parsed, rate, f.Bytes, f.Newest.Format(time.DateTime), len(f.Rules))
	}
	return t.Flush()
}

// printRemarks says what a person should look at.
func (r *initResult) printRemarks(w io.Writer) {
	var remarks, unclaimed []string
	for _, f := range r.logs() {
		if f.ClaimedBy == "" && len(f.Fits) == 0 {
			unclaimed = append(unclaimed, plain(f.Topic))
		}
		for _, text := range f.remarks() {
			remarks = append(remarks, plain(f.Topic)+": "+text)
		}
	}
	if len(unclaimed) > 0 {
		remarks = append(remarks, strings.Join(unclaimed, ", ")+": claimed by no dataset, so archived and searched, and of little use to rules; see docs/datasets.md for one of your own")
	}
	if len(remarks) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWorth a look")
	for _, text := range remarks {
		fmt.Fprintln(w, "  "+text)
	}
}

func (f *finding) remarks() []string {
	var out []string
	if f.Misfits > 0 {
		out = append(out, fmt.Sprintf("%d of %d events are not as %s expects; they are archived and evaluated all the same, as pipeline_error", f.Misfits, f.Events, f.Dataset))
	}
	if n := f.dead(); n > 0 {
		out = append(out, fmt.Sprintf("%d of %d records cannot be decoded (%s) and would be dead letters", n, f.Sampled, counted(f.Dead)))
	}
	if len(f.Datasets) > 1 {
		out = append(out, "it holds several kinds of logs: "+counted(f.Datasets))
	}
	if len(f.Fits) > 0 {
		out = append(out, fmt.Sprintf("it would fit %s: say so under datasets.topics in the configuration", strings.Join(f.Fits, " or ")))
	}
	if f.Compacted {
		out = append(out, "it is compacted: what a newer record with the same key replaced is gone")
	}
	return out
}

func (r *initResult) printRules(w io.Writer) {
	fmt.Fprintf(w, "\nRules: %d of %d get events from these topics.\n", len(r.Fed), len(r.Fed)+len(r.Unfed))
	if len(r.logs()) == 0 { // the reason is the same for every rule
		fmt.Fprintln(w, "  no topic holds logs; one on which the user lacks the ACL DESCRIBE is not seen at all")
		return
	}
	why := map[string][]string{}
	var order []string
	for _, u := range r.Unfed {
		if why[u.Why] == nil {
			order = append(order, u.Why)
		}
		why[u.Why] = append(why[u.Why], u.Rule)
	}
	for _, reason := range order {
		fmt.Fprintf(w, "  %s: %s\n", reason, strings.Join(why[reason], ", "))
	}
}

func (r *initResult) printNext(w io.Writer) {
	if len(r.Created) > 0 {
		fmt.Fprintf(w, "\nCreated, or there already: %s\n", strings.Join(r.Created, ", "))
	}
	if r.File == "" {
		return
	}
	fmt.Fprintf(w, "\nWrote %s. Read it, then:\n", plain(r.File))
	for _, command := range []string{"klaxon check -c " + r.File, "klaxon run -c " + r.File} {
		fmt.Fprintln(w, "  "+plain(command))
	}
}
