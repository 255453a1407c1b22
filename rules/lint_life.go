package rules

import (
	"fmt"
	"time"
)

// exception looks at an exception, of the rule itself or of an override.
func (l *linter) exception(r *Rule, file string, line int, path string, x Exception) {
	if x.Until == 0 {
		l.warnAt(file, line, path, "add until: a day to look at it again", "the exception never ends")
	}
	if r.Where != nil && x.Where.String() == r.Where.String() {
		l.warnAt(file, line, path, "disable the rule instead: mode: disabled", "hides everything that the rule looks for")
	}
	l.ends(file, line, path, "the exception", x.Until, x.Why)
}

func (l *linter) override(r *Rule, o Override) {
	for i, x := range o.Except {
		if x.Until == 0 && o.Until != 0 {
			continue // it ends with its override
		}
		l.exception(r, o.File, o.Line, fmt.Sprintf("set.except[%d]", i), x)
	}
	l.ends(o.File, o.Line, "override", "the override of "+r.ID+" for "+tenantText(o.Tenant), o.Until, o.Why)
}

// ends warns of what does not hold any more, or not for long.
func (l *linter) ends(file string, line int, path, what string, until int64, why string) {
	switch {
	case until == 0 || until > l.soon:
	case until <= l.now:
		l.warnAt(file, line, path, "remove it, or give it another day", "%s (%s) has ended, with %s", what, why, lastDayText(until))
	default:
		l.warnAt(file, line, path, "remove it then, or give it another day", "%s (%s) ends soon, with %s", what, why, lastDayText(until))
	}
}

// lastDayText is the last day before an instant, as files write it.
func lastDayText(until int64) string { return time.UnixMilli(until - 1).UTC().Format(time.DateOnly) }
