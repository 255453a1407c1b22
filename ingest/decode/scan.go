package decode

import (
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// scanInt is the length of the whole number that s begins with.
func scanInt(s string) int {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	n := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i == n {
		return 0
	}
	return i
}

// scanNumber is the length of the number without a sign, with a fraction or without.
func scanNumber(s string) int {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i > 0 && i+1 < len(s) && s[i] == '.' && isDigit(s[i+1]) {
		for i++; i < len(s) && isDigit(s[i]); i++ {
		}
	}
	return i
}

// maxAddr is the longest text of an address that is looked at: IPv6 with an IPv4 tail, brackets and a zone.
const maxAddr = 80

// scanIP is how long the run is that may be an address.
func scanIP(s string) int {
	i := 0
	if i < len(s) && s[i] == '[' {
		for i < len(s) && i < maxAddr && s[i] != ']' {
			i++
		}
		return min(i+1, len(s))
	}
	zone := false
	for ; i < len(s) && i < maxAddr; i++ {
		c := s[i]
		switch {
		case isDigit(c), c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == ':', c == '.':
		case c == '%':
			zone = true
		case zone && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'):
		default:
			return trimAddr(s, i)
		}
	}
	return trimAddr(s, i)
}

// trimAddr leaves the punctuation of a sentence out of an address: `1.2.3.4:` and `1.2.3.4.`; an IPv6 address may end in `::`.
func trimAddr(s string, n int) int {
	if n > 1 && (s[n-1] == '.' || s[n-1] == ':' && s[n-2] != ':') {
		return n - 1
	}
	return n
}

// scanPath is the length of the path of a URL that s begins with.
func scanPath(s string) int {
	if s == "" || s[0] != '/' {
		return 0
	}
	i := 1
	for i < len(s) && s[i] != '?' && s[i] != '#' && !isBlank(s[i]) {
		i++
	}
	return i
}

// scanQuoted is the length of the text before the first quote that no backslash escapes, or -1.
func scanQuoted(s string, quote byte) int {
	for from := 0; from < len(s); {
		i := strings.IndexByte(s[from:], quote)
		if i < 0 {
			return -1
		}
		end := from + i
		if strings.IndexByte(s[from:end], '\\') < 0 {
			return end
		}
		for from < end {
			if s[from] == '\\' {
				from++ // and what it escapes, which may be the quote
			}
			from++
		}
		if from == end {
			return end
		}
	}
	return -1
}

// scanHTTPDate reads `10/Oct/2026:13:55:36 +0000`, the date of access logs.
func scanHTTPDate(s string) (millis int64, n int) {
	const layout = 26
	if len(s) < layout || s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return 0, 0
	}
	month := monthOf(s[3:6])
	day, ok1 := digits(s[0:2])
	year, ok2 := digits(s[7:11])
	hour, ok3 := digits(s[12:14])
	minute, ok4 := digits(s[15:17])
	second, ok5 := digits(s[18:20])
	zoneHours, ok6 := digits(s[22:24])
	zoneMinutes, ok7 := digits(s[24:26])
	if month == 0 || !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || s[21] != '+' && s[21] != '-' {
		return 0, 0
	}
	offset := zoneHours*3600 + zoneMinutes*60
	if s[21] == '-' {
		offset = -offset
	}
	seconds, ok := civil(year, month, day, hour, minute, second)
	if !ok {
		return 0, 0
	}
	return (seconds - int64(offset)) * 1000, layout
}

// scanRFC3339 reads an instant as event.ParseTime does, from the text that s begins with.
func scanRFC3339(s string) (millis int64, n int) {
	const shortest = 19 // 2006-01-02T15:04:05
	if len(s) < shortest || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' {
		return 0, 0
	}
	n = shortest
	if n+1 < len(s) && (s[n] == '.' || s[n] == ',') && isDigit(s[n+1]) {
		for n++; n < len(s) && isDigit(s[n]); n++ {
		}
	}
	whole := n
	switch {
	case n < len(s) && (s[n] == 'Z' || s[n] == 'z'):
		n++
	case n < len(s) && (s[n] == '+' || s[n] == '-'):
		for n++; n < len(s) && n < whole+6 && (isDigit(s[n]) || s[n] == ':'); n++ {
		}
	}
	for ; n >= whole; n-- { // `+01:00:` and `-x`: what is no zone belongs to what follows
		if ms, ok := event.ParseTime(s[:n]); ok {
			return ms, n
		}
	}
	return 0, 0
}

// scanSlashDate reads `2026/10/10 13:55:36` as UTC.
func scanSlashDate(s string) (millis int64, n int) {
	n = 19
	if len(s) < n || s[4] != '/' || s[7] != '/' || s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return 0, 0
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	second, ok6 := digits(s[17:19])
	seconds, ok := civil(year, month, day, hour, minute, second)
	if !(ok && ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return 0, 0
	}
	fraction, more := milliseconds(s[n:])
	return seconds*1000 + int64(fraction), n + more
}

// milliseconds reads a fraction of a second, cut off after the third digit, and how long its text is.
func milliseconds(s string) (fraction, n int) {
	if len(s) < 2 || s[0] != '.' || !isDigit(s[1]) {
		return 0, 0
	}
	scale := 100
	for n = 1; n < len(s) && isDigit(s[n]); n++ {
		fraction += int(s[n]-'0') * scale
		scale /= 10
	}
	return fraction, n
}

// civil is the Unix time of a date and a time of day in UTC; a day that does not exist is refused.
func civil(year, month, day, hour, minute, second int) (seconds int64, ok bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, min(second, 59), 0, time.UTC)
	if t.Day() != day {
		return 0, false
	}
	return t.Unix() + int64(second-min(second, 59)), true
}

func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// monthOf is the number of a month's English abbreviation, or 0.
func monthOf(s string) int {
	switch s {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

// yearOf is the year of an instant in UTC.
func yearOf(millis int64) int { return time.UnixMilli(millis).UTC().Year() }
