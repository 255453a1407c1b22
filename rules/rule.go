package rules

import (
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// Mode is what becomes of a rule's alerts.
type Mode uint8

// The modes.
const (
	Live     Mode = iota // alerts, incidents and responses
	Signal               // alerts that make no incident, for other rules to build on
	Shadow               // alerts that are stored, and nothing else
	Disabled             // not evaluated
)

// String is the mode as rule files write it.
func (m Mode) String() string { return modeNames()[m] }

func modeNames() []string { return []string{"live", "signal", "shadow", "disabled"} }

// Severity is how urgent an alert is; more is more urgent.
type Severity uint8

// The severities.
const (
	Low Severity = iota + 1
	Normal
	High
	Urgent
)

// String is the severity as rule files write it.
func (s Severity) String() string {
	if s < Low || s > Urgent {
		return "none"
	}
	return severityNames()[s-Low]
}

func severityNames() []string { return []string{"low", "normal", "high", "urgent"} }

// ParseSeverity reads a severity's name.
func ParseSeverity(s string) (Severity, bool) {
	for i, n := range severityNames() {
		if n == s {
			return Low + Severity(i), true
		}
	}
	return 0, false
}

// SeverityCase gives a severity where its condition holds.
type SeverityCase struct {
	// When may use count and the fields of Rule.Carry and Count.By; nil: always.
	When *Condition
	Is   Severity
}

// Source says which events a rule looks at.
type Source struct {
	// Datasets are names of datasets, in which * stands for any text and ? for one character.
	Datasets []string
}

// Exception removes events before a rule counts them.
type Exception struct {
	Where *Condition
	// Until is the first instant, Unix milliseconds of event time, at which the exception no longer holds; 0: it always does.
	Until int64
	Why   string

	number int // in RuleStats.ByException
}

// Count is the memory clause that fires when enough events of one key lie within a time.
type Count struct {
	// By is the key: names of fields, or `subnet(field, 24, 64)`.
	By      []string
	Within  time.Duration
	AtLeast int64
}

// Response is what a rule asks for besides an incident.
type Response struct {
	Action string        // block
	Field  string        // whose value is acted upon; in Count.By or Carry
	For    time.Duration // how long
}

// Rule is one compiled rule. It is immutable and safe for concurrent use. A tenant's override makes a rule of its own, with the
// same ID; see Set.Resolve.
type Rule struct {
	ID             string
	Title          string
	Description    string
	Mode           Mode
	Owner          string
	Runbook        string
	References     []string
	FalsePositives []string
	Tags           []string
	Controls       []string
	Source         Source
	// Together says that tenants are not told apart: Match.Tenant is "" then.
	Together bool
	Where    *Condition // nil: every event of the source
	Except   []Exception
	Count    *Count // nil: every match is an alert
	Severity []SeverityCase
	// TitleTemplate is the text of an alert.
	TitleTemplate *Template
	// IncidentBy is what makes two alerts the same incident; each name is in Count.By or Carry, or in Match.Key where there is no
	// clause.
	IncidentBy []string
	// Quiet is how long an episode lasts after its last hit; at least Count.Within.
	Quiet   time.Duration
	Respond []Response
	Tests   []Test
	// Carry is the fields outside Count.By whose values the title, severity, incident and responses need.
	Carry []string
	// Version changes when source, where, exceptions or clause change; Basis only when what is remembered would differ: source,
	// where, by or within. Neither depends on how the file is written, nor on the process.
	Version uint64
	Basis   uint64
	// File and Line are where the rule stands.
	File string
	Line int

	index     int // in Set.Rules, the same for all variants
	keys      []operand
	carry     []operand
	schema    *event.Schema
	scratch   *sync.Pool // of *event.Event, for SeverityOf
	variants  map[string][]variant
	globs     []string
	tuned     []Override // of the rule as its file says
	overrides []string   // of a variant: why, for people

	exceptions int // of the rule and all its overrides

	conditions []placed
}

// variant is the rule as overrides make it, until an instant.
type variant struct {
	until int64 // Unix milliseconds, exclusive
	rule  *Rule
}

// resolve is the rule as it holds for a tenant at an event time.
func (r *Rule) resolve(tenant string, ms int64) *Rule {
	if r.variants == nil {
		return r
	}
	list, ok := r.variants[tenant]
	if !ok {
		list = r.variants[""]
	}
	for i := range list {
		if ms < list[i].until {
			return list[i].rule
		}
	}
	return r
}

// SeverityOf is the severity of an alert that counted so many events (1 where there is no clause). Get answers the values of the
// fields in Count.By and Carry, which must not change during the call. It is safe for concurrent use.
func (r *Rule) SeverityOf(count int64, get func(field string) []string) Severity {
	var e *event.Event // conditions on the count alone need none
	defer func() {
		if e != nil {
			e.Reset(r.schema)
			r.scratch.Put(e)
		}
	}()
	for _, c := range r.Severity {
		if c.When == nil {
			return c.Is
		}
		if e == nil && len(c.When.FieldIDs()) > 0 {
			e = r.scratch.Get().(*event.Event)
		}
		for i, id := range c.When.FieldIDs() {
			e.Clear(id)
			for _, v := range get(c.When.Fields()[i]) {
				e.Add(id, v)
			}
		}
		if c.When.evalCount(e, count) {
			return c.Is
		}
	}
	return Normal
}
