package bench

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// Regular expressions, compiled once.
var (
	syslogLine = regexp.MustCompile(`(?s)^<(\d{1,3})>(?:1 (\S+) (\S+) (\S+) (\S+) (\S+) (?:-|\[.*?\]) |([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: )(.*)$`)
	accessLine = regexp.MustCompile(`^(\S+) - (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"(?: "((?:[^"\\]|\\.)*)")?)?$`)
	request    = regexp.MustCompile(`^(\S+) (.*) HTTP/(\S+)$`)
	arn        = regexp.MustCompile(`^.*?:(?:assumed-role/([^/]+)/(.*)|user/(?:.*/)?([^/]*))$`)
)

type sshPattern struct {
	re     *regexp.Regexp
	fields []string  // of the groups: method, name, address, port, signature
	set    [4]string // action, category, type, outcome
}

// sshPatterns are tried one after the other.
var sshPatterns = []sshPattern{
	{regexp.MustCompile(`^Accepted (\S+) for (.*) from (\S+) port (\d+)(?: ssh2)?(?:: \S+ (\S+))?$`), []string{"method", "name", "address", "port", "signature"}, [4]string{"ssh_login", "authentication", "start", "success"}},
	{regexp.MustCompile(`^Failed (\S+) for (?:invalid user )?(.*) from (\S+) port (\d+)(?: ssh2)?$`), []string{"method", "name", "address", "port"}, [4]string{"ssh_login", "authentication", "start", "failure"}},
	{regexp.MustCompile(`^Invalid user (.*) from (\S+)(?: port (\d+))?$`), []string{"name", "address", "port"}, [4]string{"ssh_invalid_user", "authentication", "info", "failure"}},
	{regexp.MustCompile(`^pam_unix\(sshd:session\): session opened for user (.*)\(uid=(\d+)\) by \(uid=\d+\)$`), []string{"name", "id"}, [4]string{"session_opened", "session", "start", "success"}},
	{regexp.MustCompile(`^pam_unix\(sshd:session\): session closed for user (.*)$`), []string{"name"}, [4]string{"session_closed", "session", "end", "success"}},
	{regexp.MustCompile(`^Received disconnect from (\S+) port (\d+):(\d+): (.*)$`), []string{"address", "port", "code", "reason"}, [4]string{"ssh_disconnect", "session", "end", ""}},
}

// header reads a syslog header, where there is one, into a document; then is what it says the time is.
func header(line string, received time.Time) (doc object, body string, then time.Time) {
	doc = object{"event": object{}}
	m := syslogLine.FindStringSubmatch(line)
	if m == nil {
		return doc, line, then
	}
	priority, _ := strconv.Atoi(m[1])
	syslog := object{"priority": priority, "facility": object{"code": priority / 8},
		"severity": object{"code": priority % 8, "name": [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"}[priority%8]}}
	host, program, pid := m[8], m[9], m[10]
	if m[2] != "" {
		host, program, pid = m[3], m[4], m[5]
		syslog["version"] = "1"
		then, _ = time.Parse(time.RFC3339Nano, m[2])
	} else {
		then, _ = time.Parse(time.Stamp, m[7])
		then = then.AddDate(received.Year(), 0, 0)
	}
	syslog["appname"] = program
	process := object{"name": program}
	if n, err := strconv.Atoi(pid); err == nil {
		process["pid"] = n
		syslog["procid"] = pid
	}
	doc["log"] = object{"syslog": syslog}
	doc["process"] = process
	doc["host"] = object{"hostname": host, "name": host}
	return doc, m[11], then
}

func misfit(doc object, body string) object {
	doc["event"].(object)["kind"] = "pipeline_error"
	doc["message"] = body
	doc["error"] = object{"message": "no pattern of the dataset fits"}
	return doc
}

func address(text string) object {
	out := object{"address": text}
	if a, err := netip.ParseAddr(text); err == nil {
		out["ip"] = a.String()
	}
	return out
}

func nginxDocument(r *event.Record) object {
	doc, body, _ := header(string(r.Value), time.UnixMilli(r.Time).UTC())
	e := doc["event"].(object)
	e["dataset"] = "nginx.access"
	m := accessLine.FindStringSubmatch(body)
	if m == nil {
		return misfit(doc, body)
	}
	then, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[3])
	if err != nil {
		return misfit(doc, body)
	}
	doc["@timestamp"] = stamp(then)
	source := address(m[1])
	doc["source"] = source
	if m[2] != "-" {
		doc["user"] = object{"name": m[2]}
	}
	status, _ := strconv.Atoi(m[5])
	size, _ := strconv.Atoi(m[6])
	http := object{"response": object{"status_code": status, "body": object{"bytes": size}}}
	doc["http"] = http
	asked := object{}
	if m[7] != "" && m[7] != "-" {
		asked["referrer"] = m[7]
	}
	if m[8] != "" && m[8] != "-" {
		doc["user_agent"] = object{"original": m[8]}
	}
	if q := request.FindStringSubmatch(m[4]); q != nil {
		asked["method"], http["version"] = q[1], q[3]
		url := object{"original": q[2]}
		if path, query, more := strings.Cut(q[2], "?"); strings.HasPrefix(path, "/") {
			url["path"] = path
			if more {
				url["query"] = query
			}
		}
		doc["url"] = url
	} else {
		doc["url"] = object{"original": m[4]}
		doc["tags"] = []string{"malformed_request"}
	}
	if len(asked) > 0 {
		http["request"] = asked
	}
	forward(doc, source, m[9])
	e["category"], e["type"], e["outcome"] = []string{"web"}, []string{"access"}, "success"
	if status >= 400 {
		e["outcome"] = "failure"
	}
	return doc
}

// forward adds whom a proxy says that it forwarded for: the first from the right that is no proxy itself.
func forward(doc, source object, list string) {
	if list == "" || list == "-" {
		return
	}
	var hops []string
	for _, hop := range strings.Split(list, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(hop)); err == nil {
			hops = append(hops, a.String())
		}
	}
	if len(hops) == 0 {
		return
	}
	doc["network"] = object{"forwarded_ip": hops}
	if len(hops) == 1 {
		doc["network"] = object{"forwarded_ip": hops[0]}
	}
	client, _ := source["ip"].(string)
	for i := len(hops) - 1; i >= 0; i-- {
		if a, err := netip.ParseAddr(client); err != nil || !a.IsPrivate() {
			break
		}
		client = hops[i]
	}
	doc["client"] = object{"ip": client}
	relate(doc, "ip", client)
	for _, hop := range hops {
		relate(doc, "ip", hop)
	}
}

func sshDocument(r *event.Record) object {
	doc, body, then := header(string(r.Value), time.UnixMilli(r.Time).UTC())
	e := doc["event"].(object)
	e["dataset"] = "system.auth"
	if !then.IsZero() {
		doc["@timestamp"] = stamp(then)
	}
	doc["message"] = body
	for _, p := range sshPatterns {
		m := p.re.FindStringSubmatch(body)
		if m == nil {
			continue
		}
		e["action"], e["category"], e["type"] = p.set[0], []string{p.set[1]}, []string{p.set[2]}
		if p.set[3] != "" {
			e["outcome"] = p.set[3]
		}
		ssh, source, user := object{}, object{}, object{}
		for i, name := range p.fields {
			value := m[i+1]
			switch {
			case value == "":
			case name == "method", name == "signature":
				ssh[name] = value
			case name == "name", name == "id":
				user[name] = value
			case name == "address":
				for k, v := range address(value) {
					source[k] = v
				}
			case name == "port":
				source["port"], _ = strconv.Atoi(value)
			default:
				e[name] = value
			}
		}
		if len(ssh) > 0 {
			doc["system"] = object{"auth": object{"ssh": ssh}}
		}
		if len(source) > 0 {
			doc["source"] = source
		}
		if len(user) > 0 {
			doc["user"] = user
		}
		return doc
	}
	return misfit(doc, body)
}

func text(o object, names ...string) string {
	for _, name := range names {
		if s, ok := o[name].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

func sub(o object, name string) object {
	in, _ := o[name].(object)
	return in
}

func put(o object, name, value string) {
	if value != "" {
		o[name] = value
	}
}

func appDocument(in object) object {
	actor, target, from := sub(in, "actor"), sub(in, "target"), sub(in, "source")
	action := text(in, "action")
	e := object{"dataset": "app.audit", "action": action}
	put(e, "id", text(in, "id"))
	put(e, "reason", text(in, "reason"))
	put(e, "provider", text(in, "service"))
	switch text(in, "outcome") {
	case "success", "ok", "allowed", "granted", "true":
		e["outcome"] = "success"
	case "failure", "failed", "error", "denied", "refused", "false":
		e["outcome"] = "failure"
	default:
		e["outcome"] = "unknown"
	}
	category, kind := "api", "info"
	switch {
	case strings.HasPrefix(action, "user.login"), strings.HasPrefix(action, "user.sign_in"), strings.HasPrefix(action, "login"), strings.HasPrefix(action, "sign_in"):
		category, kind = "authentication", "start"
	case strings.HasPrefix(action, "user.logout"), strings.HasPrefix(action, "logout"):
		category, kind = "authentication", "end"
	case strings.HasPrefix(action, "auth."):
		category, kind = "authentication", "info"
	case strings.HasPrefix(action, "user."):
		category, kind = "iam", "user"
	case strings.HasPrefix(action, "role."), strings.HasPrefix(action, "permission."):
		category, kind = "iam", "admin"
	case strings.HasPrefix(action, "group."):
		category, kind = "iam", "group"
	case strings.HasPrefix(action, "config."), strings.HasPrefix(action, "settings."), strings.HasPrefix(action, "audit."):
		category, kind = "configuration", "change"
	}
	e["category"], e["type"] = []string{category}, []string{kind}
	user := object{}
	put(user, "id", text(actor, "id"))
	put(user, "name", text(actor, "name", "id"))
	put(user, "email", text(actor, "email"))
	if t := sub(target, "user"); t != nil {
		other := object{}
		put(other, "id", text(t, "id"))
		put(other, "name", text(t, "name"))
		user["target"] = other
	}
	doc := object{"event": e, "user": user, "app": object{"audit": in}}
	if s := text(in, "service"); s != "" {
		doc["service"] = object{"name": s}
	}
	if s := text(from, "ip"); s != "" {
		doc["source"] = address(s)
	}
	if s := text(from, "user_agent"); s != "" {
		doc["user_agent"] = object{"original": s}
	}
	if s := text(in, "tenant"); s != "" {
		doc["organization"] = object{"id": s}
	}
	if then, err := time.Parse(time.RFC3339Nano, text(in, "time")); err == nil {
		doc["@timestamp"] = stamp(then)
	}
	return doc
}

var awsCategories = map[string]string{"signin.amazonaws.com": "authentication", "sts.amazonaws.com": "authentication", "iam.amazonaws.com": "iam",
	"cloudtrail.amazonaws.com": "configuration", "kms.amazonaws.com": "configuration", "ec2.amazonaws.com": "host", "dynamodb.amazonaws.com": "database",
	"s3.amazonaws.com": "file"}

var awsTypes = []struct {
	prefix string
	kinds  []string
}{{"CreateUser", []string{"user", "creation"}}, {"DeleteUser", []string{"user", "deletion"}}, {"Create", []string{"creation"}}, {"Run", []string{"start"}},
	{"Start", []string{"start"}}, {"Stop", []string{"end"}}, {"Terminate", []string{"end", "deletion"}}, {"Delete", []string{"deletion"}},
	{"Get", []string{"access"}}, {"List", []string{"access"}}, {"Describe", []string{"access"}}, {"Put", []string{"change"}}, {"Update", []string{"change"}},
	{"Modify", []string{"change"}}, {"Attach", []string{"change"}}, {"Detach", []string{"change"}}, {"Set", []string{"change"}}, {"Add", []string{"change"}},
	{"Remove", []string{"change"}}, {"Authorize", []string{"change"}}, {"Revoke", []string{"change"}}}

func cloudtrailDocument(in object) object {
	who, parameters := sub(in, "userIdentity"), sub(in, "requestParameters")
	action, provider := text(in, "eventName"), text(in, "eventSource")
	e := object{"dataset": "aws.cloudtrail", "action": action, "provider": provider, "id": text(in, "eventID"), "outcome": "success"}
	category, kinds := awsCategories[provider], []string{"info"}
	if category == "" {
		category = "api"
	}
	for _, t := range awsTypes {
		if strings.HasPrefix(action, t.prefix) {
			kinds = t.kinds
			break
		}
	}
	switch action {
	case "ConsoleLogin":
		category, kinds = "authentication", []string{"start"}
	case "GetSessionToken", "GetFederationToken":
		category = "authentication"
	}
	e["category"], e["type"] = []string{category}, kinds
	cloud := object{"provider": "aws", "service": object{"name": provider}}
	put(cloud, "region", text(in, "awsRegion"))
	if account := text(in, "recipientAccountId"); account != "" {
		cloud["account"] = object{"id": account}
	}
	if id := text(parameters, "instanceId"); id != "" {
		cloud["instance"] = object{"id": id}
	}
	user := object{}
	put(user, "id", text(who, "principalId"))
	put(user, "name", text(who, "userName"))
	if m := arn.FindStringSubmatch(text(who, "arn")); m != nil {
		if m[1] != "" {
			user["roles"] = []string{m[1]}
			user["name"] = m[1]
		} else if user["name"] == nil {
			put(user, "name", m[3])
		}
	}
	if text(who, "type") == "Root" {
		user["name"] = "root"
	}
	if name := text(parameters, "userName"); name != "" {
		user["target"] = object{"name": name}
	}
	doc := object{"event": e, "cloud": cloud, "user": user, "aws": object{"cloudtrail": in}}
	if group := text(parameters, "groupName"); group != "" {
		doc["group"] = object{"name": group}
	}
	if code := text(in, "errorCode"); code != "" {
		e["outcome"] = "failure"
		doc["error"] = object{"code": code, "message": text(in, "errorMessage")}
	}
	if s := text(in, "sourceIPAddress"); s != "" {
		doc["source"] = address(s)
	}
	if s := text(in, "userAgent"); s != "" {
		doc["user_agent"] = object{"original": s}
	}
	if then, err := time.Parse(time.RFC3339, text(in, "eventTime")); err == nil {
		doc["@timestamp"] = stamp(then)
	}
	return doc
}
