package traffic

import (
	"strconv"
	"time"
)

// mail is one message that the gateway has scanned. Symbols are what it found.
type mail struct {
	ip, user, action string
	from, shown, to  string // shown is the header, with a name
	subject          string
	symbols          []string
	score            float64
}

var mailSubjects = [...]string{"Re: your order", "Weekly report", "Invoice 4711", "Lunch?", "\"Quoted\" news", "Welcome aboard"}

// correspond is a message of the many: from partners and lists, to them, and the spam that is refused.
func (g *Generator) correspond(t *tenant, at int64) Message {
	to := g.person(t).email
	m := mail{ip: g.visitor(t), action: "no action", from: "bounce@lists.example", shown: `"Weekly News" <news@lists.example>`, to: to,
		subject: mailSubjects[g.rng.IntN(len(mailSubjects))], symbols: []string{"R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW"}, score: -2.1}
	switch g.rng.IntN(4) {
	case 0: // a colleague, signed in
		who := g.person(t)
		m.ip, m.user, m.from, m.shown, m.symbols = t.offices[0], who.login, who.email, who.login+" <"+who.email+">", []string{"MIME_GOOD"}
	case 1: // what the gateway refuses
		m.action, m.from, m.shown, m.score = "reject", "x@spam.example", `"`+to+`" <`+to+`>`, 18.5
		m.symbols = []string{"R_SPF_FAIL", "DMARC_POLICY_REJECT", "MIME_DOUBLE_BAD_EXTENSION"}
	case 2: // a service that sends in the domain's name, signed
		m.from, m.shown, m.symbols = "noreply@mailer.example", "Support <support@"+t.domain+">", []string{"R_SPF_FAIL", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW"}
	}
	return g.mail(t, &m, at)
}

// mail is a record of the gateway's.
func (g *Generator) mail(t *tenant, m *mail, at int64) Message {
	b := make([]byte, 0, 700)
	b = append(b, `{"timestamp":`...)
	b = strconv.AppendInt(b, g.opts.Start.Add(time.Duration(at)-time.Duration(g.rng.IntN(500))*time.Millisecond).Unix(), 10)
	b = append(b, `,"uid":"`...)
	b = g.appendHex(b, 6)
	b = append(b, `","qid":"`...)
	b = g.appendHex(b, 10)
	b = append(b, '"')
	user := m.user
	if user == "" {
		user = "unknown"
	}
	for _, f := range [...][2]string{{"ip", m.ip}, {"user", user}, {"action", m.action}, {"from", m.from}} {
		b = appendField(b, f[0], f[1])
	}
	b = append(b, `,"score":`...)
	b = strconv.AppendFloat(b, m.score, 'f', 1, 64)
	for _, f := range [...][2]string{{"rcpt", m.to}, {"header_from", m.shown}, {"header_subject", m.subject}} {
		b = append(b, `,"`...)
		b = append(b, f[0]...)
		b = append(b, `":[`...)
		b = appendJSON(b, f[1])
		b = append(b, ']')
	}
	b = append(b, `,"symbols":[`...)
	for i, s := range m.symbols {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendJSON(b, s)
		b = append(b, '}')
	}
	b = append(b, `]}`...)
	return g.message(t, TopicMail, t.webKeys[0], b, at)
}

// spoof is a stranger who writes in the name of somebody at the top.
func spoof(g *Generator, t *tenant) script {
	boss := g.admin(t).email
	m := mail{ip: g.hostile(), action: "add header", from: "x@mail.evil.example", shown: `"The boss" <` + boss + `>`, to: g.person(t).email, subject: "Quick and confidential",
		symbols: []string{"R_SPF_ALLOW", "DMARC_POLICY_SOFTFAIL"}, score: 6.3}
	return script{Attack: Attack{Name: "mail in somebody else's name", Rule: "mail-spoofed-domain", Key: map[string]string{"email.from.address": boss}},
		steps: []func(int64) Message{func(at int64) Message { return g.mail(t, &m, at) }}}
}
