package traffic

import (
	"strconv"
	"time"
)

// Logins over SSH that did not succeed, and those that did.
const (
	sshFailed   = "Failed password for "
	sshUnknown  = "Failed password for invalid user "
	sshInvalid  = "Invalid user "
	sshPassword = "Accepted password for "
	sshKey      = "Accepted publickey for "
)

// sshd is a message of an SSH server about a user and an address. Every second host speaks RFC 5424, the others RFC 3164.
func (g *Generator) sshd(t *tenant, host int, what, user, ip string, at int64) Message {
	b := g.syslog(t, host, "sshd", 38, at)
	b = append(b, what...)
	b = append(b, user...)
	b = append(b, " from "...)
	b = append(b, ip...)
	b = append(b, " port "...)
	b = strconv.AppendInt(b, int64(g.rng.IntN(28_000)+32_768), 10)
	switch what {
	case sshInvalid:
	case sshKey:
		b = append(b, " ssh2: ED25519 SHA256:"...)
		b = g.appendHex(b, 43)
	default:
		b = append(b, " ssh2"...)
	}
	return g.message(t, TopicAuth, t.hostKeys[host], b, at)
}

// syslog begins a message: priority, time, host, program and process.
func (g *Generator) syslog(t *tenant, host int, program string, priority int, at int64) []byte {
	then := g.opts.Start.Add(time.Duration(at) - time.Duration(g.rng.IntN(200))*time.Millisecond).UTC()
	b := make([]byte, 0, 192)
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(priority), 10)
	b = append(b, '>')
	pid := int64(g.rng.IntN(60_000) + 1000)
	if host%2 == 1 {
		b = append(b, "1 "...)
		b = then.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
		b = append(b, ' ')
		b = append(b, t.hosts[host]...)
		b = append(b, ' ')
		b = append(b, program...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, pid, 10)
		return append(b, " - - "...)
	}
	b = then.AppendFormat(b, time.Stamp)
	b = append(b, ' ')
	b = append(b, t.hosts[host]...)
	b = append(b, ' ')
	b = append(b, program...)
	b = append(b, '[')
	b = strconv.AppendInt(b, pid, 10)
	return append(b, "]: "...)
}

// auth is what an authentication log is full of: logins with keys, sessions, disconnects.
func (g *Generator) auth(t *tenant, at int64) Message {
	host := g.rng.IntN(len(t.hosts))
	who := g.admin(t).login
	switch g.rng.IntN(8) {
	case 0:
		return g.sshd(t, host, sshPassword, who, t.offices[g.rng.IntN(2)], at)
	case 1, 2, 3:
		return g.sshd(t, host, sshKey, who, t.offices[g.rng.IntN(2)], at)
	case 4:
		return g.sshd(t, host, sshKey, "deploy", "10.20.0.14", at)
	}
	b := g.syslog(t, host, "sshd", 38, at)
	switch g.rng.IntN(3) {
	case 0:
		b = append(b, "pam_unix(sshd:session): session opened for user "...)
		b = append(b, who...)
		b = append(b, "(uid=1000) by (uid=0)"...)
	case 1:
		b = append(b, "pam_unix(sshd:session): session closed for user "...)
		b = append(b, who...)
	default:
		b = append(b, "Received disconnect from "...)
		b = append(b, t.offices[g.rng.IntN(2)]...)
		b = append(b, " port 51022:11: disconnected by user"...)
	}
	return g.message(t, TopicAuth, t.hostKeys[host], b, at)
}
