package detectors

import (
	"fmt"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// explainCount says why a count was an alert.
func explainCount(within int64, atLeast uint32, a *alert.Alert) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", a.Count, plural(a.Count, "event", "events"))
	appendKey(&b, a.Key)
	fmt.Fprintf(&b, " within %s (the rule asks for %d), ", duration(within), atLeast)
	if a.First == a.Last {
		b.WriteString("at " + moments(a.First))
		return b.String()
	}
	first, last := time.UnixMilli(a.First).UTC(), time.UnixMilli(a.Last).UTC()
	if first.YearDay() == last.YearDay() && first.Year() == last.Year() {
		fmt.Fprintf(&b, "between %s and %s UTC on %s", first.Format(time.TimeOnly), last.Format(time.TimeOnly), first.Format(time.DateOnly))
	} else {
		fmt.Fprintf(&b, "between %s and %s", moments(a.First), moments(a.Last))
	}
	return b.String()
}

// explainEvent says why one event was an alert.
func explainEvent(a *alert.Alert) string {
	var b strings.Builder
	b.WriteString("One event")
	appendKey(&b, a.Key)
	b.WriteString(" met the rule at " + moments(a.Time))
	return b.String()
}

func appendKey(b *strings.Builder, key []alert.Field) {
	for i, f := range key {
		b.WriteString([]string{" of ", ", "}[min(i, 1)])
		b.WriteString(f.Name + " " + f.Values[0])
	}
}

func moments(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05 UTC on 2006-01-02") }

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// duration is milliseconds as a rule writes them: 1m, 1h30m, 250ms.
func duration(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// text says what could not be kept exactly, or "".
func (f flags) text() string {
	var out []string
	for _, one := range []struct {
		flag flags
		text string
	}{
		{roundedTimes, "there were more times than are kept for one key, so they were rounded, and counts at the edges of windows may be off"},
		{forgotEarly, "time stood still, because a source partition was not read, so that old events were forgotten before their time: the count may be too low"},
		{mayLack, "memory was full shortly before, and earlier events may have been forgotten: the count may be too low"},
		{endedEarly, "memory was full, so that the episode was ended before its time"},
		{ruleChanged, "the rule was changed, so that the episode was ended before its time"},
	} {
		if f&one.flag != 0 {
			out = append(out, one.text)
		}
	}
	return strings.Join(out, "; ")
}
