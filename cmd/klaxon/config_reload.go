package main

import (
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// ReloadConfig says how changed rules, datasets, lists and databases take effect.
type ReloadConfig struct {
	Every time.Duration // how often files are looked at; 0: only when told to
	Wait  time.Duration // how long hits of rules that are not loaded here wait for them
}

// minReload bounds how often files are looked at.
const minReload = time.Second

func (r configReader) reload(n diag.Node, c *ReloadConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	switch every := m.Get("every"); {
	case every.Raw() == "never":
		c.Every = 0
	default:
		d := every.Duration()
		if d > 0 && d < minReload {
			every.Errorf("must be at least %s, not %s", span(minReload), every.Raw()).Hint("write never to have files looked at only when the process gets SIGHUP")
		}
		set(&c.Every, d)
	}
	set(&c.Wait, m.Get("wait").Duration())
	m.Done()
}
