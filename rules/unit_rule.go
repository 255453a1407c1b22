package rules

import (
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// Bounds on a count clause: its memory is a window of counters for every key.
const (
	maxWithin  = 31 * 24 * time.Hour
	maxQuiet   = 31 * 24 * time.Hour
	maxAtLeast = 1_000_000_000
	maxKeys    = 8
)

// laterClauses are the memory clauses of the language that this version does not run.
func laterClauses() []string {
	return []string{"distinct", "sum", "avg", "percentile", "ratio", "baseline", "sequence", "first_seen", "silence", "travel"}
}

// parseRule reads a rule's document.
func (u *Unit) parseRule(m *diag.Map) {
	d := &ruleDoc{}
	u.rule = d
	r := &d.plain
	d.idAt = m.Need("id")
	r.ID = d.idAt.Text()
	u.ID = r.ID
	if r.ID != "" && !idPattern.MatchString(r.ID) {
		d.idAt.Errorf("must be small letters, digits, ., _ and -, at most 100 of them").Hint("such as ssh-bruteforce")
	}
	r.Title = strings.TrimSpace(m.Need("title").Text())
	r.Description = strings.TrimSpace(m.Get("description").Text())
	r.Mode = parseMode(m.Get("mode"))
	r.Owner = m.Get("owner").Text()
	r.Runbook = m.Get("runbook").Text()
	r.References = texts(m.Get("references"))
	r.FalsePositives = texts(m.Get("false_positives"))
	r.Tags = texts(m.Get("tags"))
	d.controlsAt = m.Get("controls").OneOrMany()
	r.Controls = texts(m.Get("controls"))
	u.parseSource(m.Need("source"))
	switch t := m.Get("tenants"); t.OneOf("apart", "together") {
	case "together":
		r.Together = true
	}
	d.where = u.condition(m.Get("where"))
	d.except = u.parseExcept(m.Get("except"))
	u.parseClause(m)
	u.parseSeverity(m.Need("severity"), &d.severity)
	u.parseAlert(m.Get("alert"))
	u.parseRespond(m.Get("respond"))
	u.parseTests(m.Get("tests"))
}

func parseMode(n diag.Node) Mode {
	word := n.OneOf(modeNames()...)
	for i, name := range modeNames() {
		if name == word {
			return Mode(i)
		}
	}
	return Live
}

func (u *Unit) parseSource(n diag.Node) {
	m, ok := n.Map()
	if !ok {
		return
	}
	defer m.Done()
	alerts := m.Get("alerts")
	if alerts.Exists() {
		for _, a := range alerts.OneOrMany() {
			if id := a.Text(); id != "" && !idPattern.MatchString(id) {
				a.Errorf("%q is no rule's id", id)
			}
		}
		alerts.Errorf("rules over other rules' alerts are not run by this version").Hint("use source: {dataset: [...]}")
		m.Get("dataset")
		return
	}
	for _, e := range m.Need("dataset").OneOrMany() {
		text := strings.TrimSpace(e.Text())
		if text == "" || strings.ContainsAny(text, " \t\n") {
			e.Errorf("%q is no name of a dataset", text).Hint(`such as system.auth, "aws.*", or "*" for all`)
			continue
		}
		u.rule.plain.Source.Datasets = append(u.rule.plain.Source.Datasets, text)
	}
	if n := m.Get("dataset"); n.Exists() && n.IsSeq() && len(n.Seq()) == 0 {
		n.Errorf("the list is empty, so that the rule would see nothing").Hint(`write ["*"] for all datasets`)
	}
}

func (u *Unit) parseExcept(n diag.Node) []exceptDoc {
	var out []exceptDoc
	for _, e := range n.Seq() {
		m, ok := e.Map()
		if !ok {
			continue
		}
		out = append(out, exceptDoc{at: e, where: u.condition(m.Need("where")), why: strings.TrimSpace(m.Need("why").Text()), until: lastDay(m.Get("until"))})
		m.Done()
	}
	return out
}

func (u *Unit) parseClause(m *diag.Map) {
	for _, clause := range laterClauses() {
		if n := m.Get(clause); m.Has(clause) {
			n.Errorf("the clause %s is not supported by this version", clause).Hint("this version runs count, and rules without a clause")
		}
	}
	n := m.Get("count")
	if !n.Exists() {
		if m.Has("count") {
			n.Errorf("is empty").Hint("write count: {by: [source.ip], within: 1m, at_least: 20}")
		}
		return
	}
	c, ok := n.Map()
	if !ok {
		return
	}
	defer c.Done()
	by, within, atLeast := c.Get("by"), c.Need("within"), c.Need("at_least")
	u.rule.by = u.keys(by)
	u.rule.plain.Count = &Count{Within: parseWithin(within), AtLeast: atLeast.Int(1, maxAtLeast)}
}

func parseWithin(n diag.Node) time.Duration {
	d := n.Duration()
	if d > 0 && (d < time.Second || d > maxWithin) {
		n.Errorf("must be between 1s and 31d")
	}
	return d
}

func parseQuiet(n diag.Node) time.Duration {
	d := n.Duration()
	if d > maxQuiet {
		n.Errorf("must be at most 31d")
	}
	return d
}

func (u *Unit) parseSeverity(n diag.Node, out *[]severityDoc) {
	if n.IsScalar() {
		*out = append(*out, severityDoc{is: severityWord(n)})
		return
	}
	cases := n.Seq()
	for i, e := range cases {
		m, ok := e.Map()
		if !ok {
			continue
		}
		s := severityDoc{when: u.condition(m.Get("when")), is: severityWord(m.Need("is"))}
		if last := i == len(cases)-1; last == m.Has("when") {
			if last {
				e.Errorf("the last case needs no condition, or some alerts have no severity").Hint("add a last case without when: {is: normal}")
			} else {
				e.Errorf("what follows a case without a condition is never reached")
			}
		}
		m.Done()
		*out = append(*out, s)
	}
	if n.IsSeq() && len(cases) == 0 {
		n.Errorf("the list is empty").Hint("write urgent, high, normal or low")
	}
}

func severityWord(n diag.Node) Severity {
	s, _ := ParseSeverity(n.OneOf(severityNames()...))
	return s
}

func (u *Unit) parseAlert(n diag.Node) {
	d := u.rule
	if !n.Exists() {
		return
	}
	m, ok := n.Map()
	if !ok {
		return
	}
	defer m.Done()
	if t := m.Get("title"); t.Exists() {
		d.title = textDoc{t, t.Text()}
		if tmpl, bad := parseTemplate(d.title.text); tmpl != nil {
			for _, name := range tmpl.Names() {
				u.takeNames(name)
			}
		} else {
			for _, p := range bad {
				t.ErrorfAt(p.at, "%s", p.message).Hint("%s", p.hint)
			}
		}
	}
	d.hasGroup = m.Has("incident_by")
	d.incidentBy = u.keys(m.Get("incident_by"))
	d.quietAt = m.Get("quiet")
	d.plain.Quiet = parseQuiet(d.quietAt)
}

func (u *Unit) parseRespond(n diag.Node) {
	for _, e := range n.Seq() {
		m, ok := e.Map()
		if !ok {
			continue
		}
		block := m.Need("block")
		r := Response{Action: "block", Field: strings.TrimSpace(block.Text()), For: m.Need("for").Duration()}
		m.Done()
		if r.Field != "" {
			u.takeNames(r.Field)
		}
		u.rule.respond = append(u.rule.respond, textDoc{block, r.Field})
		u.rule.plain.Respond = append(u.rule.plain.Respond, r)
	}
}
