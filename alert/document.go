package alert

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// AppendDocument appends the alert as one ECS document, a JSON object on one line, as event.kind `signal` and with the fields by
// which Kibana knows alerts. The same revision always makes the same bytes. Samples of events are left out: an archive has the
// events themselves, under the ids that the document names.
func (a *Alert) AppendDocument(dst []byte) []byte {
	d := document{}
	d.event(a)
	d.rule(&a.Rule)
	d.threat(a.Rule.Tags)
	d.kibana(a)
	d.klaxon(a)
	d.related(a.Key)
	d.related(a.Fields)
	for _, f := range a.Key { // last, so that a key cannot change what the document says of itself
		if len(f.Values) > 0 && isPath(f.Name) {
			d.set(f.Name, f.Values[0])
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(d) != nil { // texts, numbers and lists of them always encode
		return dst
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}

// document is a JSON object, built by dotted paths.
type document map[string]any

// set sets a path, unless it is set or something stands in its way.
func (d document) set(path string, value any) {
	at := d
	segments := strings.Split(path, ".")
	for _, s := range segments[:len(segments)-1] {
		next, ok := at[s].(document)
		if !ok {
			if at[s] != nil {
				return
			}
			next = document{}
			at[s] = next
		}
		at = next
	}
	if last := segments[len(segments)-1]; at[last] == nil {
		at[last] = value
	}
}

// setText sets a path to a text that is not empty.
func (d document) setText(path, text string) {
	if text != "" {
		d.set(path, text)
	}
}

// setTexts sets a path to a list that is not empty.
func (d document) setTexts(path string, list []string) {
	if len(list) > 0 {
		d.set(path, list)
	}
}

func timestamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (d document) event(a *Alert) {
	d.set("@timestamp", timestamp(a.Time))
	d.set("event.kind", "signal")
	d.set("event.category", []string{"intrusion_detection"})
	d.set("event.type", []string{"info"})
	d.set("event.dataset", "klaxon.alert")
	d.set("event.id", a.ID)
	d.set("event.start", timestamp(a.First))
	d.set("event.end", timestamp(a.Last))
	d.set("event.severity", int(a.Severity))
	d.set("event.risk_score", riskScore(a.Severity))
	d.setText("event.reason", a.Explanation)
	d.setText("message", a.Title)
	d.setTexts("tags", a.Rule.Tags)
}

func (d document) rule(r *Rule) {
	d.set("rule.id", r.ID)
	d.setText("rule.name", r.Title)
	d.setText("rule.version", r.Version)
	if r.Owner != "" {
		d.set("rule.author", []string{r.Owner})
	}
	if strings.HasPrefix(r.Runbook, "https://") || strings.HasPrefix(r.Runbook, "http://") {
		d.set("rule.reference", r.Runbook)
	}
}

// threat says what the tags attack.t1110.001 and attack.credential_access mean.
func (d document) threat(tags []string) {
	var techniques, subtechniques, ids, names []string
	for _, tag := range tags {
		word, ok := strings.CutPrefix(strings.ToLower(tag), "attack.")
		if !ok {
			continue
		}
		if technique, sub, ok := parseTechnique(word); ok {
			techniques = addOnce(techniques, technique)
			if sub != "" {
				subtechniques = addOnce(subtechniques, sub)
			}
			continue
		}
		if id, name, ok := tactic(word); ok {
			ids, names = append(ids, id), append(names, name)
		}
	}
	if len(techniques)+len(names) == 0 {
		return
	}
	d.set("threat.framework", "MITRE ATT&CK")
	d.setTexts("threat.technique.id", techniques)
	d.setTexts("threat.technique.subtechnique.id", subtechniques)
	d.setTexts("threat.tactic.id", ids)
	d.setTexts("threat.tactic.name", names)
}

// parseTechnique reads t1110 and t1110.001.
func parseTechnique(word string) (technique, sub string, ok bool) {
	id, rest, hasSub := strings.Cut(word, ".")
	if len(id) != 5 || id[0] != 't' || !digits(id[1:]) || hasSub && (len(rest) != 3 || !digits(rest)) {
		return "", "", false
	}
	id = strings.ToUpper(id)
	if hasSub {
		return id, id + "." + rest, true
	}
	return id, "", true
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// tactic is an enterprise tactic of MITRE ATT&CK by the word that tags use.
func tactic(word string) (id, name string, ok bool) {
	for _, t := range [...][3]string{
		{"reconnaissance", "TA0043", "Reconnaissance"}, {"resource_development", "TA0042", "Resource Development"},
		{"initial_access", "TA0001", "Initial Access"}, {"execution", "TA0002", "Execution"}, {"persistence", "TA0003", "Persistence"},
		{"privilege_escalation", "TA0004", "Privilege Escalation"}, {"defense_evasion", "TA0005", "Defense Evasion"},
		{"credential_access", "TA0006", "Credential Access"}, {"discovery", "TA0007", "Discovery"},
		{"lateral_movement", "TA0008", "Lateral Movement"}, {"collection", "TA0009", "Collection"},
		{"command_and_control", "TA0011", "Command and Control"}, {"exfiltration", "TA0010", "Exfiltration"}, {"impact", "TA0040", "Impact"},
	} {
		if strings.ReplaceAll(word, "-", "_") == t[0] {
			return t[1], t[2], true
		}
	}
	return "", "", false
}

// riskScore is the score that Elastic's own rules give the severity.
func riskScore(s Severity) int {
	if s < Low || s > Urgent {
		return 0
	}
	return [...]int{21, 47, 73, 99}[s-Low]
}

func (d document) kibana(a *Alert) {
	d.set("kibana.alert.uuid", a.ID)
	d.set("kibana.alert.severity", [...]string{"low", "medium", "high", "critical"}[min(max(a.Severity, Low), Urgent)-Low])
	d.set("kibana.alert.risk_score", riskScore(a.Severity))
	d.set("kibana.alert.workflow_status", "open")
	d.set("kibana.alert.original_time", timestamp(a.First))
	d.set("kibana.alert.start", timestamp(a.First))
	d.set("kibana.alert.rule.uuid", a.Rule.ID)
	d.setText("kibana.alert.rule.name", a.Rule.Title)
	d.setText("kibana.alert.reason", a.Explanation)
	ancestors := make([]document, len(a.Events))
	for i, e := range a.Events {
		ancestors[i] = document{"id": e.ID, "type": "event", "depth": 0}
	}
	d.set("kibana.alert.ancestors", ancestors)
}

func (d document) klaxon(a *Alert) {
	d.setText("klaxon.tenant", a.Tenant)
	d.set("klaxon.alert.id", a.ID)
	d.set("klaxon.alert.revision", a.Revision)
	d.set("klaxon.alert.final", a.Final)
	d.set("klaxon.alert.count", a.Count)
	d.set("klaxon.alert.severity", a.Severity.String())
	d.setText("klaxon.alert.mode", string(a.Rule.Mode))
	d.setText("klaxon.alert.incident", a.Incident)
	d.setText("klaxon.alert.degraded", a.Degraded)
	d.setText("klaxon.alert.runbook", a.Rule.Runbook)
	d.setTexts("klaxon.alert.controls", a.Rule.Controls)
	if len(a.Key) > 0 {
		d.set("klaxon.alert.key", a.Key)
	}
	if len(a.Fields) > 0 {
		d.set("klaxon.alert.fields", a.Fields)
	}
	events := make([]document, len(a.Events))
	for i, e := range a.Events {
		events[i] = document{"id": e.ID, "time": timestamp(e.Time)}
	}
	d.set("klaxon.alert.events", events)
}

// related collects addresses, users and hosts, as ECS asks for.
func (d document) related(fields []Field) {
	for _, f := range fields {
		leaf := f.Name[strings.LastIndexByte(f.Name, '.')+1:]
		for _, v := range f.Values {
			_, err := netip.ParseAddr(v)
			switch {
			case v == "":
			case err == nil:
				d.addRelated("ip", v)
			case strings.HasSuffix(f.Name, "user.name") || strings.HasSuffix(f.Name, "user.email") || strings.HasSuffix(f.Name, "user.id"):
				d.addRelated("user", v)
			case strings.HasSuffix(f.Name, "host.name") || leaf == "hostname" || leaf == "domain":
				d.addRelated("hosts", v)
			}
		}
	}
}

func (d document) addRelated(kind, value string) {
	related, ok := d["related"].(document)
	if !ok {
		related = document{}
		d["related"] = related
	}
	list, _ := related[kind].([]string)
	related[kind] = addOnce(list, value)
}

// isPath says that a key's name is a field's: subnet(…) is none.
func isPath(name string) bool {
	for segment := range strings.SplitSeq(name, ".") {
		if segment == "" || strings.ContainsFunc(segment, func(r rune) bool { return !strings.ContainsRune(pathRunes, r) }) {
			return false
		}
	}
	return true
}

const pathRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-@"
