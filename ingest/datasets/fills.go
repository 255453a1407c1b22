package datasets

import (
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
)

// Fills says whether events of a dataset can have a field: one that the dataset writes, or one that every event may have.
func (s *Set) Fills(dataset, field string) bool {
	i := slices.IndexFunc(s.units, func(u *Unit) bool { return u.name == dataset })
	return i >= 0 && s.units[i].fills(s.info[i].Fields, field)
}

// fills looks at what the unit writes, in order, and at what follows from it.
func (u *Unit) fills(written []string, field string) bool {
	has := func(name string) bool { _, ok := slices.BinarySearch(written, name); return ok }
	below := func(prefix string) bool { return prefix != "" && strings.HasPrefix(field, prefix+".") }
	switch {
	case has(field) || everywhere(field) || below(u.vendor) || below(u.rest) || u.ecs && isECS(field):
		return true
	case u.unwrap.syslog && fromSyslog(field):
		return true
	case below("client"):
		return u.forwarded.name != ""
	}
	side, rest, _ := strings.Cut(field, ".") // what enrichment says of an address
	return (strings.HasPrefix(rest, "geo.") || strings.HasPrefix(rest, "as.")) && has(side+".ip")
}

// everywhere says whether a field is there whatever the dataset does.
func everywhere(field string) bool {
	switch field {
	case "@timestamp", "message", "error.message", "tags", event.FieldDataset, event.FieldOriginal, "event.kind":
		return true
	}
	return strings.HasPrefix(field, "klaxon.") || strings.HasPrefix(field, "related.")
}

func fromSyslog(field string) bool {
	switch field {
	case "host.hostname", "host.name", "process.name", "process.pid":
		return true
	}
	return strings.HasPrefix(field, "log.syslog.")
}

func isECS(field string) bool {
	return slices.ContainsFunc(ecs.Fields(), func(f event.Field) bool { return f.Name == field })
}
