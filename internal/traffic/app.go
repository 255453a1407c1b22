package traffic

import (
	"strconv"
	"time"
)

// act is one entry of the application's audit log.
type act struct {
	action, outcome, reason string
	who                     *person
	ip                      string
	target, targetID        string  // a kind of thing, and which
	user                    *person // the target, where it is somebody
	records                 int
	role                    string
}

// The actions of the application that rules know.
const (
	signIn      = "user.sign_in"
	mfaDisabled = "user.mfa_disabled"
	export      = "data.export"
	roleGranted = "role.granted"
)

var routineActs = [...]act{
	{action: "conversation.viewed", target: "conversation", targetID: "c-48213"},
	{action: "conversation.replied", target: "conversation", targetID: "c-48213"},
	{action: "contact.viewed", target: "contact", targetID: "p-9917"},
	{action: "contact.updated", target: "contact", targetID: "p-9917"},
	{action: signIn, target: "session"},
	{action: "user.sign_out", target: "session"},
	{action: "rule.updated", target: "automation", targetID: "r-12"},
	{action: "comment.created", target: "conversation", targetID: "c-10442"},
}

// work is what people do in the application all day.
func (g *Generator) work(t *tenant, at int64) Message {
	a := routineActs[min(g.rng.IntN(len(routineActs)), g.rng.IntN(len(routineActs)))]
	a.who = g.person(t)
	if g.chance(300) {
		a.ip = t.offices[g.rng.IntN(2)]
	} else {
		a.ip = g.visitor(t)
	}
	return g.app(t, &a, at)
}

// app is a message of the application's audit log.
func (g *Generator) app(t *tenant, a *act, at int64) Message {
	b := make([]byte, 0, 512)
	b = append(b, `{"time":"`...)
	b = g.opts.Start.Add(time.Duration(at)-time.Duration(g.rng.IntN(150))*time.Millisecond).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, `","id":"`...)
	b = g.appendUUID(b)
	b = append(b, '"')
	b = appendField(b, "action", a.action)
	outcome := a.outcome
	if outcome == "" {
		outcome = "success"
	}
	b = appendField(b, "outcome", outcome)
	if a.reason != "" {
		b = appendField(b, "reason", a.reason)
	}
	b = append(b, `,"actor":{"type":"user"`...)
	b = appendField(b, "id", a.who.id)
	b = appendField(b, "name", a.who.login)
	b = appendField(b, "email", a.who.email)
	b = append(b, '}')
	b = append(b, `,"target":{"type":`...)
	b = appendJSON(b, a.target)
	if a.targetID != "" {
		b = appendField(b, "id", a.targetID)
	}
	if a.user != nil {
		b = append(b, `,"user":{"id":`...)
		b = appendJSON(b, a.user.id)
		b = appendField(b, "name", a.user.login)
		b = append(b, '}')
	}
	b = append(b, '}')
	b = append(b, `,"source":{"ip":`...)
	b = appendJSON(b, a.ip)
	b = appendField(b, "user_agent", agents[g.rng.IntN(len(agents))])
	b = append(b, '}')
	if a.role != "" {
		b = append(b, `,"details":{"role":`...)
		b = appendJSON(b, a.role)
		b = append(b, '}')
	}
	if a.records > 0 {
		b = append(b, `,"details":{"records":`...)
		b = strconv.AppendInt(b, int64(a.records), 10)
		b = append(b, '}')
	}
	b = appendField(b, "tenant", t.name)
	b = appendField(b, "service", "inbox")
	b = append(b, '}')
	return g.message(t, TopicApp, a.who.key, b, at)
}
