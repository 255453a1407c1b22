package rules

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
