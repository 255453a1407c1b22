package event

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// Kind says what a value is.
type Kind uint8

// The kinds of values. There is no kind for null: null, a missing key and an empty array are all absent.
const (
	String Kind = iota + 1
	Int
	Float
	Bool
	Time
	Addr
	Raw // a JSON value as it came
)

// Value is one value of one field of an event. It is valid until the event is reset.
type Value struct {
	text    string
	lower   string
	addr    netip.Addr
	num     int64 // Int; Float's bits; Bool 0 or 1; Time in Unix milliseconds
	field   FieldID
	next    uint16 // 1-based index of the field's next value; 0: none
	kind    Kind
	lowered bool
}

// Bounds on the values of one event: what comes after them is counted by Event.Overflow and left out. Whoever pads an event must not crowd
// out what rules look at: a field has values of its own to fill up, and its first one has a place in any case.
const (
	maxValues      = 8192
	maxFieldValues = 1024      // of one field
	maxPlaces      = 1<<16 - 1 // what an index can hold, with the first value of every field
	ownValues      = 128       // what a field may have beside those that a document gave it
	ownShare       = 8         // as many fields may have so many
)

// Event is a table of values by field, made for reuse: Reset empties it without giving its memory back, so that the steady state
// allocates nothing. Its texts alias the record that it was made from and its own arena: whatever outlives the next Reset is
// copied. It is not safe for concurrent use.
type Event struct {
	// ID is the event's identity.
	ID ID
	// Time is the event time, Unix milliseconds: what @timestamp holds.
	Time int64
	// Received is the record time, Unix milliseconds.
	Received int64
	// Dataset and Tenant say what the event is and whose; the fields event.dataset and klaxon.tenant hold them too.
	Dataset, Tenant string

	schema   *Schema
	first    []uint16 // by field: 1-based index of its first value
	tails    []tail   // by field; of use where there is a first value
	vals     []Value
	arena    []byte
	overflow int
	own      int // values beyond the bounds that a field may have now: ownValues, but while a document is read
	json     jsonState
	ranks    []uint32 // scratch of AppendDocument
}

// tail is the end of a field's values.
type tail struct {
	last  uint16 // 1-based index of the last value
	count uint16
}

// New makes an event of a schema.
func New(s *Schema) *Event {
	e := &Event{}
	e.Reset(s)
	return e
}

// Reset empties the event and gives it a schema, which may be the one it had.
func (e *Event) Reset(s *Schema) {
	if e.schema == s {
		for i := range e.vals {
			e.first[e.vals[i].field] = 0
		}
	} else {
		e.schema = s
		e.first, e.tails = make([]uint16, s.Len()), make([]tail, s.Len())
	}
	e.vals, e.arena, e.overflow, e.own = e.vals[:0], e.arena[:0], 0, ownValues
	e.ID, e.Time, e.Received, e.Dataset, e.Tenant = ID{}, 0, 0, "", ""
}

// Schema is what the event's field ids refer to.
func (e *Event) Schema() *Schema { return e.schema }

// Overflow is how many values were left out because there were too many.
func (e *Event) Overflow() int { return e.overflow }

// Has says whether a field has a value.
func (e *Event) Has(f FieldID) bool { return e.first[f] != 0 }

// First is a field's first value, or nil.
func (e *Event) First(f FieldID) *Value {
	if i := e.first[f]; i != 0 {
		return &e.vals[i-1]
	}
	return nil
}

// Next is the next value of the same field, or nil.
func (e *Event) Next(v *Value) *Value {
	if v.next != 0 {
		return &e.vals[v.next-1]
	}
	return nil
}

// Text is the text of a field's first value, or "".
func (e *Event) Text(f FieldID) string {
	if v := e.First(f); v != nil {
		return v.text
	}
	return ""
}

// Clear removes a field's values.
func (e *Event) Clear(f FieldID) { e.first[f] = 0 }

func (e *Event) add(f FieldID, v Value) bool {
	at := e.place(f)
	if at == nil {
		return false
	}
	v.field = f
	*at = v
	return true
}

// place makes room for a value of a field, or answers nil where the field or the event has too many.
func (e *Event) place(f FieldID) *Value {
	bound := maxValues + ownShare*e.own
	if e.first[f] == 0 {
		bound = maxPlaces
	} else if int(e.tails[f].count) >= maxFieldValues+e.own {
		bound = 0
	}
	if len(e.vals) >= bound {
		e.overflow++
		return nil
	}
	return e.link(f)
}

// link puts an empty value behind those of a field.
func (e *Event) link(f FieldID) *Value {
	n := len(e.vals)
	if n == cap(e.vals) {
		e.vals = slices.Grow(e.vals, max(n, 64))
	}
	e.vals = e.vals[:n+1]
	at := uint16(n + 1)
	t := &e.tails[f]
	if e.first[f] == 0 {
		e.first[f], t.count = at, 0
	} else {
		e.vals[t.last-1].next = at
	}
	t.last = at
	t.count++
	return &e.vals[n]
}

// Tag appends to the tags what has a place there however many the sender gave.
func (e *Event) Tag(tag string) {
	if len(e.vals) < maxPlaces {
		*e.link(Tags) = Value{kind: String, field: Tags, text: tag}
	}
}

// Add appends a value given as text, converted to the field's type. What does not convert is not added: the field is named in
// klaxon.bad_fields, and Add answers false. The text is aliased, not copied.
func (e *Event) Add(f FieldID, text string) bool {
	switch e.schema.fields[f].Type {
	case Long:
		if n, ok := parseInt(text); ok {
			return e.add(f, Value{kind: Int, num: n, text: text})
		}
	case Double:
		if x, ok := parseFloat(text); ok {
			return e.add(f, Value{kind: Float, num: int64(math.Float64bits(x)), text: text})
		}
	case Boolean:
		switch text {
		case "true", "True", "TRUE", "1":
			return e.AddBool(f, true)
		case "false", "False", "FALSE", "0":
			return e.AddBool(f, false)
		}
	case Date:
		if ms, ok := ParseTime(text); ok {
			return e.add(f, Value{kind: Time, num: ms, text: text})
		}
	case IP:
		if a, ok := ParseAddr(text); ok {
			return e.add(f, Value{kind: Addr, addr: a, text: text})
		}
	case Elements, Object:
		if e.addJSON(f, text) {
			return true
		}
	default:
		return e.add(f, Value{kind: String, text: text})
	}
	e.MarkBad(f)
	return false
}

// Set replaces a field's values by one.
func (e *Event) Set(f FieldID, text string) bool {
	e.Clear(f)
	return e.Add(f, text)
}

// MarkBad names a field in klaxon.bad_fields.
func (e *Event) MarkBad(f FieldID) {
	name := e.schema.fields[f].Name
	for v := e.First(BadFields); v != nil; v = e.Next(v) {
		if v.text == name {
			return
		}
	}
	e.add(BadFields, Value{kind: String, text: name})
}

// AddInt appends a whole number, in the field's own type.
func (e *Event) AddInt(f FieldID, n int64) bool {
	start := len(e.arena)
	e.arena = strconv.AppendInt(e.room(20), n, 10)
	text := view(e.arena[start:])
	switch e.schema.fields[f].Type {
	case Long, Untyped:
		return e.add(f, Value{kind: Int, num: n, text: text})
	case Date:
		return e.AddTime(f, n)
	}
	return e.Add(f, text)
}

// AddBool appends a truth value; to a field that is not boolean, its text.
func (e *Event) AddBool(f FieldID, b bool) bool {
	text, n := "false", int64(0)
	if b {
		text, n = "true", 1
	}
	if t := e.schema.fields[f].Type; t != Boolean && t != Untyped {
		return e.Add(f, text)
	}
	return e.add(f, Value{kind: Bool, num: n, text: text})
}

// AddTime appends an instant, Unix milliseconds.
func (e *Event) AddTime(f FieldID, ms int64) bool {
	start := len(e.arena)
	e.arena = AppendTime(e.room(32), ms)
	return e.add(f, Value{kind: Time, num: ms, text: view(e.arena[start:])})
}

// AddAddr appends an address.
func (e *Event) AddAddr(f FieldID, a netip.Addr) bool {
	start := len(e.arena)
	e.arena = a.AppendTo(e.room(48))
	return e.add(f, Value{kind: Addr, addr: a, text: view(e.arena[start:])})
}

// AddRaw appends a JSON value as it came, which the caller vouches to be valid JSON.
func (e *Event) AddRaw(f FieldID, json []byte) bool {
	return e.add(f, Value{kind: Raw, text: view(json)})
}

// AddCopy appends another field's value of this event, converted where the types differ.
func (e *Event) AddCopy(f FieldID, v *Value) bool {
	t := e.schema.fields[f].Type
	if t == Untyped || t == e.schema.fields[v.field].Type {
		c := *v
		c.next = 0
		return e.add(f, c)
	}
	return e.Add(f, v.text)
}

// SetTime sets the event time and @timestamp.
func (e *Event) SetTime(ms int64) {
	e.Time = ms
	e.Clear(Timestamp)
	e.AddTime(Timestamp, ms)
}

// Keep copies text into the event's arena, for text that would not live as long as the event.
func (e *Event) Keep(text []byte) string {
	start := len(e.arena)
	e.arena = append(e.room(len(text)), text...)
	return view(e.arena[start:])
}

// Scratch is the arena with room for n more bytes: append to it at most n bytes, then give the result to Kept.
func (e *Event) Scratch(n int) []byte { return e.room(n) }

// Kept takes what was appended to Scratch's answer and returns the text from its start-th byte on.
func (e *Event) Kept(arena []byte, start int) string {
	e.arena = arena
	return view(arena[start:])
}

// room is the arena with at least n free bytes. Texts made before keep the chunk they are in.
func (e *Event) room(n int) []byte {
	if cap(e.arena)-len(e.arena) < n {
		e.arena = make([]byte, len(e.arena), max(2*cap(e.arena), len(e.arena)+2*n, 4096))
	}
	return e.arena
}

// Kind is what the value is.
func (v *Value) Kind() Kind { return v.kind }

// Text is the value as text: as it was written where it came as text, else its usual form.
func (v *Value) Text() string { return v.text }

// Int is the value of a whole number, a truth value (0 or 1) or an instant (Unix milliseconds).
func (v *Value) Int() int64 { return v.num }

// Bool is the value of a truth value.
func (v *Value) Bool() bool { return v.num != 0 }

// Addr is the value of an address; IPv4 addresses written as IPv6 are IPv4.
func (v *Value) Addr() netip.Addr { return v.addr }

// Field is whose value this is.
func (v *Value) Field() FieldID { return v.field }

// Number is the value as a number; ok is false for what is none.
func (v *Value) Number() (x float64, ok bool) {
	switch v.kind {
	case Int:
		return float64(v.num), true
	case Float:
		return math.Float64frombits(uint64(v.num)), true
	case Time:
		return float64(v.num), true
	}
	return 0, false
}

// Lower is the text in lower case, made once per value.
func (e *Event) Lower(v *Value) string {
	if !v.lowered {
		v.lower, v.lowered = e.lower(v.text), true
	}
	return v.lower
}

func (e *Event) lower(s string) string {
	i := 0
	for i < len(s) && !(s[i] >= 'A' && s[i] <= 'Z') && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return s
	}
	start := len(e.arena)
	b := append(e.room(len(s)), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return strings.ToLower(s) // rare: the only path that allocates
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	e.arena = b
	return view(b[start:])
}

// view is b as a string without a copy: b must not change while the string lives.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// View is b as a string without a copy: the caller vouches that b does not change while the string lives.
func View(b []byte) string { return view(b) }

func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, true
	}
	x, ok := parseFloat(s)
	if !ok || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// parseFloat reads a decimal number. What else Go calls a number, such as 1_0, 0x1p4, inf and nan, is none.
func parseFloat(s string) (float64, bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}

// AppendTime appends an instant as RFC 3339 in UTC with milliseconds.
func AppendTime(dst []byte, ms int64) []byte {
	if ms < minMillis || ms > maxMillis {
		return time.UnixMilli(ms).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendPair(appendPair(dst, year/100), year%100)
	dst = appendPair(append(dst, '-'), int(month))
	dst = appendPair(append(dst, '-'), day)
	dst = appendPair(append(dst, 'T'), hour)
	dst = appendPair(append(dst, ':'), minute)
	dst = appendPair(append(dst, ':'), second)
	milli := t.Nanosecond() / 1e6
	return append(appendPair(append(dst, '.', byte('0'+milli/100)), milli%100), 'Z')
}

// appendPair appends a number below 100 as two digits.
func appendPair(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// addNumber appends a number that JSON wrote; whole says that it has neither fraction nor exponent.
func (e *Event) addNumber(f FieldID, text string, whole bool) bool {
	if e.schema.fields[f].Type != Untyped {
		return e.Add(f, text)
	}
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return e.add(f, Value{kind: Int, num: n, text: text})
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return e.add(f, Value{kind: String, text: text}) // a number too large for any type stays text
	}
	return e.add(f, Value{kind: Float, num: int64(math.Float64bits(x)), text: text})
}
