package traffic

import (
	"strconv"
	"time"
)

// What developers do on GitHub all day: an action, and more fields in JSON.
var codeActions = [...][2]string{
	{"git.fetch", `"transport_protocol_name":"ssh"`}, {"git.push", `"transport_protocol_name":"ssh"`}, {"git.clone", `"transport_protocol_name":"http"`},
	{"pull_request.merge", `"pull_request_id":9117`}, {"repo.access", `"previous_visibility":"public","visibility":"private"`},
	{"protected_branch.update_required_status_checks_enforcement_level", `"name":"main"`}, {"org.add_member", `"permission":"read","user":"new.colleague"`},
	{"public_key.create", `"read_only":"true"`}, {"protected_branch.rejected_ref_update", `"name":"main"`}, {"audit_log_streaming.check", `"operation_type":"access"`},
}

// develop is a developer at work. Everybody is busy, nobody very.
func (g *Generator) develop(t *tenant, at int64) Message {
	a := codeActions[min(g.rng.IntN(len(codeActions)), g.rng.IntN(len(codeActions)))]
	if a[0] == "git.clone" { // what runs all day is a robot's
		return g.github(t, at, a[0], "builder[bot]", "10.20.0.14", t.name+"/inbox", a[1]+`,"actor_is_bot":true`)
	}
	return g.github(t, at, a[0], g.admin(t).login, t.offices[g.rng.IntN(2)], t.name+"/inbox", a[1])
}

// github is a message of GitHub's audit log. More is JSON members.
func (g *Generator) github(t *tenant, at int64, action, who, ip, repo, more string) Message {
	ms := g.opts.Start.Add(time.Duration(at) - time.Duration(g.rng.IntN(500))*time.Millisecond).UnixMilli()
	b := make([]byte, 0, 420)
	b = append(b, `{"@timestamp":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, `,"_document_id":"`...)
	b = g.appendHex(b, 22)
	b = append(b, '"')
	b = appendField(b, "action", action)
	b = appendField(b, "actor", who)
	b = appendField(b, "actor_ip", ip)
	b = append(b, `,"created_at":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = appendField(b, "org", t.name)
	b = appendField(b, "repo", repo)
	b = append(b, ',')
	b = append(b, more...)
	b = append(b, '}')
	return g.message(t, TopicGitHub, t.accountKey, b, at)
}

// unprotect is a stolen token that takes the protection of a branch away and pushes.
func unprotect(g *Generator, t *tenant) script {
	who, ip, repo := g.admin(t).login, g.hostile(), t.name+"/payments"
	do := func(action, more string) func(int64) Message {
		return func(at int64) Message { return g.github(t, at, action, who, ip, repo, more) }
	}
	return script{Attack: Attack{Name: "branch protection taken away", Rule: "github-branch-protection-removed", Key: map[string]string{"organization.name": t.name, "github.audit.repo": repo}},
		takes: 3 * time.Second, steps: []func(int64) Message{do("protected_branch.destroy", `"name":"main","operation_type":"remove"`), do("git.push", `"transport_protocol_name":"http"`)}}
}
