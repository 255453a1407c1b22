package ingest

import (
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// DefaultTenant is the tenant of what no rule gives another.
const DefaultTenant = "default"

// maxTenant bounds a tenant's name in bytes: it stands in keys and in names of files.
const maxTenant = 128

// TenantRule says whose an event is. What is set is asked in the order header, topic, field, fixed; the first that answers counts.
type TenantRule struct {
	Header string // the key of a record header
	Topic  string // a topic with {tenant} in it, such as logs.{tenant}.*; * is any run of characters, and {tenant} has no dots
	Field  string // a field of the event
	Fixed  string
}

// tenantRule is a TenantRule compiled against a schema.
type tenantRule struct {
	TenantRule
	prefix, suffix string
	field          event.FieldID
	topic, last    string // the last topic that was looked at, and its tenant
}

func newTenantRule(r TenantRule, s *event.Schema) tenantRule {
	t := tenantRule{TenantRule: r, field: s.ID(r.Field)}
	t.prefix, t.suffix, _ = strings.Cut(r.Topic, "{tenant}")
	return t
}

func (t *tenantRule) of(rec *event.Record, e *event.Event) string {
	if t.Header != "" {
		if v := rec.Header(t.Header); validTenant(event.View(v)) {
			return event.View(v)
		}
	}
	if t.Topic != "" {
		if t.topic != rec.Source.Topic {
			t.topic, t.last = rec.Source.Topic, t.fromTopic(rec.Source.Topic)
		}
		if t.last != "" {
			return t.last
		}
	}
	if t.field != 0 {
		if v := e.Text(t.field); validTenant(v) {
			return v
		}
	}
	if t.Fixed != "" {
		return t.Fixed
	}
	return DefaultTenant
}

// fromTopic cuts the tenant out of a topic's name, or answers "".
func (t *tenantRule) fromTopic(topic string) string {
	if !strings.Contains(t.Topic, "{tenant}") {
		return ""
	}
	rest, ok := afterPrefix(topic, t.prefix)
	if !ok {
		return ""
	}
	name := rest
	if t.suffix != "" {
		i := strings.IndexByte(rest, t.suffix[0])
		if t.suffix[0] == '*' {
			i = strings.IndexByte(rest, '.')
		}
		if i < 0 {
			i = len(rest)
		}
		name, rest = rest[:i], rest[i:]
		if !suffixMatches(t.suffix, rest) {
			return ""
		}
	}
	if !validTenant(name) || strings.Contains(name, ".") {
		return ""
	}
	return name
}

// afterPrefix cuts a prefix off in which a * stands for a run without dots.
func afterPrefix(s, prefix string) (rest string, ok bool) {
	for {
		lit, more, star := strings.Cut(prefix, "*")
		if s, ok = strings.CutPrefix(s, lit); !ok || !star {
			return s, ok
		}
		i := strings.IndexByte(s, '.')
		if i < 0 {
			i = len(s)
		}
		s, prefix = s[i:], more
	}
}

// suffixMatches matches what follows the tenant; a * is any run of characters.
func suffixMatches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok || len(parts) == 1 {
		return ok && s == ""
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// validTenant says whether a text can name a tenant: it stands in names of files and indices.
func validTenant(s string) bool {
	if s == "" || len(s) > maxTenant || s[0] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '@') {
			return false
		}
	}
	return true
}
