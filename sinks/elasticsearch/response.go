package elasticsearch

import (
	"encoding/json"
	"errors"
	"fmt"
)

// item is what a bulk answer says of one document.
type item struct {
	status       int
	kind, reason string // of the error
	failureStore string
}

var errMalformed = errors.New("not an answer to a bulk request")

// parseBulk reads the answer to a bulk request and appends its items. Members that it does not know are skipped.
func parseBulk(data []byte, items []item) ([]item, error) {
	p := parser{b: data}
	seen := false
	err := p.object(0, func(key string) error {
		if key != "items" {
			return p.skip(1)
		}
		seen = true
		return p.array(1, func() error {
			var it item
			err := p.object(2, func(string) error { return p.item(&it) }) // the action's name
			items = append(items, it)
			return err
		})
	})
	if err == nil && (!seen || !p.atEnd()) {
		err = p.fail("it has no items, or something behind them")
	}
	return items, err
}

func (p *parser) item(it *item) error {
	return p.object(3, func(key string) (err error) {
		switch key {
		case "status":
			it.status, err = p.integer()
		case "failure_store":
			it.failureStore, err = p.text(4)
		case "error":
			it.kind, it.reason, err = p.failure(4)
		default:
			err = p.skip(4)
		}
		return err
	})
}

// failure reads an error: an object with type and reason, or a text. What caused it is often the better reason, and is added.
func (p *parser) failure(depth int) (kind, reason string, err error) {
	if p.peek() != '{' {
		reason, err = p.text(depth)
		return "", reason, err
	}
	cause := ""
	err = p.object(depth, func(key string) (err error) {
		switch key {
		case "type":
			kind, err = p.text(depth + 1)
		case "reason":
			reason, err = p.text(depth + 1)
		case "caused_by":
			_, cause, err = p.failure(depth + 1)
		default:
			err = p.skip(depth + 1)
		}
		return err
	})
	if cause != "" && cause != reason {
		reason += ": " + cause
	}
	return kind, reason, err
}

// parseFailure reads what a server says of a request that it refused. An answer of another form has neither type nor reason.
func parseFailure(data []byte) (kind, reason string) {
	p := parser{b: data}
	err := p.object(0, func(key string) (err error) {
		if key == "error" {
			kind, reason, err = p.failure(1)
			return err
		}
		return p.skip(1)
	})
	if err != nil {
		return "", ""
	}
	return kind, reason
}

// parser reads JSON that a server wrote, without building what is not asked for.
type parser struct {
	b []byte
	i int
}

const maxDepth = 64

func (p *parser) fail(reason string) error {
	return fmt.Errorf("%w: at byte %d %s", errMalformed, p.i, reason)
}

// peek is the next byte that is not blank, or 0.
func (p *parser) peek() byte {
	for ; p.i < len(p.b); p.i++ {
		if c := p.b[p.i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}

func (p *parser) atEnd() bool { return p.peek() == 0 && p.i == len(p.b) }

func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

// object calls member with every key; it must read the value.
func (p *parser) object(depth int, member func(key string) error) error {
	if depth > maxDepth || !p.take('{') {
		return p.fail("an object was expected")
	}
	if p.take('}') {
		return nil
	}
	for {
		key, err := p.quoted()
		if err != nil {
			return err
		}
		if !p.take(':') {
			return p.fail("a colon was expected")
		}
		if err := member(key); err != nil {
			return err
		}
		if p.take('}') {
			return nil
		}
		if !p.take(',') {
			return p.fail("a comma was expected")
		}
	}
}

// array calls element for every element; it must read it.
func (p *parser) array(depth int, element func() error) error {
	if depth > maxDepth || !p.take('[') {
		return p.fail("an array was expected")
	}
	if p.take(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if p.take(']') {
			return nil
		}
		if !p.take(',') {
			return p.fail("a comma was expected")
		}
	}
}

// skip reads a value of any kind.
func (p *parser) skip(depth int) error {
	switch p.peek() {
	case '{':
		return p.object(depth, func(string) error { return p.skip(depth + 1) })
	case '[':
		return p.array(depth, func() error { return p.skip(depth + 1) })
	case '"':
		_, err := p.quoted()
		return err
	}
	return p.word()
}

// word reads a number, true, false or null.
func (p *parser) word() error {
	from := p.i
	for ; p.i < len(p.b); p.i++ {
		c := p.b[p.i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E') {
			break
		}
	}
	if p.i == from {
		return p.fail("a value was expected")
	}
	return nil
}

func (p *parser) integer() (int, error) {
	p.peek()
	n, from := 0, p.i
	for ; p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9'; p.i++ {
		if n = n*10 + int(p.b[p.i]-'0'); n > 1<<30 {
			return 0, p.fail("a number is too large")
		}
	}
	if p.i == from {
		return 0, p.fail("a whole number was expected")
	}
	return n, nil
}

// text reads a string; a value of another kind is "".
func (p *parser) text(depth int) (string, error) {
	if p.peek() != '"' {
		return "", p.skip(depth)
	}
	return p.quoted()
}

// quoted reads a string. The names that matter here are not allocated.
func (p *parser) quoted() (string, error) {
	if !p.take('"') {
		return "", p.fail("a string was expected")
	}
	from := p.i
	for escaped := false; p.i < len(p.b); p.i++ {
		switch p.b[p.i] {
		case '\\':
			escaped = true
			p.i++
		case '"':
			raw := p.b[from:p.i]
			p.i++
			if escaped {
				return p.unescape(p.b[from-1 : p.i])
			}
			return known(raw), nil
		}
	}
	p.i = len(p.b)
	return "", p.fail("a string does not end")
}

func (p *parser) unescape(quoted []byte) (string, error) {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return "", p.fail("a string has a wrong escape")
	}
	return s, nil
}

func known(b []byte) string {
	switch string(b) {
	case "create":
		return "create"
	case "index":
		return "index"
	case "status":
		return "status"
	case "error":
		return "error"
	case "type":
		return "type"
	case "reason":
		return "reason"
	case "failure_store":
		return "failure_store"
	case "items":
		return "items"
	}
	return string(b)
}
