package event

import (
	"strconv"
	"time"
)

// Instants outside these years are not believed: Elasticsearch and RFC 3339 stop there.
const (
	minMillis = -62135596800000 // year 1
	maxMillis = 253402300799999 // the end of year 9999
)

// ParseTime reads an instant, in Unix milliseconds: RFC 3339 with any fraction, `T` or a blank, `,` or `.`, and a zone of Z,
// +hh:mm, +hhmm or none (UTC); or a number since 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by its
// size. It allocates nothing.
func ParseTime(s string) (ms int64, ok bool) {
	if ms, ok = parseRFC3339(s); ok {
		return ms, true
	}
	return ParseEpoch(s)
}

// ParseEpoch reads a number since 1970 in seconds (with a fraction or without), milliseconds, microseconds or nanoseconds, told
// apart by its size: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds.
func ParseEpoch(s string) (ms int64, ok bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n < 0:
			return 0, false
		case n < 1e11:
			return n * 1000, true
		case n < 1e14:
			return n, true
		case n < 1e17:
			return n / 1000, true
		}
		return n / 1e6, true
	}
	if len(s) == 0 || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	x, ok := parseFloat(s)
	switch {
	case !ok || x > 1e14:
		return 0, false
	case x < 1e11:
		return int64(x*1000 + 0.5), true
	}
	return int64(x + 0.5), true
}

func parseRFC3339(s string) (int64, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't' && s[10] != ' ') || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	y, ok1 := digits(s[0:4])
	mo, ok2 := digits(s[5:7])
	d, ok3 := digits(s[8:10])
	h, ok4 := digits(s[11:13])
	mi, ok5 := digits(s[14:16])
	sec, ok6 := digits(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return 0, false
	}
	milli, rest := fraction(s[19:])
	offset, ok := zone(rest)
	if !ok {
		return 0, false
	}
	return civil(y, mo, d, h, mi, sec, milli, offset)
}

// civil is the instant of a date and time of day at an offset from UTC in seconds; a day that does not exist is refused.
func civil(y, mo, d, h, mi, sec, milli, offset int) (int64, bool) {
	if mo < 1 || mo > 12 || d < 1 || d > 31 || h > 24 || mi > 59 || sec > 60 || h == 24 && (mi > 0 || sec > 0) {
		return 0, false
	}
	t := time.Date(y, time.Month(mo), d, h, mi, sec, 0, time.UTC)
	if h < 24 && t.Day() != d && sec < 60 {
		return 0, false
	}
	ms := (t.Unix()-int64(offset))*1000 + int64(milli)
	return ms, ms >= minMillis && ms <= maxMillis
}

func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// fraction reads a fraction of a second in milliseconds, cut off after the third digit, and returns what follows it.
func fraction(s string) (milli int, rest string) {
	if s == "" || s[0] != '.' && s[0] != ',' {
		return 0, s
	}
	i, scale := 1, 100
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		milli += int(s[i]-'0') * scale
		scale /= 10
	}
	if i == 1 {
		return 0, s
	}
	return milli, s[i:]
}

// zone reads Z, +hh:mm, +hhmm, +hh or nothing, in seconds east of UTC.
func zone(s string) (seconds int, ok bool) {
	if len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	if s == "" || s == "Z" || s == "z" || s == "UTC" {
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	hours, minutes := "", "00"
	switch d := s[1:]; {
	case len(d) == 5 && d[2] == ':':
		hours, minutes = d[:2], d[3:]
	case len(d) == 4:
		hours, minutes = d[:2], d[2:]
	case len(d) == 2:
		hours = d
	default:
		return 0, false
	}
	h, ok1 := digits(hours)
	m, ok2 := digits(minutes)
	return sign * (h*3600 + m*60), ok1 && ok2 && h < 24 && m < 60
}
