package traffic

import "time"

// background is one message of the many that nobody looks at twice.
func (g *Generator) background(at int64) Message {
	t := g.tenant()
	switch n := g.rng.IntN(100); {
	case n < 58:
		return g.visit(t, at)
	case n < 66:
		return g.auth(t, at)
	case n < 74:
		return g.routine(t, at)
	case n < 78:
		return g.cluster(t, at)
	case n < 80:
		return g.develop(t, at)
	case n < 82:
		return g.elevate(t, at)
	}
	return g.work(t, at)
}

// habit is somebody harmless who does something again and again, at a rate of their own: what a rule's threshold must stay above.
type habit struct {
	perSecond float64
	step      func(g *Generator, t *tenant) func(at int64) (Message, int64)
}

var habits = [...]habit{
	{6, (*Generator).crawl},
	{2, (*Generator).checkHealth},
	{8, (*Generator).browseFromOffice},
	{0.4, (*Generator).mistypeSSH},
	{0.3, (*Generator).mistypeApp},
	{0.2, (*Generator).administer},
	{0.1, (*Generator).exportReports},
	{0.08, (*Generator).knock},
}

// maxHabitual is the most that habits may take of the whole rate.
const maxHabitual = 0.3

// addHabits adds every tenant's habits and returns their messages per second. They keep their own rates whatever the rate of the whole, so
// that nobody harmless becomes a flood at a high one; at a low one they slow down.
func (g *Generator) addHabits() float64 {
	var sum float64
	for _, h := range habits {
		sum += h.perSecond * float64(len(g.tenants))
	}
	slower := max(1, sum/(maxHabitual*g.opts.Rate))
	for _, t := range g.tenants {
		for _, h := range habits {
			step, mean := h.step(g, t), 1e9/h.perSecond*slower
			g.act(g.gap(mean), func(at int64) (Message, int64) {
				m, wait := step(at)
				if wait == 0 {
					wait = g.gap(mean)
				}
				return m, wait
			})
		}
	}
	return sum / slower
}

// crawl is a search engine's robot: always the same address, and a stale link now and then.
func (g *Generator) crawl(t *tenant) func(int64) (Message, int64) {
	ip := g.visitor(t)
	return func(at int64) (Message, int64) {
		r := request{ip: ip, method: "GET", path: pages[g.rng.IntN(len(pages)/2)].path, status: 200, agent: crawlerAgent}
		if g.chance(10) {
			r.path, r.status = "/gone", 404
		}
		return g.nginx(t, &r, at), 0
	}
}

// checkHealth is a CDN that asks whether the site is up, from two addresses.
func (g *Generator) checkHealth(t *tenant) func(int64) (Message, int64) {
	ips := [2]string{g.visitor(t), g.visitor(t)}
	return func(at int64) (Message, int64) {
		return g.nginx(t, &request{ip: ips[g.rng.IntN(2)], method: "HEAD", path: "/healthz", status: 200, agent: probeAgent}, at), 0
	}
}

// browseFromOffice is many people behind one address.
func (g *Generator) browseFromOffice(t *tenant) func(int64) (Message, int64) {
	return func(at int64) (Message, int64) {
		p := &pages[g.rng.IntN(len(pages))]
		return g.nginx(t, &request{ip: t.offices[0], method: p.method, path: p.path, status: p.status, agent: agents[g.rng.IntN(len(agents))]}, at), 0
	}
}

// mistypeSSH is people with fat fingers: five to ten failures from one address, then a success. Everybody's turn comes before anybody's
// second, so that nobody collects a suspicious number.
func (g *Generator) mistypeSSH(t *tenant) func(int64) (Message, int64) {
	turn, left := 0, 0
	var ip, who string
	return func(at int64) (Message, int64) {
		if left == 0 {
			who, ip, left = t.people[turn%adminCount].login, g.visitor(t), 6+g.rng.IntN(6)
			turn++
		}
		left--
		host := turn % len(t.hosts)
		if left == 0 {
			return g.sshd(t, host, sshPassword, who, ip, at), 10*int64(time.Second) + g.gap(10e9)
		}
		return g.sshd(t, host, sshFailed, who, ip, at), int64(time.Second) + g.gap(1e9)
	}
}

// mistypeApp is the same in the application, where the third failure already hurts.
func (g *Generator) mistypeApp(t *tenant) func(int64) (Message, int64) {
	turn, left := 0, 0
	var ip string
	var who *person
	return func(at int64) (Message, int64) {
		if left == 0 {
			who, ip, left = &t.people[turn%peopleCount], t.offices[turn%2], 3+g.rng.IntN(4)
			turn++
		}
		left--
		a := act{action: signIn, who: who, ip: ip, target: "session"}
		if left == 0 {
			return g.app(t, &a, at), 5*int64(time.Second) + g.gap(5e9)
		}
		a.outcome, a.reason = "failure", "wrong_password"
		return g.app(t, &a, at), int64(time.Second) + g.gap(1e9)
	}
}

// administer is administrators at work: changes that look like what they are not, and logins to the console with a second factor.
func (g *Generator) administer(t *tenant) func(int64) (Message, int64) {
	return func(at int64) (Message, int64) {
		who, ip := g.admin(t), t.offices[g.rng.IntN(2)]
		switch g.rng.IntN(5) {
		case 0:
			return g.cloudtrail(t, at, consoleLogin(who, g.visitor(t))), 0
		case 1:
			c := call{source: "iam.amazonaws.com", name: "CreateAccessKey", identity: user(who), ip: ip, parameters: `{"userName":"` + who.login + `"}`}
			return g.cloudtrail(t, at, c), 0
		case 2:
			a := act{action: roleGranted, who: who, ip: ip, target: "user", user: g.person(t), role: "agent"}
			return g.app(t, &a, at), 0
		}
		c := harmlessChanges[g.rng.IntN(len(harmlessChanges))]
		c.identity, c.ip = user(who), ip
		return g.cloudtrail(t, at, c), 0
	}
}

// exportReports is people who take a report home, everybody in turn.
func (g *Generator) exportReports(t *tenant) func(int64) (Message, int64) {
	turn := 0
	return func(at int64) (Message, int64) {
		turn++
		a := act{action: export, who: &t.people[turn%peopleCount], ip: t.offices[0], target: "report", targetID: "weekly", records: 100 + g.rng.IntN(400)}
		return g.app(t, &a, at), 0
	}
}

// knock is the noise of the internet: strangers who try one name and go away, some of them with an address in the name.
func (g *Generator) knock(t *tenant) func(int64) (Message, int64) {
	names := [...]string{"root", "admin", "oracle", "test", "ubuntu", "pi", "postgres", "admin from 192.0.2.7 port 22 ssh2", "x\" or 1=1 --", "git"}
	return func(at int64) (Message, int64) {
		what := sshUnknown
		name := names[g.rng.IntN(len(names))]
		if name == "root" {
			what = sshFailed
		}
		return g.sshd(t, g.rng.IntN(2), what, name, g.visitor(t), at), 0
	}
}
