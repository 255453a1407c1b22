package traffic

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Attack is something that was hidden in the traffic and must be found.
type Attack struct {
	// Name says what it is, in a few words.
	Name string
	// Rule is the id of the shipped rule that must see it; Also is rules that may, since one act can break several.
	Rule   string
	Also   []string
	Tenant string
	// Key is the values of the fields that the alert is about, by name.
	Key map[string]string
	// From and To are the times of its first and last message.
	From, To time.Time
}

// Explains says whether an alert of a rule, about a tenant and a key, is this attack's: the tenant and every field that both have are the
// same, and at least one field is.
func (a *Attack) Explains(tenant, rule string, key map[string]string) bool {
	if tenant != a.Tenant || rule != a.Rule && !slices.Contains(a.Also, rule) {
		return false
	}
	shared := 0
	for name, value := range key {
		if want, ok := a.Key[name]; ok {
			if want != value {
				return false
			}
			shared++
		}
	}
	return shared > 0
}

// Planted is every attack of the whole duration, by the time of its beginning. Those that begin after the last message that was asked for
// have not happened.
func (g *Generator) Planted() []Attack {
	out := slices.Clone(g.planted)
	slices.SortStableFunc(out, func(a, b Attack) int { return a.From.Compare(b.From) })
	for i := range out {
		out[i].Key = maps.Clone(out[i].Key)
	}
	return out
}

// Attacks come in rounds, so that whoever watches for an hour does not wait for the one that was planned into it.
const (
	roundLength = 2 * time.Minute
	maxRounds   = 30
)

// script is an attack before it has a place in time: messages, and how long it takes if there is time.
type script struct {
	Attack
	takes time.Duration
	steps []func(at int64) Message
}

// plan puts every attack into every round, each against the next tenant.
func (g *Generator) plan() {
	rounds := min(max(int64(g.opts.Duration/roundLength), 1), maxRounds)
	length := int64(g.opts.Duration) / rounds
	makers := [...]func(*Generator, *tenant) script{
		guessPasswords, flood, signInEmbargoed, consoleEmbargoed, proxyEmbargoed, escalate, silenceAudit, disableMFA, exportAll, takeCluster, unprotect, silenceHost, probePaths,
	}
	for r := range rounds {
		for i, makeScript := range makers {
			t := g.tenants[(int(r)+i)%len(g.tenants)]
			slot := (length*75/100 - length/10) / int64(len(makers))
			from := r*length + length/10 + int64(i)*slot
			g.place(makeScript(g, t), t, from, r*length+length*75/100)
		}
	}
}

// place spreads a script's messages evenly over the time that it takes, or that is left.
func (g *Generator) place(s script, t *tenant, from, end int64) {
	takes := min(int64(s.takes), end-from)
	wait := takes / int64(max(len(s.steps), 1))
	s.Tenant = t.name
	s.From = g.opts.Start.Add(time.Duration(from))
	s.To = s.From.Add(time.Duration(wait * int64(len(s.steps)-1)))
	g.planted = append(g.planted, s.Attack)
	i := 0
	g.act(from, func(at int64) (Message, int64) {
		m := s.steps[i](at)
		if i++; i == len(s.steps) {
			return m, -1
		}
		return m, wait
	})
}

// guessPasswords is one address that tries names and passwords until it is in.
func guessPasswords(g *Generator, t *tenant) script {
	ip, host := g.hostile(), g.rng.IntN(len(t.hosts))
	names := [...]string{"root", "admin", "ubuntu", "deploy", "postgres", "jenkins"}
	s := script{Attack: Attack{Name: "password guessing that succeeds", Rule: "ssh-bruteforce", Key: map[string]string{"source.ip": ip}}, takes: 20 * time.Second}
	for i := range 32 {
		what := sshUnknown
		if i%2 == 1 {
			what = sshFailed
		}
		s.steps = append(s.steps, func(at int64) Message { return g.sshd(t, host, what, names[i%len(names)], ip, at) })
	}
	s.steps = append(s.steps, func(at int64) Message { return g.sshd(t, host, sshPassword, "deploy", ip, at) })
	return s
}

// flood is one address that asks for the same expensive page as fast as it can.
func flood(g *Generator, t *tenant) script {
	ip := g.hostile()
	s := script{Attack: Attack{Name: "request flood", Rule: "web-request-flood", Key: map[string]string{"source.ip": ip}}, takes: 8 * time.Second}
	for i := range 1500 {
		s.steps = append(s.steps, func(at int64) Message {
			r := request{ip: ip, method: "GET", path: fmt.Sprintf("/search?q=%x", i*7919), status: 200, agent: agents[3]}
			if i > 1200 {
				r.status = 503
			}
			return g.nginx(t, &r, at)
		})
	}
	return s
}

// probePaths is a scanner that looks for files that somebody forgot.
func probePaths(g *Generator, t *tenant) script {
	ip := g.hostile()
	paths := [...]string{"/.env", "/.git/config", "/wp-login.php", "/../../../../etc/passwd", "/phpmyadmin/", "/backup.zip", "/.aws/credentials", "/server-status"}
	s := script{Attack: Attack{Name: "probing for secrets on a web server", Rule: "web-path-probing", Also: []string{"web-scanner"}, Key: map[string]string{"source.ip": ip}}, takes: 10 * time.Second}
	for i := range 160 {
		s.steps = append(s.steps, func(at int64) Message {
			path := paths[i%len(paths)]
			if i >= len(paths) {
				path += fmt.Sprintf("?v=%d", i)
			}
			return g.nginx(t, &request{ip: ip, method: "GET", path: path, status: 404, agent: agents[5]}, at)
		})
	}
	return s
}

// signInEmbargoed is somebody in an embargoed country who signs in to the application.
func signInEmbargoed(g *Generator, t *tenant) script {
	ip, who := g.embargoed(false), g.person(t)
	a := act{action: signIn, who: who, ip: ip, target: "session"}
	return script{Attack: Attack{Name: "sign-in from an embargoed country, IPv4", Rule: "app-embargoed-sign-in", Key: map[string]string{"source.ip": ip, "user.name": who.login}},
		steps: []func(int64) Message{func(at int64) Message { return g.app(t, &a, at) }}}
}

// consoleEmbargoed is the same at the cloud console, over IPv6.
func consoleEmbargoed(g *Generator, t *tenant) script {
	ip, who := canonical(g.embargoed(true)), g.admin(t)
	return script{Attack: Attack{Name: "sign-in from an embargoed country, IPv6", Rule: "cloudtrail-embargoed-console-login", Key: map[string]string{"source.ip": ip, "user.name": who.login}},
		steps: []func(int64) Message{func(at int64) Message { return g.cloudtrail(t, at, consoleLogin(who, ip)) }}}
}

// proxyEmbargoed is the same at the web site, where only the load balancer's header tells.
func proxyEmbargoed(g *Generator, t *tenant) script {
	ip := g.embargoed(false)
	ask := func(method, path string, status int) func(int64) Message {
		r := request{ip: balancer(t), forwarded: ip, method: method, path: path, status: status, agent: agents[2]}
		return func(at int64) Message { return g.nginx(t, &r, at) }
	}
	return script{Attack: Attack{Name: "sign-in from an embargoed country behind a proxy", Rule: "web-embargoed-sign-in", Key: map[string]string{"client.ip": ip}}, takes: 3 * time.Second,
		steps: []func(int64) Message{ask("GET", "/login", 200), ask("POST", "/login", 302), ask("GET", "/api/v2/inbox?page=1", 200)}}
}

// escalate is a build role that looks around and then makes a user an administrator.
func escalate(g *Generator, t *tenant) script {
	who := role("ci-build", "build-"+string(g.appendHex(nil, 6)))
	ip := g.hostile()
	do := func(c call) func(int64) Message {
		c.identity, c.ip = who, ip
		return func(at int64) Message { return g.cloudtrail(t, at, c) }
	}
	return script{Attack: Attack{Name: "privilege escalation in the cloud account", Rule: "cloudtrail-admin-policy-attached", Key: map[string]string{
		"cloud.account.id": t.account, "user.name": who.name}}, takes: 6 * time.Second,
		steps: []func(int64) Message{
			do(call{source: "sts.amazonaws.com", name: "GetCallerIdentity", readOnly: true}),
			do(call{source: "iam.amazonaws.com", name: "ListUsers", readOnly: true}),
			do(call{source: "iam.amazonaws.com", name: "AttachUserPolicy", parameters: `{"userName":"reporting","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}`}),
		}}
}

// silenceAudit is an administrator, or whoever holds the keys of one, who switches the trail off and removes it.
func silenceAudit(g *Generator, t *tenant) script {
	who, ip := g.admin(t), g.hostile()
	trail := `{"name":"arn:aws:cloudtrail:` + t.region + `:` + t.account + `:trail/org-trail"}`
	do := func(name string) func(int64) Message {
		c := call{source: "cloudtrail.amazonaws.com", name: name, identity: user(who), ip: ip, parameters: trail}
		return func(at int64) Message { return g.cloudtrail(t, at, c) }
	}
	return script{Attack: Attack{Name: "audit logging switched off", Rule: "cloudtrail-logging-disabled", Key: map[string]string{
		"cloud.account.id": t.account, "user.name": who.login}}, takes: 5 * time.Second,
		steps: []func(int64) Message{do("StopLogging"), do("DeleteTrail")}}
}

// disableMFA is a stolen session that takes the second factor away.
func disableMFA(g *Generator, t *tenant) script {
	who := g.person(t)
	a := act{action: mfaDisabled, who: who, ip: g.hostile(), target: "user", user: who}
	return script{Attack: Attack{Name: "second factor switched off", Rule: "app-mfa-disabled", Key: map[string]string{"user.name": who.login}},
		steps: []func(int64) Message{func(at int64) Message { return g.app(t, &a, at) }}}
}

// exportAll is one account that takes everything it can reach.
func exportAll(g *Generator, t *tenant) script {
	who, ip := g.person(t), g.hostile()
	s := script{Attack: Attack{Name: "mass export of customer data", Rule: "app-mass-export", Key: map[string]string{"user.name": who.login}}, takes: 12 * time.Second}
	for i := range 30 {
		a := act{action: export, who: who, ip: ip, target: "contacts", targetID: fmt.Sprintf("segment-%d", i), records: 5000}
		s.steps = append(s.steps, func(at int64) Message { return g.app(t, &a, at) })
	}
	return s
}
