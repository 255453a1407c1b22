package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// configTemplate is the configuration that init writes: the settings that matter, explained, and what was found.
const configTemplate = `# Configuration of klaxon, written by 'klaxon init' from what it found at {{.Where}}.
# What stands behind a # is off: a default, or an example.
#
#   klaxon check -c {{.File}}      every mistake at once, with line and column
#   klaxon run -c {{.File}}
#
# klaxon.example.yaml, which comes with klaxon, has every setting; docs/run.md goes from a laptop to several processes.
#
# ${NAME} is the environment variable NAME, ${NAME:-text} has a default, $$ is a dollar sign. Secrets belong into files: every setting
# for one has a form that ends in _file, which names a file that holds nothing else. Paths are relative to this file.
version: 1

kafka:
  brokers: {{.Brokers}}
{{- if .TLS}}
  tls:{{if not .TLSSettings}} {}{{end}}
{{- range .TLSSettings}}
    {{.}}
{{- end}}
{{- else}}
  # tls:
  #   ca_file: ca.pem               # without it, the system's certificates
  #   cert_file: client.pem         # a client's certificate, with its key
  #   key_file: client.key          # without a password
  #   server_name: kafka.example    # if it is not the brokers' address
{{- end}}
{{- if .SASL}}
  sasl:
    mechanism: {{.SASL}}
    username: {{.Username}}
    password_file: {{.PasswordFile}}
{{- else}}
  # sasl:
  #   mechanism: SCRAM-SHA-512      # or SCRAM-SHA-256, PLAIN
  #   username: klaxon
  #   password_file: /run/secrets/kafka
{{- end}}
  # The topics that hold logs. What is said of each comes from a sample of its newest records. A name may be a pattern, in which * is
  # any text and ? one character: new topics that fit are read as they come. klaxon waits for named ones that do not exist yet, and
  # never creates them; see docs/kafka.md.
{{- range .Patterns}}
  # {{.}}
{{- end}}
  topics:
{{- range .Topics}}
    # {{.Comment}}
    {{if .Off}}# {{end}}- {{.Name}}
{{- end}}
  exclude_topics: []                # names and patterns that no pattern selects, such as [logs.app.debug, "logs.*.tmp"]
  group: klaxon                     # prefix of the consumer groups: klaxon.match, klaxon.detect, klaxon.archive.<name>
  # klaxon's own topics.
  create_topics: true               # 'klaxon run' creates them; false: somebody else does, and klaxon says with which commands
  hits_topic: klaxon.hits
  hits_retention: 24h               # longer than any outage of the detect loop, or hits are lost (and the gap is reported)
  dead_letters_topic: klaxon.deadletters
  # replication: 3                  # of these topics; without it the brokers' default

# Whose an event is: what a header of its record says, else its topic, else a field of the event, else the default.
tenant:
{{- if .TenantHeader}}
  # Seen: {{.Tenants}}
  header: {{.TenantHeader}}
{{- else}}
  # header: tenant                  # no header that names a tenant was seen
{{- end}}
  # topic: "logs.{tenant}.*"        # {tenant} has no dots, * is any text
  # field: organization.id
  default: default

# Addresses and networks of proxies of yours with public addresses: they are believed about whom they forward for.
trusted_proxies: []                 # [198.51.100.0/24, 2001:db8::7]

# What is found out about addresses: see docs/enrichment.md. Without databases a table that is built in tells their countries.
# enrich:
#   geoip:                          # MaxMind databases; read anew when a file changes
#     city: GeoLite2-City.mmdb      # country, region, city, location
#     asn: GeoLite2-ASN.mmdb        # whose network it is
#     anonymous: GeoIP2-Anonymous-IP.mmdb   # VPN, Tor, hosting, proxies

datasets:
  dirs: {{pad 28 .DatasetDirs}}# folders with datasets of your own, beside those that ship; see docs/datasets.md
  # topics:                         # whose topics are that no dataset claims by itself, or another one would
{{- range .Fits}}
  #   {{.}}
{{- else}}
  #   secure: system.auth
{{- end}}

rules:
  shipped: {{pad 25 .Shipped}}# the rules that ship
  dirs: {{pad 28 .RuleDirs}}# folders with rules and overrides of your own; see docs/rules.md
  lists: {{pad 27 .ListDirs}}# folders with lists (*.txt, *.csv), beside those that ship

# Changed rules, datasets, lists and databases take effect while klaxon runs; files that do not load leave what is in force as it is.
reload:
  every: 10s                        # how often they are looked at; at least 1s, or never. SIGHUP has them looked at now

# Where everything is kept. Either or both.
archive:
{{- if .ArchiveDir}}
  local:
    dir: {{.ArchiveDir}}
    flush: 10s                      # a record is durable, and its offset committed, at most so long after it was read
{{- else}}
  # local:
  #   dir: data/archive
  #   flush: 10s                    # a record is durable, and its offset committed, at most so long after it was read
{{- end}}
{{- if .Elasticsearch}}
  elasticsearch:
    urls: [{{.Elasticsearch}}]
    # api_key_file: /run/secrets/elastic-api-key   # or username with password_file
    # ca_file: ca.pem
    # prefix: klaxon                # indices are named klaxon-<dataset>-<yyyy.mm.dd>
    # retention: 90d                # records older than this, or from the future, go to one index of their own
{{- else}}
  # elasticsearch:
  #   urls: ["https://elastic.example:9200"]
  #   api_key_file: /run/secrets/elastic-api-key   # or username with password_file
  #   ca_file: ca.pem
  #   prefix: klaxon                # indices are named klaxon-<dataset>-<yyyy.mm.dd>
  #   retention: 90d                # records older than this, or from the future, go to one index of their own
{{- end}}

# Incidents, the outbox and what detectors remember: a SQLite file for one process that runs detect and deliver, or PostgreSQL for several.
store:
  path: data/klaxon.db
  # postgres:                       # instead of path; see docs/operations.md#postgresql
  #   url: postgres://klaxon@db.example:5432/klaxon?sslmode=verify-full
  #   password_file: /run/secrets/postgres
  #   ca_file: ca.pem               # who signed the server's certificate; without it the system's authorities

# Who is told. Every alert goes to the alerts topic; incidents go to webhooks, signed, and to Slack, with a thread for each.
deliver:
  alerts_topic: klaxon.alerts       # "" writes none; see docs/alerts-topic.md
  # webhooks:                       # see docs/webhook.md
  #   - name: incidents
  #     url: https://hooks.example/klaxon
  #     secret_file: /run/secrets/webhook
  #     send: [incident]            # incident, alert, or both
  #     min_severity: low           # low, normal, high, urgent
  # slack:                          # see docs/slack.md
  #   - name: soc
  #     channel: C0123456789        # the channel's id, not its name
  #     token_file: /run/secrets/slack
  #     min_severity: normal

roles: [archive, match, detect, deliver]   # what this process does; leave some out to spread them over several

admin:
  listen: 127.0.0.1:9464            # /metrics, /status, /healthz, /readyz, /debug/pprof/: never on a public address

log:
  level: info                       # debug, info, warn, error
  format: json                      # json, console

limits:
  # memory: 1GiB                    # the garbage collector works harder near it; without it nine tenths of the control group's limit
  disk_free: 1GiB                   # warn while less is free where the local archive or the store is
  drain: 20s                        # how long SIGTERM may take; a second one stops at once
`

// configView is what the template needs. Everything that came from outside is quoted, or printed plainly in a comment.
type configView struct {
	Where, File, Brokers         string
	TLS                          bool
	TLSSettings                  []string
	SASL, Username, PasswordFile string
	Patterns, Fits               []string
	Topics                       []topicLine
	TenantHeader, Tenants        string
	DatasetDirs, RuleDirs        string
	ListDirs                     string
	Shipped                      bool
	ArchiveDir, Elasticsearch    string
}

type topicLine struct {
	Name, Comment string
	Off           bool
}

// render makes the configuration of what the flags say and what was found.
func (c *initCmd) render(s *survey) (string, error) {
	v := configView{Where: plain(strings.Join(c.Brokers, ", ")), File: plain(c.file()), Brokers: yamlList(c.Brokers), TLS: c.TLS, Shipped: !c.NoShipped,
		SASL: c.SASLMechanism, Username: yamlText(c.Username), PasswordFile: yamlText(c.path(c.PasswordFile)), Patterns: patternHints(s), Topics: topicLines(s), Fits: fitLines(s),
		DatasetDirs: yamlList(c.paths(c.DatasetDir)), RuleDirs: yamlList(c.paths(c.RuleDir)), ListDirs: yamlList(c.paths(c.ListDir)),
		Tenants: tenantsText(s.logs())}
	for _, f := range []struct{ key, value string }{{"ca_file", c.CAFile}, {"cert_file", c.CertFile}, {"key_file", c.KeyFile}} {
		if f.value != "" {
			v.TLSSettings = append(v.TLSSettings, f.key+": "+yamlText(c.path(f.value)))
		}
	}
	if c.ServerName != "" {
		v.TLSSettings = append(v.TLSSettings, "server_name: "+yamlText(c.ServerName))
	}
	if s.TenantHeader != "" {
		v.TenantHeader = yamlText(s.TenantHeader)
	}
	if c.ArchiveDir != "" {
		v.ArchiveDir = yamlText(c.path(c.ArchiveDir))
	}
	if c.Elasticsearch != "" {
		v.Elasticsearch = yamlText(c.Elasticsearch)
	}
	t, err := template.New("configuration").Funcs(template.FuncMap{"pad": pad}).Parse(configTemplate)
	if err != nil {
		return "", fmt.Errorf("the configuration's template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("the configuration's template: %w", err)
	}
	return b.String(), nil
}

// fitLines is the datasets that topics could be given to.
func fitLines(s *survey) []string {
	var out []string
	for _, f := range s.logs() {
		if len(f.Fits) == 0 {
			continue
		}
		comment := fmt.Sprintf("# at least %d %% of its sample fits", fitsPercent)
		if others := f.Fits[1:]; len(others) > 0 {
			comment += ", and " + strings.Join(others, ", ") + " too"
		}
		out = append(out, pad(29, yamlText(f.Topic)+": "+f.Fits[0])+comment)
	}
	return out
}

// pad makes a value so wide that the comments behind several stand below each other.
func pad(width int, value any) string { return fmt.Sprintf("%-*v ", width-1, value) }

// yamlText is a text as a configuration has it: quoted, with its dollar signs doubled, unless it is plain in every sense.
func yamlText(s string) string {
	if plainYAML(s) {
		return s
	}
	quoted, err := json.Marshal(strings.ReplaceAll(s, "$", "$$"))
	if err != nil { // a string always is JSON
		return `""`
	}
	return string(quoted)
}

// plainYAML says whether nobody could take a text for anything but a text.
func plainYAML(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf":
		return false
	}
	letters := false
	for i, r := range s {
		isLetter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if i == 0 && !isLetter || !isLetter && !strings.ContainsRune("0123456789._-/", r) {
			return false
		}
		letters = true
	}
	return letters
}

func yamlList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = yamlText(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// file is the configuration's name, as the next command is to be given it.
func (c *initCmd) file() string {
	if c.Output == "-" {
		return "klaxon.yaml"
	}
	return c.Output
}

// path is a path of the command line as the configuration has it: relative to the configuration's folder where it lies below it.
func (c *initCmd) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	dir, err := filepath.Abs(filepath.Dir(c.file()))
	if err != nil {
		return abs
	}
	if rel, err := filepath.Rel(dir, abs); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rel
	}
	return abs
}

func (c *initCmd) paths(all []string) []string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = c.path(p)
	}
	return out
}

// topicLines is the list of topics: those with logs, and as comments those that are left out. A list must not be empty.
func topicLines(s *survey) []topicLine {
	var out []topicLine
	for _, f := range s.Topics {
		out = append(out, topicLine{Name: yamlText(f.Topic), Comment: topicComment(f), Off: !f.hasLogs()})
	}
	if len(s.logs()) == 0 {
		out = append(out, topicLine{Name: "logs", Comment: "No topic with logs was found: name those that will hold them."})
	}
	return out
}

// topicComment is what was found of a topic, in one line.
func topicComment(f *finding) string {
	if !f.hasLogs() {
		return fmt.Sprintf("Left out (%s): %s", f.Skip, plain(f.Detail))
	}
	parts := []string{claimWords(f)}
	if f.ClaimedBy != "" {
		parts = append(parts, fmt.Sprintf("%d %% parse", f.parsedPercent()))
	}
	if n := f.dead(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d cannot be decoded", n, f.Sampled))
	}
	if f.Rate > 0 {
		parts = append(parts, fmt.Sprintf("about %s/s (%s/s)", rateText(f.Rate), bytesText(f.Rate*float64(f.Bytes))))
	}
	parts = append(parts, fmt.Sprintf("feeds %s", plural(len(f.Rules), "rule")))
	text := strings.Join(parts, ", ")
	if len(f.Fits) > 0 {
		text += "; it would fit " + strings.Join(f.Fits, ", ")
	}
	return text
}

// claimWords says whose a topic's events are.
func claimWords(f *finding) string {
	switch f.ClaimedBy {
	case "":
		return f.Dataset + " that no dataset claims"
	case byHeader:
		return f.Dataset + " by a header"
	case byTopic:
		return f.Dataset + " by its name"
	}
	return f.Dataset + " by its shape"
}

// patternHints says which patterns would name several of the topics with logs, and none that is left out for more than being empty.
func patternHints(s *survey) []string {
	groups := map[string]int{}
	for _, f := range s.logs() {
		if prefix, _, ok := strings.Cut(f.Topic, "."); ok {
			groups[prefix]++
		}
	}
	for _, f := range s.leftOut() {
		if prefix, _, ok := strings.Cut(f.Topic, "."); ok && f.Skip != skipEmpty {
			delete(groups, prefix)
		}
	}
	var out []string
	for prefix, n := range groups {
		if n > 1 {
			out = append(out, fmt.Sprintf("\"%s.*\" is a pattern for %d of them, and for those of that name that will come.", plain(prefix), n))
		}
	}
	slices.Sort(out)
	return out
}

// tenantsText names the tenants that were seen.
func tenantsText(all []*finding) string {
	seen := map[string]bool{}
	var names []string
	for _, f := range all {
		for _, t := range f.Tenants {
			if !seen[t] {
				seen[t] = true
				names = append(names, plain(t))
			}
		}
	}
	slices.Sort(names)
	if len(names) > maxTenantsSeen {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxTenantsSeen], ", "), len(names)-maxTenantsSeen)
	}
	return strings.Join(names, ", ")
}

// rateText is a number that is about right, without figures that say nothing.
func rateText(r float64) string {
	if r >= 10 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.2g", r)
}

func bytesText(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", n/1e3)
	}
	return fmt.Sprintf("%.0f B", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
