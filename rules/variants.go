package rules

import "slices"

// Override is one override of a rule, as its file says.
type Override struct {
	Tenant string // "": every tenant
	// Until is the first instant, Unix milliseconds of event time, at which it no longer holds; 0: it always does.
	Until int64
	Why   string
	// Sets is what it changes, for people: `count.at_least 50`.
	Sets []string
	// Except is the exceptions that it adds.
	Except []Exception
	File   string
	Line   int
}

// Holding is what a rule is for a tenant until an instant.
type Holding struct {
	Tenant string // "": every tenant that has no holding of its own
	Until  int64  // Unix milliseconds of event time, exclusive; 0: for ever
	Rule   *Rule
}

// Overrides is every override of the rule: those for all tenants first, then by tenant. The caller must not write to it.
func (r *Rule) Overrides() []Override { return r.tuned }

// Overridden is the reasons of the overrides that made this variant of the rule.
func (r *Rule) Overridden() []string { return r.overrides }

// Holdings is what holds for whom and until when, by tenant and time: the same answers as Set.Resolve gives.
func (r *Rule) Holdings() []Holding {
	tenants := []string{""}
	for tenant := range r.variants {
		if tenant != "" {
			tenants = append(tenants, tenant)
		}
	}
	slices.Sort(tenants)
	var out []Holding
	for _, tenant := range tenants {
		at := int64(0)
		for _, v := range r.variants[tenant] {
			if v.until == forEver {
				break
			}
			out = append(out, Holding{tenant, v.until, v.rule})
			at = v.until
		}
		out = append(out, Holding{tenant, 0, r.resolve(tenant, at)})
	}
	return out
}

// Variants is the rule itself and every rule that overrides make of it. They share its memory: none changes the key or the window.
func (r *Rule) Variants() []*Rule {
	out := []*Rule{r}
	for _, list := range r.variants {
		for i := range list {
			out = append(out, list[i].rule)
		}
	}
	return out
}
