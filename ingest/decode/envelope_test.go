package decode

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

func at(s string) int64 {
	ms, _ := event.ParseTime(s)
	return ms
}

func TestParseSyslog(t *testing.T) {
	received := at("2026-03-01T00:10:00Z")
	for line, want := range map[string]Syslog{
		"<34>Oct 11 22:14:15 mymachine su: 'su root' failed": {Priority: 34, Millis: at("2025-10-11T22:14:15Z"), Host: "mymachine", Program: "su", Message: "'su root' failed"},
		"Feb  9 22:14:15 web1 sshd[42]: hello: world":        {Priority: -1, Millis: at("2026-02-09T22:14:15Z"), Host: "web1", Program: "sshd", PID: "42", Message: "hello: world"},
		"Mar  1 12:00:00 web1 cron[1]: tomorrow":             {Priority: -1, Millis: at("2026-03-01T12:00:00Z"), Host: "web1", Program: "cron", PID: "1", Message: "tomorrow"},
		"Mar  3 00:00:00 web1 cron[1]: a year ago":           {Priority: -1, Millis: at("2025-03-03T00:00:00Z"), Host: "web1", Program: "cron", PID: "1", Message: "a year ago"},
		"Feb 29 00:00:00 web1 cron[1]: leap":                 {Priority: -1, Millis: at("2024-02-29T00:00:00Z"), Host: "web1", Program: "cron", PID: "1", Message: "leap"},
		"Oct  9 2024 22:33:20 fw %ASA-6-106015: Deny":        {Priority: -1, Millis: at("2024-10-09T22:33:20Z"), Host: "fw", Program: "%ASA-6-106015", Message: "Deny"},
		"Feb  9 22:14:15.250 sshd[42]: no host":              {Priority: -1, Millis: at("2026-02-09T22:14:15.250Z"), Program: "sshd", PID: "42", Message: "no host"},
		"<165>1 2003-10-11T22:14:15.003Z m.example.com evntslog - ID47 [e@1 a=\"x] \\\" y\"][f b=\"\"] \ufeffhi": {Priority: 165, Version: "1", Millis: at("2003-10-11T22:14:15.003Z"),
			Host: "m.example.com", Program: "evntslog", MessageID: "ID47", Structured: `[e@1 a="x] \" y"][f b=""]`, Message: "hi"},
		"<38>1 - - - - - -": {Priority: 38, Version: "1"},
		"2023-08-17T16:55:35.689651+02:00 mono endlessh[34256]: ACCEPT host=::1": {Priority: -1, Millis: at("2023-08-17T14:55:35.689Z"), Host: "mono", Program: "endlessh", PID: "34256", Message: "ACCEPT host=::1"},
		"<13>backup[7]: done":                 {Priority: 13, Program: "backup", PID: "7", Message: "done"},
		"<13>Feb  9 22:14:15 web1 just words": {Priority: 13, Millis: at("2026-02-09T22:14:15Z"), Host: "web1", Message: "just words"},
		"Feb  9 22:14:15 web1 sshd[42]: message repeated 3 times: [ Failed password for [x] from 1.2.3.4]": {Priority: -1, Millis: at("2026-02-09T22:14:15Z"),
			Host: "web1", Program: "sshd", PID: "42", Repeated: 3, Message: "Failed password for [x] from 1.2.3.4"},
	} {
		var h Syslog
		if ok := ParseSyslog(line, received, &h); !ok || h != want {
			t.Errorf("%q:\ngot  %+v %v\nwant %+v", line, h, ok, want)
		}
	}
	for _, line := range []string{"", "<", "<>x", "<999>x", "<13", "hello world", "2023-08-17T16:55:35Z ACCEPT host=::1", "Feb  9 22:14:15 web1 just words", "Feb 30 22:14:15 web1 x: y",
		"203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5", "<13>1 yesterday h a - - - x", "<13>1 - h a - - [x", "2022/04/02 13:39:51 [info] 8#8: x",
		"{\"a\":1}", "2026-02-30T00:00:00Z h p[1]: x"} {
		var h Syslog
		if ParseSyslog(line, received, &h) {
			t.Errorf("%q was read as %+v", line, h)
		}
	}
}

func TestSeverity(t *testing.T) {
	var h Syslog
	if !ParseSyslog("<34>su: x", 0, &h) || h.Facility() != 4 || h.Severity() != 2 || h.SeverityName() != "critical" {
		t.Errorf("%+v", h)
	}
	if h := (&Syslog{Priority: -1}); h.SeverityName() != "" {
		t.Error("a severity without a priority")
	}
}

func FuzzSyslog(f *testing.F) {
	for _, s := range []string{"<34>Oct 11 22:14:15 mymachine su: x", "<165>1 2003-10-11T22:14:15.003Z m e 1 ID47 [e a=\"x\\]\"] hi", "2023-08-17T16:55:35+02:00 mono x[1]: y",
		"Feb  9 22:14:15 web1 sshd[42]: message repeated 3 times: [ x]"} {
		f.Add(s, int64(1795514400000))
	}
	f.Fuzz(func(t *testing.T, line string, received int64) {
		var h Syslog
		if ParseSyslog(line, received%(1<<46), &h) && !strings.Contains(line, h.Message) {
			t.Fatalf("the message %q is not of %q", h.Message, line)
		}
	})
}

func TestParseDocker(t *testing.T) {
	var d Docker
	buf, ok := ParseDocker([]byte(`{"log":"a \"b\"\u00e9\ud83d\ude00\n","stream":"stderr","attrs":{"x":"y"},"time":"2026-10-10T13:55:36.123456789Z"}`), nil, &d)
	if !ok || string(d.Log) != "a \"b\"é😀" || d.Stream != "stderr" || d.Millis != at("2026-10-10T13:55:36.123Z") {
		t.Errorf("%q %+v %v", d.Log, d, ok)
	}
	for _, in := range []string{``, `{}`, `{"log":"x"}`, `{"log":"x","stream":"other","time":"2026-10-10T13:55:36Z"}`, `{"log":1,"stream":"stdout","time":"2026-10-10T13:55:36Z"}`,
		`{"log":"x","stream":"stdout","time":"soon"}`, `{"log":"x","stream":"stdout","time":"2026-10-10T13:55:36Z","msg":"mine"}`, `{"log":"x","stream":"stdout","time":1`} {
		if _, ok := ParseDocker([]byte(in), buf, &d); ok {
			t.Errorf("%s was read", in)
		}
	}
}

func FuzzDocker(f *testing.F) {
	f.Add([]byte(`{"log":"a\n","stream":"stdout","time":"2026-10-10T13:55:36Z"}`))
	f.Add([]byte(`{"stream":"stdout","log":"\ud83d\ude00","attrs":{"a":[1]},"time":"2026-10-10T13:55:36Z"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Docker
		_, ok := ParseDocker(in, nil, &d)
		var std struct{ Log, Stream, Time *string }
		if ok && json.Valid(in) && json.Unmarshal(in, &std) == nil && std.Log != nil && !strings.HasPrefix(*std.Log, string(d.Log)) &&
			!strings.ContainsRune(*std.Log, '\ufffd') {
			t.Fatalf("%q, encoding/json says %q", d.Log, *std.Log)
		}
	})
}

func TestMembers(t *testing.T) {
	var got []string
	for m := NewMembers([]byte(` {"a" : "x\"}\\", "b":[1,{"c":"]"}] ,"d":null,"e\"f":-1.5e3 }`)); ; {
		k, v, ok := m.Next()
		if !ok {
			break
		}
		got = append(got, string(k)+"="+string(v))
	}
	if s := strings.Join(got, " "); s != `a="x\"}\\" b=[1,{"c":"]"}] d=null e\"f=-1.5e3` {
		t.Error(s)
	}
	for m := NewMembers([]byte(`[{"a":1}, 2,"x"]`)); ; {
		k, v, ok := m.Next()
		if !ok {
			break
		}
		got = append(got[:0], string(k)+string(v))
	}
	if got[0] != `"x"` {
		t.Error(got)
	}
}

// What is JSON is walked as encoding/json reads it; nothing makes the walk fail to end.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":"x\"}","b":[1,{"c":"]"}],"d":null}`))
	f.Add([]byte(`[1,"a",{}]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		m := NewMembers(in)
		for ; ; n++ {
			_, v, ok := m.Next()
			if !ok {
				break
			}
			if json.Valid(in) && !json.Valid(v) {
				t.Fatalf("%q of %q is no value", v, in)
			}
		}
		var list []json.RawMessage
		if json.Unmarshal(in, &list) == nil && len(list) != n {
			t.Fatalf("%d elements of %q, not %d", n, in, len(list))
		}
	})
}

func TestNearestYear(t *testing.T) {
	var h Syslog
	for received, want := range map[string]string{"2026-01-01T00:05:00Z": "2025-12-31T23:59:00Z", "2025-12-31T23:50:00Z": "2025-12-31T23:59:00Z"} {
		if !ParseSyslog("Dec 31 23:59:00 h p: x", at(received), &h) || h.Millis != at(want) {
			t.Errorf("%s: %s", received, time.UnixMilli(h.Millis).UTC())
		}
	}
}
