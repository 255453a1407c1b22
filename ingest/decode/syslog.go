package decode

import "strings"

// Syslog is the header of a syslog message. Its texts alias the line that it was read from.
type Syslog struct {
	Priority   int // -1: none was given
	Version    string
	Millis     int64 // Unix milliseconds; 0: no time was given
	Host       string
	Program    string
	PID        string
	MessageID  string
	Structured string // the structured data of RFC 5424, with its brackets
	Repeated   int    // N of `message repeated N times: [ … ]`, else 0
	Message    string
}

// Facility and Severity are the parts of a priority; see RFC 5424, section 6.2.1.
func (h *Syslog) Facility() int { return h.Priority >> 3 }

// Severity is the lower three bits of the priority.
func (h *Syslog) Severity() int { return h.Priority & 7 }

// SeverityName is the severity in the words of RFC 5424, or "" without a priority.
func (h *Syslog) SeverityName() string {
	if h.Priority < 0 {
		return ""
	}
	return [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"}[h.Severity()]
}

// ParseSyslog reads the header of RFC 5424, of RFC 3164, or that of the files which syslog daemons write: a date of RFC 3164 or
// RFC 3339, the host, the program. ok is false where the line has none of them; a line without a priority must name a program, so
// that a date alone does not make it syslog. A date without a year gets the year that brings it nearest below received (Unix
// milliseconds), a day of skew allowed; dates without a zone are UTC.
func ParseSyslog(line string, received int64, h *Syslog) (ok bool) {
	*h = Syslog{Priority: -1}
	rest := line
	if strings.HasPrefix(rest, "<") {
		if h.Priority, rest, ok = priority(rest); !ok {
			return false
		}
		if strings.HasPrefix(rest, "1 ") {
			h.Version = "1"
			return h.rfc5424(rest[2:])
		}
	}
	if rest, ok = h.date(rest, received); !ok {
		return h.Priority >= 0 && h.bare(rest)
	}
	return h.header(rest)
}

// priority reads `<34>`.
func priority(s string) (p int, rest string, ok bool) {
	end := strings.IndexByte(s[:min(len(s), 5)], '>')
	if end < 2 {
		return -1, s, false
	}
	p, ok = digits(s[1:end])
	if !ok || p > 191 {
		return -1, s, false
	}
	return p, s[end+1:], true
}

// rfc5424 reads what follows the version: timestamp, host, program, process id, message id, structured data, message.
func (h *Syslog) rfc5424(s string) bool {
	var stamp string
	var fields [4]string
	stamp, s, _ = strings.Cut(s, " ")
	for i := range fields {
		fields[i], s, _ = strings.Cut(s, " ")
		if fields[i] == "" {
			return false
		}
		if fields[i] == "-" {
			fields[i] = ""
		}
	}
	if stamp != "-" {
		ms, n := scanRFC3339(stamp)
		if n != len(stamp) || n == 0 {
			return false
		}
		h.Millis = ms
	}
	h.Host, h.Program, h.PID, h.MessageID = fields[0], fields[1], fields[2], fields[3]
	n, ok := structured(s)
	if !ok {
		return false
	}
	if s[:n] != "-" {
		h.Structured = s[:n]
	}
	h.message(strings.TrimPrefix(strings.TrimPrefix(s[n:], " "), "\ufeff"))
	return true
}

// structured is the length of the structured data: `-`, or elements in brackets whose values escape `"`, `\` and `]`.
func structured(s string) (n int, ok bool) {
	if strings.HasPrefix(s, "-") {
		return 1, len(s) == 1 || s[1] == ' '
	}
	for n < len(s) && s[n] == '[' {
		quoted := false
		for n++; ; n++ {
			if n >= len(s) {
				return 0, false
			}
			switch c := s[n]; {
			case c == '\\' && quoted:
				n++
			case c == '"':
				quoted = !quoted
			case c == ']' && !quoted:
				n++
				goto next
			}
		}
	next:
	}
	return n, n > 0 && (n == len(s) || s[n] == ' ')
}

// date reads `Oct  9 22:33:20 `, with a year behind the day or none, or an RFC 3339 date.
func (h *Syslog) date(s string, received int64) (rest string, ok bool) {
	if len(s) > 20 && isDigit(s[0]) {
		ms, n := scanRFC3339(s)
		if n > 0 && n < len(s) && s[n] == ' ' && s[10] != ' ' {
			h.Millis = ms
			return s[n+1:], true
		}
		return s, false
	}
	ms, n := scanRFC3164(s, received)
	if n == 0 || n >= len(s) || s[n] != ' ' && s[n] != ':' {
		return s, false
	}
	h.Millis = ms
	return strings.TrimPrefix(strings.TrimPrefix(s[n:], ":"), " "), true
}

// header reads `host program[pid]: message`, where the host may be missing.
func (h *Syslog) header(s string) bool {
	first, rest, _ := strings.Cut(s, " ")
	if name, pid, colon := tag(first); colon { // no host
		h.Program, h.PID = name, pid
		h.message(rest)
		return true
	}
	second, message, _ := strings.Cut(rest, " ")
	name, pid, colon := tag(second)
	switch {
	case first == "" || strings.ContainsAny(first, "=\"'{}()"):
		return false
	case colon:
		h.Host, h.Program, h.PID = first, name, pid
		h.message(message)
		return true
	case h.Priority >= 0: // without a program the rest is the message
		h.Host = first
		h.message(rest)
		return true
	}
	return false
}

// bare reads what follows a priority without a date: `program[pid]: message`.
func (h *Syslog) bare(s string) bool {
	first, rest, _ := strings.Cut(s, " ")
	name, pid, colon := tag(first)
	if !colon {
		return false
	}
	h.Program, h.PID = name, pid
	h.message(rest)
	return true
}

// tag reads `program[pid]:`; colon is false where s is none.
func tag(s string) (name, pid string, colon bool) {
	s, colon = strings.CutSuffix(s, ":")
	if !colon {
		return "", "", false
	}
	name = s
	if strings.HasSuffix(s, "]") {
		i := strings.IndexByte(s, '[')
		if i < 0 {
			return "", "", false
		}
		name, pid = s[:i], s[i+1:len(s)-1]
	}
	if name == "" || len(name) > 128 || strings.ContainsAny(name, "[]{}\"'=,;:<>") {
		return "", "", false
	}
	return name, pid, true
}

// message takes the message, and out of `message repeated N times: [ … ]` the message that was repeated.
func (h *Syslog) message(s string) {
	h.Message = s
	inner, ok := strings.CutPrefix(s, "message repeated ")
	if !ok {
		return
	}
	n := scanInt(inner)
	count, ok := digits(inner[:min(n, 9)])
	if !ok {
		return
	}
	inner, ok = strings.CutPrefix(inner[n:], " times: [ ")
	if !ok || !strings.HasSuffix(inner, "]") {
		return
	}
	h.Message, h.Repeated = inner[:len(inner)-1], count
}

const day = 24 * 60 * 60 * 1000

// scanRFC3164 reads `Oct  9 22:33:20` or `Oct  9 2026 22:33:20`, with a fraction or without.
func scanRFC3164(s string, received int64) (millis int64, n int) {
	if len(s) < 15 || s[3] != ' ' {
		return 0, 0
	}
	month := monthOf(s[:3])
	at := 4
	if s[at] == ' ' {
		at++
	}
	n = at
	for n < len(s) && n < at+2 && isDigit(s[n]) {
		n++
	}
	dayOf, ok := digits(s[at:n])
	if month == 0 || !ok || n >= len(s) || s[n] != ' ' {
		return 0, 0
	}
	n++
	year := 0
	if len(s) > n+5 && s[n+4] == ' ' {
		if year, ok = digits(s[n : n+4]); !ok {
			return 0, 0
		}
		n += 5
	}
	if len(s) < n+8 || s[n+2] != ':' || s[n+5] != ':' {
		return 0, 0
	}
	hour, ok1 := digits(s[n : n+2])
	minute, ok2 := digits(s[n+3 : n+5])
	second, ok3 := digits(s[n+6 : n+8])
	if !(ok1 && ok2 && ok3) {
		return 0, 0
	}
	n += 8
	fraction, more := milliseconds(s[n:])
	n += more
	if year == 0 {
		seconds, ok := nearest(month, dayOf, hour, minute, second, received)
		if !ok {
			return 0, 0
		}
		return seconds*1000 + int64(fraction), n
	}
	seconds, ok := civil(year, month, dayOf, hour, minute, second)
	if !ok {
		return 0, 0
	}
	return seconds*1000 + int64(fraction), n
}

// nearest gives a date without a year the last year in which it is not more than a day later than received.
func nearest(month, dayOf, hour, minute, second int, received int64) (seconds int64, ok bool) {
	year := yearOf(received + day)
	for y := year; y > year-5; y-- { // the 29th of February may be years back
		if s, ok := civil(y, month, dayOf, hour, minute, second); ok && s*1000 <= received+day {
			return s, true
		}
	}
	return 0, false
}
