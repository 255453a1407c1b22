package traffic

import "time"

// What administrators and pipelines do as root all day.
var sudoCommands = [...]string{
	"/usr/bin/systemctl status nginx", "/usr/bin/journalctl -u inbox --since today", "/usr/bin/systemctl restart inbox", "/usr/bin/apt-get update",
	"/usr/bin/tail -n 200 /var/log/syslog", "/usr/sbin/nginx -t", "/usr/sbin/visudo -c", "/bin/bash", "/usr/bin/journalctl --vacuum-time=30d",
}

// elevate is somebody who does something as root.
func (g *Generator) elevate(t *tenant, at int64) Message {
	who := g.admin(t).login
	if g.chance(400) {
		who = "deploy"
	}
	return g.sudo(t, g.rng.IntN(len(t.hosts)), who, "/home/"+who, sudoCommands[g.rng.IntN(len(sudoCommands))], at)
}

// sudo is a line of sudo's log.
func (g *Generator) sudo(t *tenant, host int, who, folder, command string, at int64) Message {
	b := g.syslog(t, host, "sudo", 85, at)
	for n := len(who); n < 8; n++ {
		b = append(b, ' ')
	}
	b = append(b, who...)
	b = append(b, " : TTY=pts/0 ; PWD="...)
	b = append(b, folder...)
	b = append(b, " ; USER=root ; COMMAND="...)
	b = append(b, command...)
	return g.message(t, TopicAuth, t.hostKeys[host], b, at)
}

// silenceHost is an intruder who stops what would tell of them, and removes what has told.
func silenceHost(g *Generator, t *tenant) script {
	host, who := g.rng.IntN(len(t.hosts)), g.admin(t).login
	do := func(command string) func(int64) Message {
		return func(at int64) Message { return g.sudo(t, host, who, "/tmp", command, at) }
	}
	return script{Attack: Attack{Name: "a host's logging stopped", Rule: "sudo-logging-stopped", Key: map[string]string{"host.hostname": t.hosts[host], "user.name": who}},
		takes: 3 * time.Second, steps: []func(int64) Message{do("/usr/bin/systemctl stop auditd"), do("/usr/bin/rm -f /var/log/audit/audit.log")}}
}
