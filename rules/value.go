package rules

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klaxonhq/klaxon/event"
)

// class is what the values of a test are compared as.
type class uint8

const (
	classAny class = iota // an untyped field's: the other side decides
	classText
	classNumber
	classBool
	classTime
	classAddr
	classNet
)

// String is the class in words of the language.
func (c class) String() string {
	return [...]string{"a value", "text", "a number", "true or false", "a time", "an address", "a network"}[c]
}

// classOf is what a field's values are compared as.
func classOf(t event.Type) class {
	switch t {
	case event.Keyword, event.Text, event.Object:
		return classText
	case event.Long, event.Double:
		return classNumber
	case event.Boolean:
		return classBool
	case event.Date:
		return classTime
	case event.IP:
		return classAddr
	}
	return classAny
}

// number keeps whole numbers exact: a float64 holds only 53 bits.
type number struct {
	f     float64
	i     int64
	whole bool
}

func wholeNumber(i int64) number { return number{f: float64(i), i: i, whole: true} }

func (a number) compare(b number) int {
	switch {
	case a.whole && b.whole:
		switch {
		case a.i < b.i:
			return -1
		case a.i > b.i:
			return 1
		}
		return 0
	case a.f < b.f:
		return -1
	case a.f > b.f:
		return 1
	}
	return 0
}

// val is one value as its class compares it.
type val struct {
	text string
	num  number
	n    int64 // classTime: Unix milliseconds; classBool: 0 or 1
	addr netip.Addr
	net  netip.Prefix

	shown string // a literal as the language writes it
}

// function is what is done to a field's value before it is compared.
type function uint8

const (
	noFunction function = iota
	fnLower
	fnDomain
	fnLength
	fnHour
	fnWeekday
	fnSubnet
)

// operand is a field, the count, or a function of a field.
type operand struct {
	at      int
	name    string // as the language writes it
	field   string // the field's name, "" for the count
	id      event.FieldID
	typ     event.Type
	cls     class
	fn      function
	bits4   int
	bits6   int
	zone    *time.Location // nil: UTC
	element bool           // below the current element of any or all
	current bool           // the current value of any or all itself
	count   bool

	elements bool // the whole array of objects
}

// env is what a condition is evaluated on.
type env struct {
	e       *event.Event
	element *event.Event // the current element's fields, within any and all
	current *event.Value // the current value, within any and all of plain values
	count   int64
}

// holder is the event that an operand's values are in.
func (o *operand) holder(x *env) *event.Event {
	if o.element {
		return x.element
	}
	return x.e
}

// first is the operand's first value, and next the one after v; nil when there is none.
func (o *operand) first(x *env) *event.Value {
	if o.current {
		return x.current
	}
	return o.holder(x).First(o.id)
}

func (o *operand) next(x *env, v *event.Value) *event.Value {
	if o.current {
		return nil
	}
	return o.holder(x).Next(v)
}

// value converts v; false means that it does not convert, which is as good as absent.
func (o *operand) value(e *event.Event, v *event.Value, cls class, fold bool, out *val) bool {
	switch o.fn {
	case noFunction:
		return convert(e, v, cls, fold, out)
	case fnLower:
		out.text = e.Lower(v)
		return true
	case fnDomain:
		out.text = domain(e.Lower(v))
		return out.text != ""
	case fnLength:
		out.num = wholeNumber(int64(utf8.RuneCountInString(v.Text())))
		return true
	case fnHour, fnWeekday:
		ms, ok := timeOf(v)
		if ok && o.fn == fnHour {
			out.num = wholeNumber(int64(o.local(ms).Hour()))
		} else if ok {
			out.text = weekdayName(o.local(ms).Weekday())
		}
		return ok
	case fnSubnet:
		a, ok := addrOf(v)
		if ok {
			out.net, ok = subnet(a, o.bits4, o.bits6)
		}
		return ok
	}
	return false
}

func (o *operand) local(ms int64) time.Time {
	t := time.UnixMilli(ms).UTC()
	if o.zone != nil {
		t = t.In(o.zone)
	}
	return t
}

func weekdayNames() []string {
	return []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
}

func weekdayName(d time.Weekday) string {
	switch d {
	case time.Sunday:
		return "sunday"
	case time.Monday:
		return "monday"
	case time.Tuesday:
		return "tuesday"
	case time.Wednesday:
		return "wednesday"
	case time.Thursday:
		return "thursday"
	case time.Friday:
		return "friday"
	}
	return "saturday"
}

func subnet(a netip.Addr, bits4, bits6 int) (netip.Prefix, bool) {
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

func convert(e *event.Event, v *event.Value, cls class, fold bool, out *val) bool {
	switch cls {
	case classText:
		if fold {
			out.text = e.Lower(v)
		} else {
			out.text = v.Text()
		}
		return true
	case classNumber:
		return numberOf(v, &out.num)
	case classBool:
		return boolOf(v, &out.n)
	case classTime:
		ms, ok := timeOf(v)
		out.n = ms
		return ok
	case classAddr:
		a, ok := addrOf(v)
		out.addr = a
		return ok
	}
	return false
}

func numberOf(v *event.Value, out *number) bool {
	switch v.Kind() {
	case event.Int:
		*out = wholeNumber(v.Int())
		return true
	case event.Float:
		f, _ := v.Number()
		*out = number{f: f}
		return true
	case event.String:
		return parseNumber(v.Text(), out)
	}
	return false
}

// parseNumber reads a decimal number. It looks before it leaps, since strconv's errors allocate.
func parseNumber(s string, out *number) bool {
	i, digits, whole := 0, 0, true
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		whole = false
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			digits++
		}
	}
	if digits == 0 || len(s) > 64 {
		return false
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		whole = false
		if i++; i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		n := i
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		}
		if i == n || i-n > 3 {
			return false
		}
	}
	if i != len(s) {
		return false
	}
	if whole && digits <= 18 {
		n, err := strconv.ParseInt(s, 10, 64)
		*out = wholeNumber(n)
		return err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	*out = number{f: f}
	return err == nil && !math.IsInf(f, 0)
}

func boolOf(v *event.Value, out *int64) bool {
	if v.Kind() == event.Bool {
		*out = v.Int()
		return true
	}
	switch v.Text() {
	case "true", "True", "TRUE", "1":
		*out = 1
	case "false", "False", "FALSE", "0":
		*out = 0
	default:
		return false
	}
	return true
}

func timeOf(v *event.Value) (ms int64, ok bool) {
	switch v.Kind() {
	case event.Time:
		return v.Int(), true
	case event.String, event.Int, event.Float:
		if s := v.Text(); len(s) > 0 && len(s) <= 40 && s[0] >= '0' && s[0] <= '9' && strings.ContainsAny(s[len(s)-1:], "0123456789ZzC") {
			return parseTime(s)
		}
	}
	return 0, false
}

// parseTime is event.ParseTime, without the allocations of what is neither a date nor a number.
func parseTime(s string) (int64, bool) {
	if len(s) >= 19 && s[4] == '-' {
		return event.ParseTime(s)
	}
	var n number
	if !parseNumber(s, &n) {
		return 0, false
	}
	return event.ParseEpoch(s)
}

func addrOf(v *event.Value) (netip.Addr, bool) {
	if v.Kind() == event.Addr {
		return v.Addr(), true
	}
	s := v.Text()
	if v.Kind() != event.String {
		return netip.Addr{}, false
	}
	return event.ParseAddr(s)
}

// domain is the host within a URL, an e-mail address or a host name with or without a port, given in lower case.
func domain(s string) string {
	if i := strings.Index(s, "://"); i >= 0 {
		s = s[i+3:]
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i > 0 {
			return s[1:i]
		}
		return ""
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s, ':') == i {
		s = s[:i]
	}
	return strings.TrimSuffix(s, ".")
}
