package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/rules"
)

// overrideText is one override on one line.
func overrideText(o overrideInfo) string {
	text := "for " + tenantName(o.Tenant)
	switch {
	case o.Ended:
		text += ", ended with " + o.Until
	case o.Until != "":
		text += ", until " + o.Until
	}
	return fmt.Sprintf("%s: %s (%s; %s:%d)", text, strings.Join(o.Sets, ", "), o.Why, o.File, o.Line)
}

// holdsNow is the rule as it holds for whoever has no override of their own.
func holdsNow(r *rules.Rule, now time.Time) *rules.Rule {
	for _, h := range r.Holdings() {
		if h.Tenant == "" && (h.Until == 0 || h.Until > now.UnixMilli()) {
			return h.Rule
		}
	}
	return r
}

// holdingInfo is what a rule is for a tenant until a day.
type holdingInfo struct {
	Tenant   string   `json:"tenant,omitempty"`
	Others   bool     `json:"others,omitempty"` // every tenant that is not named
	After    string   `json:"after,omitempty"`  // a day
	Until    string   `json:"until,omitempty"`  // the last day
	Mode     string   `json:"mode"`
	Severity string   `json:"severity"`
	AtLeast  int64    `json:"at_least,omitempty"`
	Owner    string   `json:"owner,omitempty"`
	Except   []string `json:"except,omitempty"` // what overrides add
}

// describeHoldings is nothing for a rule without overrides.
func describeHoldings(r *rules.Rule) []holdingInfo {
	if len(r.Overrides()) == 0 {
		return nil
	}
	var out []holdingInfo
	for _, h := range r.Holdings() {
		i := holdingInfo{Tenant: h.Tenant, Others: h.Tenant == "", Until: lastDay(h.Until), Mode: h.Rule.Mode.String(), Severity: severityText(h.Rule), Owner: h.Rule.Owner}
		if n := len(out); n > 0 && out[n-1].Tenant == h.Tenant {
			i.After = out[n-1].Until
		}
		if h.Rule.Count != nil {
			i.AtLeast = h.Rule.Count.AtLeast
		}
		for _, x := range h.Rule.Except[len(r.Except):] {
			i.Except = append(i.Except, exceptionText(x))
		}
		out = append(out, i)
	}
	return out
}

// holdingTexts is one line for each: who, until when, and what holds.
func holdingTexts(all []holdingInfo) []string {
	others := "everybody"
	if slices.ContainsFunc(all, func(h holdingInfo) bool { return !h.Others }) {
		others = "everybody else"
	}
	var out []string
	for _, h := range all {
		out = append(out, h.text(others))
	}
	return out
}

// text is the holding on one line; others is what tenants that are not named are called.
func (h holdingInfo) text(others string) string {
	who := h.Tenant
	if h.Others {
		who = others
	}
	if h.After != "" {
		who += " after " + h.After
	}
	if h.Until != "" {
		who += " until " + h.Until
	}
	parts := []string{h.Mode, h.Severity}
	if h.AtLeast > 0 {
		parts = append(parts, fmt.Sprintf("at least %d", h.AtLeast))
	}
	if h.Owner != "" {
		parts = append(parts, "owner "+h.Owner)
	}
	for _, x := range h.Except {
		parts = append(parts, "except "+x)
	}
	return who + ": " + strings.Join(parts, ", ")
}
