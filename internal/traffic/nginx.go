package traffic

import (
	"strconv"
	"time"
)

// request is one line of an access log.
type request struct {
	ip, forwarded string // forwarded is what X-Forwarded-For held
	user          string
	method, path  string
	status        int
	referrer      string
	agent         string
}

type page struct {
	method, path string
	status       int
	bytes        int
}

// What visitors ask for: the first half more often than the second.
var pages = [...]page{
	{"GET", "/", 200, 9120}, {"GET", "/assets/app.7f3c1.js", 200, 184220}, {"GET", "/assets/app.7f3c1.css", 200, 40112}, {"GET", "/api/v2/inbox?page=1", 200, 5310},
	{"GET", "/api/v2/conversations/48213", 200, 2811}, {"POST", "/api/v2/conversations/48213/replies", 201, 412}, {"GET", "/api/v2/me", 200, 640}, {"GET", "/favicon.ico", 304, 0},
	{"GET", "/pricing", 200, 12044}, {"GET", "/login", 200, 4410}, {"POST", "/login", 302, 0}, {"GET", "/docs/getting-started", 200, 20311},
	{"GET", "/robots.txt", 200, 118}, {"GET", "/old-campaign", 404, 153}, {"PUT", "/api/v2/me/settings", 200, 91}, {"GET", "/search?q=refund%20policy", 200, 7719},
	{"GET", "/api/v2/reports/weekly.csv", 200, 88112}, {"DELETE", "/api/v2/drafts/991", 204, 0}, {"GET", "/assets/../assets/logo.svg", 200, 3312}, {"GET", "/.well-known/security.txt", 200, 311},
	{"GET", "/docs/env-files-explained", 200, 15002}, {"POST", "/api/v2/attachments", 413, 176}, {"GET", "/api/v2/inbox?page=400", 500, 176}, {"GET", "/blog/what-is-etc-passwd", 200, 17200},
}

var agents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
	"okhttp/5.1.0",
	"python-requests/2.32.5",
}

const (
	crawlerAgent = "Mozilla/5.0 (compatible; Examplebot/2.1; +https://bot.example/about)"
	probeAgent   = "ExampleCDN-HealthCheck/1.4"
)

// visit is a request of somebody out there.
func (g *Generator) visit(t *tenant, at int64) Message {
	p := &pages[min(g.rng.IntN(len(pages)), g.rng.IntN(len(pages)))]
	r := request{method: p.method, path: p.path, status: p.status, referrer: "-", agent: agents[g.rng.IntN(len(agents))]}
	var visitor [40]byte
	addr := g.appendVisitor(visitor[:0], t)
	var chain [64]byte
	switch {
	case g.chance(60): // through the load balancer, which writes down who asked
		r.ip, r.forwarded = balancer(t), string(append(chain[:0], addr...))
	case g.chance(5): // and through somebody's own proxy before that
		r.ip, r.forwarded = balancer(t), string(append(append(chain[:0], "192.168.4.20, "...), addr...))
	default:
		r.ip = string(addr)
	}
	return g.nginx(t, &r, at)
}

// balancer is a load balancer of the tenant's own.
func balancer(t *tenant) string { return "10." + t.account[:1] + ".0.5" }

// nginx is an access log's message. Some servers send theirs through syslog.
func (g *Generator) nginx(t *tenant, r *request, at int64) Message {
	n := g.rng.IntN(len(t.web))
	then := g.opts.Start.Add(time.Duration(at) - time.Duration(g.rng.IntN(300))*time.Millisecond).UTC()
	b := make([]byte, 0, 320)
	if n == 0 {
		b = append(b, "<190>"...)
		b = then.AppendFormat(b, time.Stamp)
		b = append(b, ' ')
		b = append(b, t.web[n]...)
		b = append(b, " nginx: "...)
	}
	b = append(b, r.ip...)
	b = append(b, " - "...)
	b = orDash(b, r.user)
	b = append(b, " ["...)
	b = then.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.path...)
	b = append(b, ` HTTP/1.1" `...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(g.rng.IntN(20_000)), 10)
	b = append(b, ` "`...)
	b = orDash(b, r.referrer)
	b = append(b, `" "`...)
	b = append(b, r.agent...)
	b = append(b, `" "`...)
	b = orDash(b, r.forwarded)
	b = append(b, '"')
	return g.message(t, TopicNginx, t.webKeys[n], b, at)
}

func orDash(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return append(b, s...)
}
