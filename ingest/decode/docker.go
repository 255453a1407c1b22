package decode

import "github.com/klaxonhq/klaxon/event"

// Docker is an entry of Docker's json-file log driver.
type Docker struct {
	Log    []byte // the line, without its line end; valid until the buffer is written to
	Stream string // stdout or stderr
	Millis int64  // Unix milliseconds
}

// ParseDocker reads `{"log":"…","stream":"stdout","time":"…"}`; ok is false for any other document. The line is unescaped into buf,
// which is returned, grown if need be.
func ParseDocker(data, buf []byte, d *Docker) (out []byte, ok bool) {
	*d = Docker{}
	seen := 0
	for m := NewMembers(data); ; {
		key, value, more := m.Next()
		if !more {
			break
		}
		switch string(key) {
		case "log":
			if buf, ok = Unquote(buf[:0], value); !ok {
				return buf, false
			}
			d.Log = buf
			seen |= 1
		case "stream":
			switch string(value) {
			case `"stdout"`:
				d.Stream = "stdout"
			case `"stderr"`:
				d.Stream = "stderr"
			default:
				return buf, false
			}
			seen |= 2
		case "time":
			if len(value) < 2 {
				return buf, false
			}
			if d.Millis, ok = event.ParseTime(event.View(value[1 : len(value)-1])); !ok {
				return buf, false
			}
			seen |= 4
		case "attrs":
		default:
			return buf, false
		}
	}
	d.Log = TrimLine(d.Log)
	return buf, seen == 7
}

// TrimLine is a line without the line ends and NUL bytes that it ends with.
func TrimLine(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	return b
}
